"""Guards: what stops a run before its end, and what a signal source answers to one. Pure data.

A guard is one of three kinds. ``load`` compares a figure of the last seconds of load, ``promql``
compares the answer of a query, and ``silent`` waits for an answer of the target, of whatever kind.
"""

from __future__ import annotations

import difflib
import operator
import re
from dataclasses import dataclass
from typing import Literal

from pydantic import ConfigDict, Field, ValidationInfo, field_validator

from runner.model.bound import (
    OBJECTIVE_ACCEPTED,
    Bound,
    Operator,
    check_direction,
    parse_bound,
)
from runner.model.promql import unclosed
from runner.model.shape import Model
from runner.model.units import Duration, parse_duration, parse_percent, parse_rate

GuardKind = Literal["load", "silent", "promql"]
Unit = Literal["", "s", "ratio", "per_s"]

SILENT = "silent"
LOAD_WINDOW_S = 5.0
WATCHED = ("latency", "errors", "traffic")
GUARD_ACCEPTED = (
    "a condition on the load such as 'errors > 60%', 'latency.p95 > 5s' or 'traffic < 10/s', or "
    f"'{SILENT}'"
)
THRESHOLD_ACCEPTED = (
    "beside 'promql', a comparison without a subject: <, <=, > or >= and a number, such as '> 5', "
    "'> 60%', '> 500ms' or '< 10/s'"
)

_COMPARED = re.compile(r"\s*(<=|>=|<|>)\s*(.+?)\s*")
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,2})?")
_HOLDS = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}


class Threshold(Model):
    """A comparison whose subject is the answer of a query.

    Attributes:
        value: In ``unit``: seconds, a ratio, events per second, or a plain number.
    """

    operator: Operator
    value: float
    unit: Unit

    def holds(self, observed: float) -> bool:
        """Whether ``observed`` is beyond the threshold. NaN never is."""
        return bool(_HOLDS[self.operator](observed, self.value))

    @property
    def upper(self) -> bool:
        """Whether small values hold: ``<`` or ``<=``."""
        return self.operator in ("<", "<=")


def parse_threshold(text: str) -> Threshold:
    """Parse a comparison such as ``> 5``, ``>= 60%``, ``> 500ms`` or ``< 10/s``.

    Raises:
        ValueError: Says what is wrong, and what would be accepted.
    """
    match = _COMPARED.fullmatch(text)
    if match is None:
        found = re.search(r"(<=|>=|<|>)\s*[^<>=]+$", text)
        meant = f"; did you mean {found[0].strip()!r}?" if found else ";"
        raise ValueError(f"{text!r} is no comparison{meant} accepted: {THRESHOLD_ACCEPTED}")
    unit, value = _value(match[2])
    return Threshold.model_validate({"operator": match[1], "value": value, "unit": unit})


def _value(text: str) -> tuple[Unit, float]:
    if _NUMBER.fullmatch(text):
        return "", float(text)
    if text.endswith("%"):
        return "ratio", parse_percent(text)
    if "/" in text:
        return "per_s", parse_rate(text)
    try:
        return "s", parse_duration(text)
    except ValueError:
        raise ValueError(f"{text!r} is no number; accepted: {THRESHOLD_ACCEPTED}") from None


class Guard(Model):
    """A live objective that stops the run: heal first, ask questions later."""

    model_config = ConfigDict(title="Guard")

    promql: str | None = Field(
        default=None,
        min_length=1,
        max_length=4000,
        description="A PromQL query that is asked every two seconds; 'abort_when' then compares "
        "its answer, and of several series the worst.",
        examples=['sum(rate(istio_requests_total{response_flags="UO"}[30s])) or vector(0)'],
    )
    abort_when: str = Field(
        description="Condition on the load of the last seconds, such as 'errors > 60%'; 'silent' "
        "for a target that answers nothing; beside 'promql' a comparison such as '> 5'.",
        examples=["errors > 60%", "latency.p95 > 5s", "silent", "> 5"],
    )
    of: str | None = Field(
        default=None,
        min_length=1,
        description="Endpoint as the load names it, such as 'POST /api/v1/orders'. Default: all.",
    )
    window: Duration = Field(
        default=LOAD_WINDOW_S,
        ge=1,
        le=60,
        description="Length of the sliding window that the load's figure is taken over.",
    )
    for_: Duration = Field(
        default=10.0, alias="for", gt=0, description="How long it must hold without a break."
    )
    grace: Duration = Field(
        default=10.0, ge=0, description="Time at the start in which the guard does not act."
    )
    on_missing: Literal["abort", "ignore"] = Field(
        default="abort",
        description="What it means when there is no figure: as if the condition held, or nothing.",
    )

    @field_validator("promql")
    @classmethod
    def _closed(cls, value: str | None) -> str | None:
        if value is not None and not value.strip():
            raise ValueError("the query is empty; accepted: a PromQL expression")
        problem = "" if value is None else unclosed(value)
        if problem:
            raise ValueError(f"this is not PromQL: {problem}")
        return value

    @field_validator("abort_when")
    @classmethod
    def _parses(cls, value: str, info: ValidationInfo) -> str:
        if "promql" not in info.data:  # It is wrong itself, so that nobody knows the kind.
            return value
        if info.data["promql"] is None:
            _check_load_condition(value)
        elif value.strip().lower() == SILENT:
            raise ValueError(
                f"'{SILENT}' is about the load's own requests; drop 'promql', or compare: "
                f"{THRESHOLD_ACCEPTED}"
            )
        else:
            parse_threshold(value)
        return value

    @field_validator("of", "window")
    @classmethod
    def _of_the_load(cls, value: str | float | None, info: ValidationInfo) -> str | float | None:
        key = info.field_name
        if value is None or value == LOAD_WINDOW_S:  # As a plan says it that shows all defaults.
            return value
        if info.data.get("promql") is not None:
            raise ValueError(f"'{key}' is about the load's figures; a query says it by itself")
        if str(info.data.get("abort_when", "")).strip().lower() == SILENT:
            raise ValueError(
                f"'{key}' does not go with '{SILENT}', which is about the whole target; how long "
                "it is silent is said by 'for'"
            )
        return value

    @field_validator("window")
    @classmethod
    def _whole_seconds(cls, value: float) -> float:
        if value != int(value):
            raise ValueError("the load is recorded by the second; accepted: whole seconds")
        return value

    @property
    def kind(self) -> GuardKind:
        if self.promql is not None:
            return "promql"
        return "silent" if self.abort_when.strip().lower() == SILENT else "load"

    @property
    def bound(self) -> Bound:
        """The condition of a guard of the kind ``load``."""
        return parse_bound(self.abort_when)

    @property
    def threshold(self) -> Threshold:
        """The condition of a guard of the kind ``promql``."""
        return parse_threshold(self.abort_when)

    @property
    def title(self) -> str:
        """What a reader calls it: its condition, with its endpoint or its query on one line."""
        condition = self.abort_when.strip()
        if self.promql is not None:
            return f"{' '.join(self.promql.split())} {condition}"
        return f"{condition} of {self.of}" if self.of else condition


def _check_load_condition(text: str) -> None:
    """Whether ``text`` is a condition on the load, or ``silent``.

    Raises:
        ValueError: Says what was perhaps meant, and what would be accepted.
    """
    if text.strip().lower() == SILENT:
        return
    if _COMPARED.fullmatch(text):
        raise ValueError(
            f"{text!r} has no subject; accepted: {GUARD_ACCEPTED}, or a 'promql' beside it"
        )
    words = re.findall(r"[A-Za-z]+", text)
    if words and difflib.get_close_matches(words[0].lower(), [SILENT], cutoff=0.7):
        raise ValueError(
            f"{text!r} is not a condition; did you mean '{SILENT}', and for how long in 'for'?"
        )
    try:
        bound = parse_bound(text)
    except ValueError as error:
        guess = difflib.get_close_matches(words[0].lower(), WATCHED, n=1) if words else []
        meant = f"; did you mean {guess[0]!r}?" if guess and guess[0] != words[0] else ""
        said = str(error).replace(OBJECTIVE_ACCEPTED, GUARD_ACCEPTED)
        if "did you mean" in said:
            meant = ""
        raise ValueError(f"{said}{meant}") from None
    if bound.sli not in WATCHED:
        raise ValueError(
            f"a guard watches {', '.join(WATCHED[:-1])} or {WATCHED[-1]}, not {bound.sli}"
        )
    check_direction(text, "guard")


@dataclass(frozen=True, slots=True)
class Reading:
    """The answer to a guard's query at one moment.

    Attributes:
        state: ``ok`` (there are values), ``empty`` (nothing matches, or nothing is a number),
            ``refused`` (the query is wrong) or ``unreachable`` (nobody answers in time).
        values: Labels, in words, and value of each series; never NaN, perhaps infinite.
        why: Why there are no values.
    """

    state: Literal["ok", "empty", "refused", "unreachable"]
    values: tuple[tuple[str, float], ...] = ()
    why: str = ""
