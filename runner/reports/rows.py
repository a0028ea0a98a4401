"""Rows of a report's tables: each figure as a number and as people read it. Pure; no markup."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from runner.model.evaluation import (
    ArrivalFigures,
    FailureFigure,
    Finding,
    LoadFigures,
    Part,
    ServiceTimes,
    Verdict,
)
from runner.model.shape import Items, Model
from runner.reports import format as fmt
from runner.reports.bounds import bound_in
from runner.reports.text import Shown

MOST_ENDPOINTS = 40
MOST_FAILURES = 50
MOST_FAILED = 24

WORDS = {
    Verdict.PASS: "Pass",
    Verdict.WARN: "Pass with warnings",
    Verdict.FAIL: "Fail",
    Verdict.INCONCLUSIVE: "Inconclusive",
}
_OPERATORS = {"<=": "≤", ">=": "≥"}

KINDS = {
    "http_4xx": "HTTP 4xx",
    "http_5xx": "HTTP 5xx",
    "timeout": "timeout",
    "connection": "connection",
    "error": "other",
}
"""Outcomes as people call them."""


class Number(Model):
    """A figure in base units, and as people read it."""

    value: float | None
    unit: str
    text: str


class PartRow(Model):
    """One window of a finding."""

    label: Shown
    window: str
    verdict: Verdict
    observed: Number
    samples: Number
    reason: Shown


class FindingRow(Model):
    """A line of the tables of objectives and of validity.

    Attributes:
        phase: Name of the phase that decided, where one did.
        samples: Requests or scrapes that the figure rests on.
        weight: Its part in the score, where there is one.
        key: Whether missing it fails the run whatever the score is.
        reference: Of a relative objective: how its bound came about, such as "baseline 100 ms +
            10 % = 110 ms".
    """

    title: Shown
    check: Shown
    where: Shown
    source: Shown
    verdict: Verdict
    word: str
    observed: Number
    bound: Number
    warn: Number
    bound_text: str
    warn_text: str
    margin: Number
    reason: Shown
    phase: str = ""
    samples: Number
    weight: Number
    key: bool = False
    reference: Shown = ""
    parts: Items[PartRow] = ()


class AnswerRow(Model):
    """A question, and what the run says to it.

    Attributes:
        check: Stable name of the question.
        answered: Whether there is an answer.
    """

    question: Shown
    check: str
    where: Shown
    answered: bool
    observed: Number
    text: Shown
    parts: Items[PartRow] = ()

    @property
    def sampled(self) -> bool:
        """Whether its parts rest on counted requests."""
        return any(part.samples.value is not None for part in self.parts)


class ServiceRow(Model):
    """Latencies from the send."""

    p50: Number
    p95: Number
    p99: Number


class ArrivalRow(Model):
    """What became of the arrivals of a phase."""

    offered: Number
    started: Number
    waited: Number
    dropped: Number
    completed: Number
    peak_in_flight: Number


class LoadRow(Model):
    """Load figures of a phase, or of an endpoint in a phase.

    Attributes:
        service: In the open model only.
        arrivals: Of whole phases in the open model only.
    """

    label: Shown
    phase: str
    endpoint: Shown
    window: str
    users: Number
    requests: Number
    rate: Number
    failures: Number
    error_ratio: Number
    p50: Number
    p95: Number
    p99: Number
    highest: Number
    kinds: str
    service: ServiceRow | None = None
    arrivals: ArrivalRow | None = None


class FailureRow(Model):
    """A kind of failure and how often it was seen."""

    endpoint: Shown
    outcome: Shown
    text: Shown
    count: Number


def number(value: float | None, unit: str) -> Number:
    """``value`` with its text."""
    return Number(value=value, unit=unit, text=fmt.quantity(value, unit))


def worst_first(rows: Iterable[FindingRow]) -> tuple[FindingRow, ...]:
    """``rows`` with what needs a reader's eye at the top; equals stay in the file's order."""
    rank = {verdict: place for place, verdict in enumerate(Verdict)}
    return tuple(sorted(rows, key=lambda row: -rank[row.verdict]))


def window(start_s: float, end_s: float) -> str:
    """A window as ``00:30 to 01:05``."""
    return f"{fmt.clock_offset(start_s)} to {fmt.clock_offset(end_s)}"


# -- findings --------------------------------------------------------------------------------------


def finding_row(finding: Finding) -> FindingRow:
    """The row of ``finding``, with a row for each window that it looked at."""
    operator = _OPERATORS.get(finding.operator, finding.operator)
    bound = _figure(finding.bound, finding)
    warn = _figure(finding.warn, finding)
    return FindingRow(
        title=finding.title,
        check=finding.check,
        where=finding.where,
        source={"client": "load", "mesh": "mesh"}.get(finding.source, finding.source),
        verdict=finding.verdict,
        word=WORDS[finding.verdict] if finding.verdict is not Verdict.WARN else "Warning",
        observed=_figure(finding.observed, finding),
        bound=bound,
        warn=warn,
        bound_text="" if finding.bound is None else f"{operator} {bound.text}".strip(),
        warn_text="" if finding.warn is None else f"{operator} {warn.text}".strip(),
        margin=number(finding.margin_ratio, "ratio"),
        reason=finding.reason,
        phase=finding.phase,
        samples=number(finding.samples, "count"),
        weight=Number(value=finding.weight, unit="count", text=f"{finding.weight:g}"),
        key=finding.key,
        reference=reference_text(finding),
        parts=tuple(_part(part, finding) for part in finding.parts),
    )


def _figure(value: float | None, finding: Finding) -> Number:
    """A figure of ``finding``; a count may be a gauge or a factor, and keeps its digits."""
    unit = finding.unit
    return Number(value=value, unit=unit, text=fmt.quantity(value, "" if unit == "count" else unit))


def reference_text(finding: Finding) -> str:
    """How the bound of a relative objective came about; empty for an absolute one."""
    reference = finding.reference
    if reference is None:
        return ""
    unit = "" if finding.unit == "count" else finding.unit
    if reference.observed is None:
        return f"{reference.name}: {reference.reason}" if reference.reason else reference.name
    text = f"{reference.name} {fmt.quantity(reference.observed, unit)}"
    bound, _ = bound_in(finding.title)
    slack = None if bound is None else bound.reference
    if slack is not None and (slack.slack or slack.slack_ratio):
        sign = fmt.MINUS if min(slack.slack, slack.slack_ratio) < 0 else "+"
        if slack.slack_ratio:
            amount = fmt.percent(abs(slack.slack_ratio))
        elif unit == "ratio":
            amount = fmt.points(abs(slack.slack))
        else:
            amount = fmt.quantity(abs(slack.slack), unit)
        text += f" {sign} {amount} = {fmt.quantity(finding.bound, unit)}"
    return f"{text} ({reference.reason})" if reference.reason else text


def answer_row(finding: Finding) -> AnswerRow:
    """The row of an answer."""
    return AnswerRow(
        question=finding.title,
        check=finding.check,
        where=finding.where,
        answered=finding.verdict is Verdict.PASS,
        observed=number(finding.observed, finding.unit),
        text=finding.reason,
        parts=tuple(_part(part, finding) for part in finding.parts),
    )


def _part(part: Part, finding: Finding) -> PartRow:
    return PartRow(
        label=part.label,
        window=window(part.start_s, part.end_s),
        verdict=part.verdict,
        observed=_figure(part.observed, finding),
        samples=number(part.samples, "count"),
        reason=part.reason,
    )


# -- tables ----------------------------------------------------------------------------------------


def load_row(figures: LoadFigures) -> LoadRow:
    """The row of one phase, or of one endpoint in one phase."""
    kinds = {name: n for name, n in figures.outcomes.items() if name != "success" and n}
    return LoadRow(
        label=figures.label,
        phase=figures.phase,
        endpoint=figures.endpoint,
        window=window(figures.start_s, figures.end_s),
        users=number(figures.users, "count"),
        requests=number(figures.requests, "count"),
        rate=number(figures.rate_per_s, "per_s"),
        failures=number(figures.failures, "count"),
        error_ratio=number(figures.error_ratio, "ratio"),
        p50=number(figures.p50_s, "s"),
        p95=number(figures.p95_s, "s"),
        p99=number(figures.p99_s, "s"),
        highest=number(figures.max_s, "s"),
        kinds=", ".join(f"{fmt.count(n)} {KINDS.get(name, name)}" for name, n in kinds.items()),
        service=None if figures.service is None else _service_row(figures.service),
        arrivals=None if figures.arrivals is None else _arrival_row(figures.arrivals),
    )


def _service_row(times: ServiceTimes) -> ServiceRow:
    return ServiceRow(
        p50=number(times.p50_s, "s"), p95=number(times.p95_s, "s"), p99=number(times.p99_s, "s")
    )


def _arrival_row(figures: ArrivalFigures) -> ArrivalRow:
    return ArrivalRow(
        **{name: number(value, "count") for name, value in figures.model_dump().items()}
    )


def endpoint_rows(figures: Iterable[LoadFigures]) -> tuple[tuple[tuple[LoadRow, ...], ...], str]:
    """Rows by endpoint, the busiest endpoints only, and what was left out."""
    by_endpoint: dict[str, list[LoadFigures]] = {}
    for one in figures:
        by_endpoint.setdefault(one.endpoint, []).append(one)
    busiest = sorted(by_endpoint, key=lambda name: -sum(f.requests for f in by_endpoint[name]))
    kept = sorted(busiest[:MOST_ENDPOINTS])
    rows = tuple(tuple(load_row(one) for one in by_endpoint[name]) for name in kept)
    return rows, _left_out(len(busiest) - len(kept), "endpoints with fewer requests")


def failure_rows(figures: Sequence[FailureFigure]) -> tuple[tuple[FailureRow, ...], str]:
    """Rows of the most frequent failures, and what was left out."""
    rows = tuple(
        FailureRow(
            endpoint=failure.endpoint,
            outcome=KINDS.get(failure.outcome, failure.outcome),
            text=failure.text,
            count=number(failure.count, "count"),
        )
        for failure in figures[:MOST_FAILURES]
    )
    return rows, _left_out(len(figures) - len(rows), "kinds of failure")


def failed_rows(figures: Iterable[LoadFigures]) -> tuple[tuple[LoadRow, ...], str]:
    """Where requests failed: endpoint and phase, the most failures first, and what was left out."""
    failed = sorted((one for one in figures if one.failures), key=lambda one: -one.failures)
    rows = tuple(load_row(one) for one in failed[:MOST_FAILED])
    return rows, _left_out(len(failed) - len(rows), "endpoints and phases with fewer failures")


def _left_out(rest: int, what: str) -> str:
    return f"{fmt.count(rest)} more {what} are not shown here." if rest > 0 else ""
