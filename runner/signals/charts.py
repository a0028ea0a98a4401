"""The golden signals over the whole run, as series for charts. Verdicts do not rest on these."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping

from runner.analysis.checks import has_pods
from runner.errors import SignalError
from runner.model.recording import SignalSeries, SignalState
from runner.signals.client import Answer, Sampled
from runner.signals.figures import attempt
from runner.signals.queries import Chart, literal, pods_of, seconds
from runner.signals.scope import Scope

_DIGITS = 6
"""Significant digits of a point: more than any chart shows."""


def chart_series(scope: Scope, workloads: Mapping[str, set[str]]) -> Iterator[SignalSeries]:
    """Every chart of every service; of outside hosts, only what the mesh knows.

    Raises:
        UnreachableError: When Prometheus does not answer at all.
    """
    window = seconds(scope.chart_window_s)
    for chart in scope.dialect.charts:
        query = scope.fill(chart.template, window=window)
        answer = _ask(scope, chart, query)
        for service in workloads:
            wanted = {scope.dialect.service_label: service}
            one = _only(answer, wanted)
            yield series_of(
                scope,
                one,
                sli=chart.sli,
                unit=chart.unit,
                query=query,
                service=service,
                factor=chart.factor,
            )
    for chart in scope.dialect.service_charts:
        for service, names in workloads.items():
            if has_pods(service):
                query = scope.fill(
                    chart.template,
                    pods=pods_of(scope.dialect, names),
                    workloads="|".join(literal(name) for name in sorted(names)),
                    service=literal(service),
                    window=window,
                )
                answer = _ask(scope, chart, query)
                yield series_of(
                    scope,
                    answer,
                    sli=chart.sli,
                    unit=chart.unit,
                    query=query,
                    service=service,
                    factor=chart.factor,
                )


def _ask(scope: Scope, chart: Chart, query: str) -> Answer | SignalError:
    name = f"chart-{chart.sli.replace('.', '-')}"
    times = (scope.zero_s, scope.zero_s + scope.end_s)
    return attempt(lambda: scope.client.query_range(name, query, *times, scope.chart_step_s))


def _only(answer: Answer | SignalError, wanted: Mapping[str, str]) -> Answer | SignalError:
    if isinstance(answer, SignalError):
        return answer
    series = tuple(one for one in answer.series if wanted.items() <= one.labels.items())
    return Answer(series, answer.warnings)


def series_of(
    scope: Scope,
    answer: Answer | SignalError,
    *,
    sli: str,
    unit: str,
    query: str,
    service: str = "",
    factor: float = 1.0,
) -> SignalSeries:
    """What was answered over the whole run, as a series on one grid.

    Args:
        scope: The collection.
        answer: To ``query``, or why there is none.
        sli: Name of the indicator.
        unit: Unit after ``factor``.
        query: What was asked.
        service: Whom it is about.
        factor: What each value is multiplied with.
    """
    points: tuple[tuple[float, float | None], ...] = ()
    warnings: tuple[str, ...] = ()
    if isinstance(answer, SignalError):
        state: SignalState = "error"
        message = answer.message
    else:
        points = _grid(scope, answer.series, factor) if answer.series else ()
        state, message = _state(value for _, value in points)
        warnings = answer.warnings
    return SignalSeries(
        sli=sli,
        service=service,
        unit=unit,
        query=query,
        step_s=float(scope.chart_step_s),
        points=points,
        state=state,
        message=message,
        warnings=warnings,
    )


def _grid(
    scope: Scope, found: Iterable[Sampled], factor: float
) -> tuple[tuple[float, float | None], ...]:
    """A point for each step of the run; None where there was no value, or none that is a number."""
    values = {round(at_s): value * factor for one in found for at_s, value in one.points}
    first, last = math.ceil(scope.zero_s), math.floor(scope.zero_s + scope.end_s)
    return tuple(
        (round(at_s - scope.zero_s, 3), _number(values.get(at_s)))
        for at_s in range(first, last + 1, scope.chart_step_s)
    )


def _number(value: float | None) -> float | None:
    return float(f"{value:.{_DIGITS}g}") if value is not None and math.isfinite(value) else None


def _state(values: Iterable[float | None]) -> tuple[SignalState, str]:
    known = list(values)
    missing = sum(value is None for value in known)
    if missing == len(known):
        return "empty", "there is no data"
    return ("gaps", f"{missing} of {len(known)} points are missing") if missing else ("ok", "")
