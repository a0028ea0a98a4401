"""CPU and memory of a service's pods over exactly one phase.

CPU is what the counters grew by, against the CPU that the living pods requested, as a mean over the
phase. Memory is the *highest* share of the limits in the phase: a limit is broken by the highest.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from runner.errors import SignalError
from runner.model.recording import PhaseSignal
from runner.signals.client import Answer
from runner.signals.figures import Figure, PhaseWindow, attempt, failed, nothing
from runner.signals.growth import Growth, growth
from runner.signals.queries import pods_of, seconds
from runner.signals.scope import MOST_CHART_POINTS, Scope

_MISSING_RATIO = 0.1
_MISSING_INSTANTS = 3
_NO_PODS = "nothing is known about its pods"


def saturation_signals(
    scope: Scope, window: PhaseWindow, workloads: Mapping[str, set[str]]
) -> Iterator[PhaseSignal]:
    """CPU and memory of each service in one phase.

    Args:
        scope: The collection.
        window: The phase.
        workloads: Service to the workloads that are its pods.

    Raises:
        UnreachableError: When Prometheus does not answer at all.
    """
    if not workloads:
        return
    everyone = pods_of(scope.dialect, set().union(*workloads.values()))
    selector = scope.fill(scope.dialect.cpu, pods=everyone)
    name = f"phase{window.phase.index}-cpu"
    grown = attempt(lambda: growth(scope.client, name, selector, window.start_s, window.end_s))
    for service, names in workloads.items():
        pods = pods_of(scope.dialect, names)
        yield _cpu(scope, window, pods, grown).of(window, "saturation.cpu", service)
        yield _memory(scope, window, pods).of(window, "saturation.memory", service)


def _cpu(scope: Scope, window: PhaseWindow, pods: str, grown: Growth | SignalError) -> Figure:
    if isinstance(grown, SignalError):
        return failed("", grown)
    capacity = scope.fill(scope.dialect.cpu_capacity, pods=pods)
    answers = _over(scope, window, "cpu-requested", ("avg_over_time", "count_over_time"), capacity)
    if isinstance(answers, SignalError):
        return failed(capacity, answers)
    requested, instants = answers
    pattern = re.compile(pods)
    used = [
        value for key, value in grown.values.items() if pattern.fullmatch(dict(key).get("pod", ""))
    ]
    query = f"({grown.query}) / avg_over_time(({capacity})[{seconds(window.seconds)}:])"
    warnings = (*grown.warnings, *_warnings(answers))
    cores = _value(requested)
    if not used or not cores:
        return nothing(query, _NO_PODS, warnings)
    value = sum(used) / window.seconds / cores
    return _complete(scope, window, Figure(value, _value(instants), query, warnings=warnings))


def _memory(scope: Scope, window: PhaseWindow, pods: str) -> Figure:
    share = scope.fill(scope.dialect.memory, pods=pods)
    answers = _over(scope, window, "memory", ("max_over_time", "count_over_time"), share)
    if isinstance(answers, SignalError):
        return failed(share, answers)
    highest, instants = answers
    query = f"max_over_time(({share})[{seconds(window.seconds)}:])"
    value = _value(highest)
    if value is None:
        return nothing(query, _NO_PODS, _warnings(answers))
    figure = Figure(value, _value(instants), query, warnings=_warnings(answers))
    return _complete(scope, window, figure)


def _over(
    scope: Scope, window: PhaseWindow, name: str, functions: tuple[str, ...], expression: str
) -> list[Answer] | SignalError:
    """Each of ``functions`` over the instants of the phase at which ``expression`` is taken."""
    inner = f"({expression})[{seconds(window.seconds)}:{seconds(_step_s(scope, window))}]"

    def ask() -> list[Answer]:
        label = f"phase{window.phase.index}-{name}"
        return [
            scope.client.query(label, f"{function}({inner})", window.end_s)
            for function in functions
        ]

    return attempt(ask)


def _step_s(scope: Scope, window: PhaseWindow) -> float:
    return max(scope.interval_s, window.seconds / MOST_CHART_POINTS)


def _complete(scope: Scope, window: PhaseWindow, figure: Figure) -> Figure:
    """``figure``, as having gaps when it was there at too few instants of the phase."""
    expected = window.seconds / _step_s(scope, window)
    missing = expected - (figure.samples or 0.0)
    if missing <= max(_MISSING_INSTANTS, _MISSING_RATIO * expected):
        return figure
    message = f"it is known for {(figure.samples or 0.0) / expected:.0%} of the phase only"
    return Figure(figure.value, figure.samples, figure.query, "gaps", message, figure.warnings)


def _value(answer: Answer) -> float | None:
    return answer.series[0].points[-1][1] if answer.series else None


def _warnings(answers: list[Answer]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(text for answer in answers for text in answer.warnings))
