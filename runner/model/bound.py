"""Bounds: the leaf of every objective, in k6's threshold grammar with units. Pure.

::

    bound      = sli operator value | "no" [severity] "alert"
    sli        = latency "." statistic | statistic | errors | traffic
               | saturation.cpu | saturation.memory | recovery | breaking-point
               | budget | burn-rate | signal "." name | alert "." name | alerts ["." severity]
    statistic  = pNN[.N] | "p(" NN[.N] ")" | med | avg | min | max
    operator   = "<" | "<=" | ">" | ">="
    value      = duration (latency, recovery, alert) | percentage (errors, saturation, budget)
               | rate (traffic, breaking-point) | number (burn-rate, alerts)
               | any of these (signal: in the unit that the signal has)
               | reference [("+" | "-") (percentage | percentage points, "pp" | absolute)]
    reference  = "baseline" | "run:" name

A bound has a unit, always: ``latency.p95 < 500`` is a mistake, ``latency.p95 < 500ms`` is not.
"""

from __future__ import annotations

import difflib
import math
import re
from functools import lru_cache
from typing import Literal, get_args

from runner.model.shape import Model
from runner.model.units import (
    DURATION_ACCEPTED,
    RATE_ACCEPTED,
    SHARE_ACCEPTED,
    parse_duration,
    parse_percent,
    parse_rate,
)

SliName = Literal[
    "latency",
    "errors",
    "traffic",
    "saturation.cpu",
    "saturation.memory",
    "recovery",
    "breaking-point",
    "budget",
    "burn-rate",
    "signal",
    "alert",
    "alerts",
]
Operator = Literal["<", "<=", ">", ">="]
Unit = Literal["s", "ratio", "per_s", "count"]
Use = Literal["promise", "guard"]

OBJECTIVE_ACCEPTED = (
    "an objective such as 'latency.p95 < 500ms', 'p(99) < 1s', 'errors < 0.1%', "
    "'traffic > 90/s', 'saturation.cpu < 50%', 'saturation.memory < 60%', 'recovery < 30s', "
    "'breaking-point >= 200/s', 'latency.p99 <= baseline + 10%', 'budget < 5%', "
    "'burn-rate < 14.4', 'signal.NAME < 5' or 'no critical alert'"
)
NUMBER_ACCEPTED = "a plain number, such as 14.4"
REFERENCE_ACCEPTED = (
    "'baseline' or 'run:NAME', alone or with what may be added, such as 'baseline + 10%', "
    "'run:latest + 20ms' or, of errors, 'baseline + 0.5pp'"
)
BASELINE = "baseline"

RATES: tuple[SliName, ...] = ("traffic", "breaking-point")
"""Indicators in events per second, of which more is better."""

_UNITS: dict[SliName, Unit] = {
    "latency": "s",
    "recovery": "s",
    "alert": "s",
    "traffic": "per_s",
    "breaking-point": "per_s",
    "burn-rate": "count",
    "alerts": "count",
}
_RELATIVE: tuple[SliName, ...] = (
    "latency",
    "errors",
    "traffic",
    "saturation.cpu",
    "saturation.memory",
    "signal",
)
"""Indicators that have a figure in another phase or run, to be compared with."""

_PLAIN = tuple(
    name for name in get_args(SliName) if name not in ("latency", "signal", "alert", "alerts")
)
"""Indicators that are named by one word, and by nothing behind it."""

_TEXT = re.compile(r"\s*([A-Za-z][\w.-]*(?:\(\s*[\d.]+\s*\))?)\s*(<=|>=|<|>)\s*(.+?)\s*")
_PERCENTILE = re.compile(r"p\(?\s*(\d{1,2}(?:\.\d+)?)\s*\)?")
_PLAIN_STATISTICS = {"med": "p50", "avg": "avg", "min": "min", "max": "max"}
_NO_ALERT = re.compile(r"\s*no\s+(?:([A-Za-z][\w-]*)\s+)?alerts?\s*", re.IGNORECASE)
_NAMED = re.compile(r"(signal|alert|alerts)\.([A-Za-z_][\w:-]*)", re.IGNORECASE)
_NUMBER = re.compile(r"\d+(\.\d+)?([eE][+-]?\d{1,2})?")
_REFERENCE = re.compile(
    r"(?:(baseline)|run:(\S+?))(?:\s*(?<=\s|e)([+-])\s*(\S.*?))?\s*", re.IGNORECASE
)


class Reference(Model):
    """What a relative bound is relative to, and what may be added to it.

    Attributes:
        run: Name of the earlier run; empty for the baseline of the same run.
        slack_ratio: Share of the reference's figure that is added; negative to ask for better.
        slack: Absolute amount that is added, in the unit of the bound.
    """

    run: str = ""
    slack_ratio: float = 0.0
    slack: float = 0.0

    def limit(self, figure: float) -> float:
        """The bound's value, when the reference's figure is ``figure``."""
        return figure * (1.0 + self.slack_ratio) + self.slack

    @property
    def name(self) -> str:
        """What a reader calls it: ``baseline``, or ``run NAME``."""
        return f"run {self.run}" if self.run else BASELINE


class Bound(Model):
    """One comparison, in seconds, ratios, events per second or plain numbers.

    Attributes:
        sli: Which indicator.
        statistic: ``pNN`` (such as p95 or p99.9), ``avg``, ``min`` or ``max`` of latency; the name
            of an own signal or of an alert; the severity of alerts; empty for others.
        operator: How the observed value must relate to ``value``.
        value: In :attr:`unit`; NaN, which nothing satisfies, as long as it is relative.
        written_unit: The unit that the value of an own signal was written with.
        reference: What the value is relative to; None when it is absolute.
    """

    sli: SliName
    statistic: str
    operator: Operator
    value: float
    written_unit: Unit | None = None
    reference: Reference | None = None

    def holds(self, observed: float) -> bool:
        """Whether ``observed`` satisfies the bound. NaN never does, and no bound that is NaN."""
        match self.operator:
            case "<":
                return observed < self.value
            case "<=":
                return observed <= self.value
            case ">":
                return observed > self.value
            case ">=":
                return observed >= self.value

    def resolved(self, figure: float) -> Bound:
        """The absolute bound, when the reference's figure is ``figure``; itself when absolute."""
        if self.reference is None:
            return self
        return self.model_copy(update={"value": self.reference.limit(figure), "reference": None})

    @property
    def upper(self) -> bool:
        """Whether the bound is an upper one: ``<`` or ``<=``."""
        return self.operator in ("<", "<=")

    @property
    def quantile(self) -> float | None:
        """The quantile as a ratio for ``pNN`` of latency, else None."""
        if self.sli != "latency" or not self.statistic.startswith("p"):
            return None
        return float(self.statistic[1:]) / 100

    @property
    def unit(self) -> Unit:
        """The unit of ``value``."""
        if self.written_unit is not None:
            return self.written_unit
        return _UNITS.get(self.sli, "count" if self.sli == "signal" else "ratio")

    @property
    def indicator(self) -> str:
        """The name under which signals keep it: ``latency.p95``, ``signal.queue``, ``errors``."""
        named = self.sli in ("latency", "signal")
        return f"{self.sli}.{self.statistic}" if named else self.sli


def _statistic(text: str) -> str | None:
    if text in _PLAIN_STATISTICS:
        return _PLAIN_STATISTICS[text]
    match = _PERCENTILE.fullmatch(text)
    if match is None or not 0 < float(match[1]) < 100:
        return None
    return f"p{float(match[1]):g}"


def _indicator(text: str) -> tuple[SliName, str] | None:
    """The indicator and the statistic that ``text`` names, or None."""
    lowered = text.lower()
    if lowered in _PLAIN:
        return lowered, ""  # type: ignore[return-value]
    if lowered == "alerts":
        return "alerts", ""
    if named := _NAMED.fullmatch(text):
        kind = named[1].lower()
        return kind, named[2].lower() if kind == "alerts" else named[2]  # type: ignore[return-value]
    statistic = _statistic(lowered.removeprefix("latency."))
    return None if statistic is None else ("latency", statistic)


def _meant(name: str) -> str:
    """``did you mean …? `` of the indicator that is nearest to ``name``, or nothing."""
    statistic = _statistic(name.lower().rpartition(".")[2])
    latency = f"latency.{statistic or 'p95'}"
    near = difflib.get_close_matches(name.lower(), (*_PLAIN, "alerts", latency), n=1)
    return f"did you mean {near[0]!r}? " if near else ""


def _number(text: str) -> float:
    if not _NUMBER.fullmatch(text) or not math.isfinite(float(text)):
        raise ValueError(text)
    return float(text)


def parse_quantity(text: str) -> tuple[float, Unit]:
    """A value with whatever unit it is written with; a plain number is a count.

    Raises:
        ValueError: When it is none of duration, percentage, rate and number.
    """
    if text.endswith("%"):
        return parse_percent(text), "ratio"
    if "/" in text:
        return parse_rate(text), "per_s"
    return (_number(text), "count") if _NUMBER.fullmatch(text) else (parse_duration(text), "s")


def parse_value(sli: SliName, text: str) -> float:
    """The absolute value of a bound on ``sli``, other than an own signal.

    Raises:
        ValueError: Says what would be accepted.
    """
    unit = _UNITS.get(sli, "ratio")
    try:
        match unit:
            case "s":
                return parse_duration(text)
            case "per_s":
                return parse_rate(text)
            case "ratio":
                return parse_percent(text)
            case "count":
                return _number(text)
    except ValueError:
        accepted = {
            "s": DURATION_ACCEPTED,
            "per_s": RATE_ACCEPTED,
            "ratio": SHARE_ACCEPTED,
            "count": NUMBER_ACCEPTED,
        }[unit]
        raise ValueError(f"{text!r} is not {accepted}") from None


def _amount(text: str) -> tuple[float, Unit]:
    """What is added to a reference: a quantity, or percentage points, which are ratios."""
    points = re.fullmatch(r"(\d+(?:\.\d+)?)\s*pp", text)
    return (float(points[1]) / 100, "ratio") if points else parse_quantity(text)


def _reference(sli: SliName, text: str) -> tuple[Reference, Unit | None] | None:
    """What a relative value is relative to; None when ``text`` is no relative value."""
    if not text.lower().startswith((BASELINE, "run:")):
        return None
    match = _REFERENCE.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not {REFERENCE_ACCEPTED}")
    run, sign, amount = match[2] or "", -1.0 if match[3] == "-" else 1.0, match[4]
    if amount is None:
        return Reference(run=run), None
    share = re.fullmatch(r"(\d+(?:\.\d+)?)\s*%", amount)
    if share is not None:  # Of the reference's figure; more than all of it is well possible.
        return Reference(run=run, slack_ratio=sign * float(share[1]) / 100), None
    try:
        value, unit = _amount(amount)
    except ValueError:
        raise ValueError(f"{amount!r} is no amount; accepted: {REFERENCE_ACCEPTED}") from None
    if sli != "signal" and unit != _UNITS.get(sli, "ratio"):
        raise ValueError(f"{amount!r} is no amount of {sli}; accepted: {REFERENCE_ACCEPTED}")
    return Reference(run=run, slack=sign * value), unit if sli == "signal" else None


@lru_cache(maxsize=1024)
def parse_bound(text: str) -> Bound:
    """Parse ``text`` after the grammar in this module's docstring.

    Raises:
        ValueError: Says which part is wrong and what would be accepted.
    """
    if none := _NO_ALERT.fullmatch(text):
        severity = (none[1] or "").lower()
        return Bound(sli="alerts", statistic=severity, operator="<", value=1.0)
    match = _TEXT.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not {OBJECTIVE_ACCEPTED}")
    name, operator, value_text = match.groups()
    indicator = _indicator(name)
    if indicator is None:
        hint = _meant(name)
        raise ValueError(f"{name!r} is not an indicator; {hint}accepted: {OBJECTIVE_ACCEPTED}")
    sli, statistic = indicator
    return bound_of(sli, statistic, operator, value_text)


def bound_of(sli: SliName, statistic: str, operator: str, text: str) -> Bound:
    """The bound on an indicator, with the value that ``text`` is.

    Raises:
        ValueError: Says what would be accepted.
    """
    relative = _reference(sli, text)
    if relative is not None:
        if sli not in _RELATIVE:
            raise ValueError(f"{sli} is not compared with {text!r}; accepted: a value with a unit")
        return Bound(
            sli=sli,
            statistic=statistic,
            operator=operator,  # type: ignore[arg-type]
            value=math.nan,
            reference=relative[0],
            written_unit=relative[1],
        )
    unit: Unit | None = None
    try:
        if sli == "signal":
            value, unit = parse_quantity(text)
        else:
            value = parse_value(sli, text)
    except ValueError as error:
        said = str(error).partition(" is not ")[2] or "a number, percentage, duration or rate"
        raise ValueError(f"the bound {text!r} of {sli} is not {said}") from None
    return Bound(
        sli=sli,
        statistic=statistic,
        operator=operator,  # type: ignore[arg-type]
        value=value,
        written_unit=unit,
    )


_REVERSED: dict[Operator, Operator] = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}


def check_direction(text: str, use: Use) -> Bound:
    """The bound that ``text`` means, if it is the right way round for its ``use``.

    A promise says what is well: little latency, few errors, much traffic. A guard says when to
    stop, which is the other way round. Of an own signal nobody knows which way is well.

    Raises:
        ValueError: When ``text`` is no objective, or is reversed; says what was perhaps meant.
    """
    bound = parse_bound(text)
    upper_is_well = bound.sli not in RATES
    well = bound.upper == (upper_is_well if use == "promise" else not upper_is_well)
    if well or bound.sli == "signal":
        return bound
    meant = text.replace(bound.operator, _REVERSED[bound.operator], 1).strip()
    says = {"promise": "an objective says what is well", "guard": "a guard says when to stop"}[use]
    side = "short" if bound.sli == "recovery" else "high" if bound.upper else "low"
    raise ValueError(
        f"{text!r} is the wrong way round: {says}, and that is {side} {bound.sli}; did you mean "
        f"{meant!r}?"
    )
