"""Own signals of an experiment: any PromQL of one series, over each phase and over the whole run.

A query with ``$range`` is asked at the end of a phase, with the phase's length filled in. One
without it is asked all through the phase, and ``take`` says which of its values counts. What is no
number is missing, and a query that gives several series is told so: which of them is meant, nobody
knows.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Iterator
from statistics import fmean

from runner.errors import SignalError
from runner.model.ownsignal import OwnSignal, Take
from runner.model.recording import PhaseSignal, SignalSeries
from runner.signals.charts import series_of
from runner.signals.client import Answer, Sampled
from runner.signals.figures import Figure, PhaseWindow, failed, nothing
from runner.signals.scope import MOST_CHART_POINTS, Scope

MISSING_RATIO = 0.1
MISSING_INSTANTS = 3
_SHOWN = 3

_TAKE: dict[Take, Callable[[list[float]], float]] = {
    "mean": fmean,
    "min": min,
    "max": max,
    "last": lambda values: values[-1],
}


def sli_of(name: str) -> str:
    """The name under which the signal ``name`` is kept."""
    return f"signal.{name}"


def own_series(scope: Scope) -> Iterator[SignalSeries]:
    """Every own signal over the whole run, for charts; asks last, and raises nothing."""
    for name, signal in scope.plan.experiment.signals.items():
        query = signal.query(scope.namespace, scope.chart_window_s)
        start_s, end_s, step_s = scope.zero_s, scope.zero_s + scope.end_s, scope.chart_step_s
        asked = functools.partial(scope.client.query_range, f"chart-signal-{name}", query)
        answer = _single(_tried(functools.partial(asked, start_s, end_s, step_s)))
        yield series_of(scope, answer, sli=sli_of(name), unit=signal.unit, query=query)


def own_figures(scope: Scope, window: PhaseWindow) -> Iterator[PhaseSignal]:
    """Every own signal in one phase or window; asks last, and raises nothing."""
    for name, signal in scope.plan.experiment.signals.items():
        figure = _over_range if signal.over_range else _through
        yield figure(scope, window, name, signal).of(window, sli_of(name), "", signal.unit)


def _over_range(scope: Scope, window: PhaseWindow, name: str, signal: OwnSignal) -> Figure:
    query = signal.query(scope.namespace, window.seconds)
    label = f"phase{window.phase.index}-signal-{name}"
    answer = _single(_tried(lambda: scope.client.query(label, query, window.end_s)))
    if isinstance(answer, SignalError):
        return failed(query, answer)
    if not answer.series:
        return nothing(query, "no series matches", answer.warnings)
    value = answer.series[0].points[-1][1]
    if math.isnan(value):
        return nothing(query, "the answer is not a number", answer.warnings)
    return Figure(value, 1.0, query, warnings=answer.warnings)


def _through(scope: Scope, window: PhaseWindow, name: str, signal: OwnSignal) -> Figure:
    query = signal.query(scope.namespace, window.seconds)
    label = f"phase{window.phase.index}-signal-{name}"
    step_s = max(1, round(scope.interval_s), math.ceil(window.seconds / (MOST_CHART_POINTS - 1)))
    times = (window.start_s, window.end_s, step_s)
    answer = _single(_tried(lambda: scope.client.query_range(label, query, *times)))
    if isinstance(answer, SignalError):
        return failed(query, answer)
    points = answer.series[0].points if answer.series else ()
    known = [(at_s, value) for at_s, value in points if not math.isnan(value)]
    if not known:
        why = "the answer is not a number" if points else "no series matches"
        return nothing(query, why, answer.warnings)
    value = _TAKE[signal.take]([value for _, value in known])
    figure = Figure(value, float(len(known)), query, warnings=answer.warnings)
    return _complete(window, step_s, known[-1][0], figure, last=signal.take == "last")


def _complete(
    window: PhaseWindow, step_s: int, last_s: float, figure: Figure, *, last: bool
) -> Figure:
    """``figure``, as having gaps when too few instants have a value, or the last ones have none."""
    expected = len(range(math.ceil(window.start_s), math.floor(window.end_s) + 1, step_s))
    missing = expected - (figure.samples or 0.0)
    message = ""
    if missing > max(MISSING_INSTANTS, MISSING_RATIO * expected):
        message = f"it is known for {(figure.samples or 0.0) / expected:.0%} of the phase only"
    elif last and window.end_s - last_s > (MISSING_INSTANTS + 1) * step_s:
        message = f"its last value is {window.end_s - last_s:.0f} s older than the end of the phase"
    if not message:
        return figure
    return Figure(figure.value, figure.samples, figure.query, "gaps", message, figure.warnings)


# -- questions -------------------------------------------------------------------------------------


def _tried(ask: Callable[[], Answer]) -> Answer | SignalError:
    """What is answered, or why nothing is: a query that takes for ever is its reader's alone."""
    try:
        return ask()
    except SignalError as error:
        return error


def _single(answer: Answer | SignalError) -> Answer | SignalError:
    """``answer``, if it is of one series of numbers at most, else what is wrong with it."""
    if isinstance(answer, SignalError):
        return answer
    if answer.kind in ("matrix", "string"):
        return SignalError("the query gives no single number; accepted: one, as of sum(rate(...))")
    if len(answer.series) > 1:
        return SignalError(
            f"the query gives {len(answer.series)} series, and one is wanted: put them together, "
            f"as with sum() or max(); they are {_named(answer.series)}"
        )
    return answer


def _named(series: Iterable[Sampled]) -> str:
    known = list(series)
    shown = [
        "{" + ", ".join(f'{k}="{v}"' for k, v in sorted(one.labels.items())) + "}"
        for one in known[:_SHOWN]
    ]
    more = len(known) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")
