"""Which objective is drawn as a bound in which chart, and in which windows. No drawing."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence

from runner.model.bound import Bound, parse_bound
from runner.model.evaluation import Evaluation, Finding, Part, SignalFigures, Verdict
from runner.model.recording import Recording
from runner.model.shape import Items, Model
from runner.reports import format as fmt

_FIGURES = {
    "saturation.cpu": "cpu_ratio",
    "saturation.memory": "memory_ratio",
    "errors": "error_ratio",
    "traffic": "traffic_per_s",
    "latency.p50": "p50_s",
    "latency.p95": "p95_s",
    "latency.p99": "p99_s",
}
_REST = re.compile(
    r"(?: of (?P<subject>.+?))?(?: in stage \d+)?(?: for (?P<sustained>\d[\d.]*[a-z][\w. ]*))?"
)
EACH = "each service"
_OTHERS = "services other than "
_LONGEST_BOUND = 160


class BoundMark(Model):
    """A bound, drawn where it was judged.

    Attributes:
        above: Whether the figure had to be above it.
        windows: ``(start_s, end_s)`` in which it was judged; phases that touch are one window.
        missed: Whether it was missed in these windows.
        quantile: Of a bound on a percentile of latency.
    """

    label: str
    value: float
    above: bool
    windows: Items[tuple[float, float]]
    missed: bool
    quantile: float | None = None


class DrawnBound(Model):
    """An objective that charts can show, with what decides where.

    Attributes:
        bound: Absolute: a relative one has the value that it had in this run.
        subject: Endpoint, pattern or service; :data:`EACH`; empty for all together.
        but: Services that it is not about, of one that is about each of the others.
        sustained: For how long it had to be broken to be missed; empty without.
    """

    bound: Bound
    source: str
    subject: str = ""
    but: Items[str] = ()
    sustained: str = ""
    parts: Items[Part]


def bounds_of(findings: Iterable[Finding]) -> tuple[DrawnBound, ...]:
    """The objectives among ``findings`` that charts can show."""
    known = (_drawn(finding) for finding in findings if finding.kind == "objective")
    return tuple(one for one in known if one is not None)


def _drawn(finding: Finding) -> DrawnBound | None:
    """None of a grammar of another version: the table of objectives still shows it."""
    bound, rest = bound_in(finding.title)
    match = _REST.fullmatch(rest)
    if bound is None or match is None:
        return None
    if bound.reference is not None:
        if finding.bound is None:
            return None  # Nobody knows what it was relative to.
        bound = bound.model_copy(update={"value": finding.bound, "reference": None})
    if not math.isfinite(bound.value):
        return None
    subject = match["subject"] or ""
    others = subject.startswith(_OTHERS) and finding.source == "mesh"
    return DrawnBound(
        bound=bound,
        source=finding.source,
        subject=EACH if others else subject,
        but=tuple(subject.removeprefix(_OTHERS).split(", ")) if others else (),
        sustained=match["sustained"] or "",
        parts=finding.parts,
    )


def bound_in(title: str) -> tuple[Bound | None, str]:
    """The bound that an objective's ``title`` begins with, and what follows: whom it is about.

    The bound is the longest beginning that is one, so that no name that follows is taken for a
    part of it.
    """
    ends = [len(title), *(at for at in range(len(title) - 1, 0, -1) if title[at] == " ")]
    for end in [at for at in ends if at <= _LONGEST_BOUND]:
        try:
            return parse_bound(title[:end]), title[end:]
        except ValueError:
            continue
    return None, title


def load_marks(drawn: Sequence[DrawnBound], sli: str, subject: str = "") -> tuple[BoundMark, ...]:
    """The bounds on ``sli`` as users see it, of the whole load or of one endpoint."""
    return tuple(
        mark
        for one in drawn
        if (one.bound.sli, one.source, one.subject) == (sli, "client", subject)
        for mark in _marks(one, {part.start_s for part in one.parts if part.verdict == "fail"})
    )


def signal_marks(drawn: Sequence[DrawnBound], name: str) -> tuple[BoundMark, ...]:
    """The bounds on the own signal ``name``."""
    return tuple(
        mark
        for one in drawn
        if (one.bound.sli, one.bound.statistic) == ("signal", name)
        for mark in _marks(one, {part.start_s for part in one.parts if part.verdict == "fail"})
    )


def in_flight_mark(recording: Recording) -> BoundMark:
    """The bound of arrivals in flight; missed when any had to wait for a user, or was dropped."""
    plan = recording.plan
    return BoundMark(
        label=f"≤ {fmt.count(plan.max_in_flight)}",
        value=float(plan.max_in_flight),
        above=False,
        windows=((0.0, plan.duration_s),),
        missed=any(one.waited or one.dropped for one in recording.load.arrivals.values()),
    )


def service_marks(
    drawn: Sequence[DrawnBound], signal: str, service: str, evaluation: Evaluation
) -> tuple[BoundMark, ...]:
    """The bounds on a golden signal of ``service``, as the mesh sees it.

    A bound on saturation that names no service holds for each, as does one on each service; whether
    this one missed it is told by its own figures.
    """
    marks: list[BoundMark] = []
    for one in drawn:
        if one.bound.sli.split(".")[0] != signal or one.source != "mesh" or service in one.but:
            continue
        if one.subject == service:
            missed = {part.start_s for part in one.parts if part.verdict is Verdict.FAIL}
        elif one.subject == EACH or (signal == "saturation" and not one.subject):
            own = [figures for figures in evaluation.signals if figures.service == service]
            missed = {figures.start_s for figures in own if _misses(one.bound, figures)}
        else:
            continue
        marks += _marks(one, missed)
    return tuple(marks)


def _misses(bound: Bound, figures: SignalFigures) -> bool:
    value = getattr(figures, _FIGURES.get(bound.indicator, ""), None)
    return value is not None and not bound.holds(value)


def _marks(one: DrawnBound, missed: set[float]) -> Iterable[BoundMark]:
    """The windows in which the bound was missed, then those in which it was kept."""
    judged = [p for p in one.parts if p.verdict is not Verdict.INCONCLUSIVE or p.start_s in missed]
    for is_missed in (True, False):
        windows = [(p.start_s, p.end_s) for p in judged if (p.start_s in missed) is is_missed]
        if windows:
            yield BoundMark(
                label=_label(one),
                value=one.bound.value,
                above=one.bound.operator in (">", ">="),
                windows=_touching(windows),
                missed=is_missed,
                quantile=one.bound.quantile,
            )


def _label(one: DrawnBound) -> str:
    bound = one.bound
    operator = {"<=": "≤", ">=": "≥"}.get(bound.operator, bound.operator)
    unit = "" if bound.unit == "count" else bound.unit  # A gauge keeps its digits.
    limit = f"{operator} {fmt.quantity(bound.value, unit)}"
    if one.sustained:
        limit += f" for {one.sustained}"
    if bound.sli == "signal":
        return limit
    if bound.sli.startswith("saturation"):
        what = bound.sli.removeprefix("saturation.")
        return f"{'CPU' if what == 'cpu' else what} {limit}"
    return f"{bound.statistic} {limit}".strip()


def _touching(windows: Iterable[tuple[float, float]]) -> tuple[tuple[float, float], ...]:
    """``windows`` with those that touch made one."""
    result: list[tuple[float, float]] = []
    for start_s, end_s in sorted(windows):
        if result and start_s <= result[-1][1]:
            result[-1] = (result[-1][0], max(result[-1][1], end_s))
        else:
            result.append((start_s, end_s))
    return tuple(result)
