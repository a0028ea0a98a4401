"""Objectives: what a service promises, in k6's threshold grammar with units.

::

    objective  = sli operator value
    sli        = latency "." statistic | statistic | errors | traffic
               | saturation.cpu | saturation.memory | recovery | breaking-point
    statistic  = pNN[.N] | "p(" NN[.N] ")" | med | avg | min | max
    operator   = "<" | "<=" | ">" | ">="
    value      = duration (latency, recovery) | percentage (errors, saturation)
               | rate (traffic, breaking-point)

A bound has a unit, always: ``latency.p95 < 500`` is a mistake, ``latency.p95 < 500ms`` is not.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from runner.model.shape import Model
from runner.model.units import (
    DURATION_ACCEPTED,
    RATE_ACCEPTED,
    SHARE_ACCEPTED,
    parse_duration,
    parse_percent,
    parse_rate,
)

PhaseName = Literal["warmup", "baseline", "fault", "recovery"]
SliName = Literal[
    "latency",
    "errors",
    "traffic",
    "saturation.cpu",
    "saturation.memory",
    "recovery",
    "breaking-point",
]
Operator = Literal["<", "<=", ">", ">="]
Source = Literal["client", "mesh"]
Use = Literal["promise", "guard"]

JUDGED_PHASES: tuple[PhaseName, ...] = ("baseline", "fault", "recovery")
"""Where an objective holds that does not say ``during``: everywhere but in the warmup."""

OBJECTIVE_ACCEPTED = (
    "an objective such as 'latency.p95 < 500ms', 'p(99) < 1s', 'errors < 0.1%', "
    "'traffic > 90/s', 'saturation.cpu < 50%', 'saturation.memory < 60%', 'recovery < 30s' or "
    "'breaking-point >= 200/s'"
)

RATES: tuple[SliName, ...] = ("traffic", "breaking-point")
"""Indicators in events per second, of which more is better."""


_TEXT = re.compile(r"\s*([A-Za-z][\w.-]*(?:\(\s*[\d.]+\s*\))?)\s*(<=|>=|<|>)\s*(.+?)\s*")
_PERCENTILE = re.compile(r"p\(?\s*(\d{1,2}(?:\.\d+)?)\s*\)?")
_PLAIN_STATISTICS = {"med": "p50", "avg": "avg", "min": "min", "max": "max"}


class Bound(Model):
    """One comparison, in seconds, ratios and events per second.

    Attributes:
        sli: Which indicator.
        statistic: ``pNN`` (such as p95 or p99.9), ``avg``, ``min`` or ``max``; empty for
            indicators other than latency.
        operator: How the observed value must relate to ``value``.
        value: Seconds (latency, recovery), ratio (errors, saturation) or events per second
            (traffic, breaking point).
    """

    sli: SliName
    statistic: str
    operator: Operator
    value: float

    def holds(self, observed: float) -> bool:
        """Whether ``observed`` satisfies the bound. NaN never does."""
        match self.operator:
            case "<":
                return observed < self.value
            case "<=":
                return observed <= self.value
            case ">":
                return observed > self.value
            case ">=":
                return observed >= self.value

    @property
    def upper(self) -> bool:
        """Whether the bound is an upper one: ``<`` or ``<=``."""
        return self.operator in ("<", "<=")

    @property
    def quantile(self) -> float | None:
        """The quantile as a ratio for ``pNN``, else None."""
        return float(self.statistic[1:]) / 100 if self.statistic.startswith("p") else None

    @property
    def unit(self) -> Literal["s", "ratio", "per_s"]:
        """The unit of ``value``."""
        if self.sli in ("latency", "recovery"):
            return "s"
        return "per_s" if self.sli in RATES else "ratio"


def _statistic(text: str) -> str | None:
    if text in _PLAIN_STATISTICS:
        return _PLAIN_STATISTICS[text]
    match = _PERCENTILE.fullmatch(text)
    if match is None or not 0 < float(match[1]) < 100:
        return None
    return f"p{float(match[1]):g}"


def _indicator(text: str) -> tuple[SliName, str] | None:
    """The indicator and the statistic that ``text`` names, or None."""
    match text.lower():
        case (
            "errors"
            | "traffic"
            | "saturation.cpu"
            | "saturation.memory"
            | "recovery"
            | "breaking-point" as plain
        ):
            return plain, ""
        case lowered:
            statistic = _statistic(lowered.removeprefix("latency."))
            return None if statistic is None else ("latency", statistic)


def _meant(name: str) -> str:
    """``did you mean …? `` of the indicator that is nearest to ``name``, or nothing."""
    statistic = _statistic(name.lower().rpartition(".")[2])
    known = ("errors", "traffic", "saturation.cpu", "saturation.memory", "recovery")
    latency = f"latency.{statistic or 'p95'}"
    near = difflib.get_close_matches(name.lower(), (*known, "breaking-point", latency), n=1)
    return f"did you mean {near[0]!r}? " if near else ""


def _value(sli: SliName, text: str) -> float:
    if sli in ("latency", "recovery"):
        return parse_duration(text)
    return parse_rate(text) if sli in RATES else parse_percent(text)


def _accepted_value(sli: SliName) -> str:
    if sli in ("latency", "recovery"):
        return DURATION_ACCEPTED
    return RATE_ACCEPTED if sli in RATES else SHARE_ACCEPTED


@lru_cache(maxsize=1024)
def parse_bound(text: str) -> Bound:
    """Parse ``text`` after the grammar in this module's docstring.

    Raises:
        ValueError: Says which part is wrong and what would be accepted.
    """
    match = _TEXT.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not {OBJECTIVE_ACCEPTED}")
    name, operator, value_text = match.groups()
    indicator = _indicator(name)
    if indicator is None:
        hint = _meant(name)
        raise ValueError(f"{name!r} is not an indicator; {hint}accepted: {OBJECTIVE_ACCEPTED}")
    sli, statistic = indicator
    try:
        value = _value(sli, value_text)
    except ValueError:
        raise ValueError(
            f"the bound {value_text!r} of {sli} is not {_accepted_value(sli)}"
        ) from None
    return Bound(sli=sli, statistic=statistic, operator=operator, value=value)  # type: ignore[arg-type]


_REVERSED: dict[Operator, Operator] = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}


def check_direction(text: str, use: Use) -> Bound:
    """The bound that ``text`` means, if it is the right way round for its ``use``.

    A promise says what is well: little latency, few errors, much traffic. A guard says when to
    stop, which is the other way round.

    Raises:
        ValueError: When ``text`` is no objective, or is reversed; says what was perhaps meant.
    """
    bound = parse_bound(text)
    upper_is_well = bound.sli not in RATES
    if bound.upper == (upper_is_well if use == "promise" else not upper_is_well):
        return bound
    meant = text.replace(bound.operator, _REVERSED[bound.operator], 1).strip()
    says = {"promise": "an objective says what is well", "guard": "a guard says when to stop"}[use]
    side = "short" if bound.sli == "recovery" else "high" if bound.upper else "low"
    raise ValueError(
        f"{text!r} is the wrong way round: {says}, and that is {side} {bound.sli}; did you mean "
        f"{meant!r}?"
    )


class Objective(Model):
    """A promise, where it holds, and from whose point of view.

    A plain string in the file is short for ``{objective: <string>}``.
    """

    objective: str = Field(
        description="The promise, such as 'latency.p95 < 500ms'.",
        examples=["latency.p95 < 500ms", "errors < 0.1%", "recovery < 30s"],
    )
    during: tuple[PhaseName, ...] = Field(
        default=JUDGED_PHASES,
        min_length=1,
        description="Phases in which it holds, each judged on its own. Default: all but warmup.",
    )
    of: str | None = Field(
        default=None, description="Endpoint as the load names it, such as 'POST /api/v1/orders'."
    )
    service: str | None = Field(
        default=None, description="Service as the mesh names it; implies 'source: mesh'."
    )
    source: Source | None = Field(
        default=None,
        description="Whose view: 'client' (the load) or 'mesh' (Prometheus). Default: client, "
        "and mesh where a service or saturation is judged.",
    )
    stage: int | None = Field(
        default=None,
        ge=1,
        description="Only in this stage of the load, of which the first is 1; as the load sees it.",
    )
    warn: str | None = Field(
        default=None,
        description="A stricter bound: missing it is a warning, not a failure.",
        examples=["40%", "400ms"],
    )
    at_least: int = Field(
        default=1, ge=1, description="Fewer requests than this in a phase are no evidence."
    )
    on_missing: Literal["inconclusive", "fail"] = Field(
        default="inconclusive", description="What it means when there is nothing to judge."
    )

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        return {"objective": value} if isinstance(value, str) else value

    @field_validator("during", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        if value == "all":
            return JUDGED_PHASES
        if isinstance(value, str):
            return (value,)
        return tuple(value) if isinstance(value, list) else value

    @field_validator("objective")
    @classmethod
    def _parses(cls, value: str) -> str:
        check_direction(value, "promise")
        return value

    # Contradictions are looked for key by key, so that one mistake does not hide another.

    @field_validator("warn")
    @classmethod
    def _stricter(cls, value: str | None, info: ValidationInfo) -> str | None:
        bound = _bound_in(info)
        if bound is not None and value is not None:
            warn = _warn_value(bound, value)
            if not (warn < bound.value if bound.upper else warn > bound.value):
                raise ValueError(f"{value!r} is not stricter than {info.data['objective']!r}")
        return value

    @field_validator("during")
    @classmethod
    def _recovery_is_everywhere(
        cls, value: tuple[PhaseName, ...], info: ValidationInfo
    ) -> tuple[PhaseName, ...]:
        bound = _bound_in(info)
        if bound is not None and bound.sli == "recovery" and value != JUDGED_PHASES:
            raise ValueError("recovery is counted from the end of each fault; drop 'during'")
        if bound is not None and bound.sli == "breaking-point" and value != JUDGED_PHASES:
            raise ValueError("the breaking point is one of the whole run; drop 'during'")
        return value

    @field_validator("of", "service", "source")
    @classmethod
    def _seen_by_one(cls, value: str | None, info: ValidationInfo) -> str | None:
        bound = _bound_in(info)
        if bound is not None and bound.sli == "breaking-point" and value is not None:
            raise ValueError(f"the breaking point is one of all requests: no {info.field_name!r}")
        saturation = bound is not None and bound.sli.startswith("saturation")
        if value == "client" and info.field_name == "source" and bound and saturation:
            raise ValueError(f"{bound.sli} is seen by the mesh only; drop 'source: client'")
        endpoint = value if info.field_name == "of" else info.data.get("of")
        mesh = (
            saturation
            or (info.field_name == "service" and value is not None)
            or (info.field_name == "source" and value == "mesh")
        )
        if endpoint is not None and mesh:
            raise ValueError("'of' names an endpoint of the load; use 'service' for the mesh")
        return value

    @field_validator("stage")
    @classmethod
    def _stage_is_the_loads(cls, value: int | None, info: ValidationInfo) -> int | None:
        bound = _bound_in(info)
        if value is None or bound is None:
            return value
        if bound.sli in ("recovery", "breaking-point"):
            raise ValueError(f"{bound.sli} is not judged by stages; drop 'stage'")
        mesh = info.data.get("service") is not None or info.data.get("source") == "mesh"
        if mesh or bound.sli.startswith("saturation"):
            raise ValueError("stages are judged as the load sees them, not the mesh; drop 'stage'")
        return value

    @property
    def bound(self) -> Bound:
        """The parsed comparison."""
        return parse_bound(self.objective)

    @property
    def title(self) -> str:
        """What a reader calls it: its text, with its endpoint or service, and its stage."""
        subject = self.of or self.service
        stage = "" if self.stage is None else f" in stage {self.stage}"
        return f"{self.objective} of {subject}{stage}" if subject else f"{self.objective}{stage}"

    @property
    def warn_value(self) -> float:
        """The warning bound in the unit of :attr:`Bound.value`.

        Raises:
            ValueError: When there is none, or it does not fit the indicator.
        """
        if self.warn is None:
            raise ValueError("this objective has no warning bound")
        return _warn_value(self.bound, self.warn)

    @property
    def effective_source(self) -> Source:
        """``source`` with its default resolved."""
        if self.source is not None:
            return self.source
        return "mesh" if self.service or self.bound.sli.startswith("saturation") else "client"


def _bound_in(info: ValidationInfo) -> Bound | None:
    """The bound of the objective that is being validated; None when it is wrong itself."""
    text = info.data.get("objective")
    return None if text is None else parse_bound(text)


def _warn_value(bound: Bound, text: str) -> float:
    try:
        return _value(bound.sli, text)
    except ValueError:
        raise ValueError(f"{text!r} is not {_accepted_value(bound.sli)}") from None


def promises(objectives: Iterable[Objective]) -> tuple[Objective, ...]:
    """Those of ``objectives`` that tell whether the service is well, as a recovery asks."""
    return tuple(
        objective
        for objective in objectives
        if objective.effective_source == "client"
        and objective.bound.sli in ("latency", "errors")
        and objective.stage is None
        and {"baseline", "recovery"} & set(objective.during)
    )
