"""How much counters grew between two instants: the questions; ``counters`` has the arithmetic."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from runner.signals.client import PromClient, Sampled
from runner.signals.counters import Labels, increases, key_of, walked_increase
from runner.signals.queries import seconds, with_matchers

LOOKBACK_S = 300.0
"""How far before the start a series is looked for; as long as Prometheus itself looks back."""

SPAN_S = 3600.0
"""Longer intervals are taken in pieces, so that no question loads too many samples."""


@dataclass(slots=True)
class Growth:
    """Increase of each series of one selector.

    Attributes:
        query: The question that gave the values at the end.
        values: Labels to increase.
        warnings: What Prometheus warned about, once each.
    """

    query: str
    values: dict[Labels, float] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


def growth(client: PromClient, name: str, selector: str, start_s: float, end_s: float) -> Growth:
    """The increase of every series of ``selector`` from ``start_s`` to ``end_s`` (Unix times).

    Raises:
        SignalError: When Prometheus gives no usable answer.
    """
    grown = Growth(f"last_over_time({selector}[{seconds(end_s - start_s)}])")

    def ask(part: str, promql: str, at_s: float) -> tuple[Sampled, ...]:
        answer = client.query(f"{name}-{part}", promql, at_s)
        grown.warnings += [text for text in answer.warnings if text not in grown.warnings]
        return answer.series

    for first_s, last_s in _spans(start_s, end_s):
        for key, value in _span(ask, selector, first_s, last_s).items():
            grown.values[key] = grown.values.get(key, 0.0) + value
    return grown


def _spans(start_s: float, end_s: float) -> Iterator[tuple[float, float]]:
    while end_s - start_s > SPAN_S:
        yield start_s, start_s + SPAN_S
        start_s += SPAN_S
    yield start_s, end_s


def _span(
    ask: Callable[[str, str, float], tuple[Sampled, ...]],
    selector: str,
    start_s: float,
    end_s: float,
) -> dict[Labels, float]:
    # The end looks as far back as the start does: whatever is found there is found here as well.
    far = seconds(end_s - start_s + LOOKBACK_S)
    near = seconds(LOOKBACK_S)
    at_start = ask("start", f"last_over_time({selector}[{near}])", start_s)
    at_end = ask("end", f"last_over_time({selector}[{far}])", end_s)
    reset = ask("resets", f"resets({selector}[{far}]) > 0", end_s)
    wanted = {key_of(one.labels) for one in reset}
    walked: dict[Labels, float] = {}
    for matchers in _targets(reset):
        for one in ask("samples", f"{with_matchers(selector, matchers)}[{far}]", end_s):
            if key_of(one.labels) in wanted:
                walked[key_of(one.labels)] = walked_increase(one.points, start_s)
    return increases(_last(at_start), _last(at_end), walked)


def _last(series: tuple[Sampled, ...]) -> dict[Labels, float]:
    return {key_of(one.labels): one.points[-1][1] for one in series}


def _targets(series: tuple[Sampled, ...]) -> list[dict[str, str]]:
    """The scrape targets of ``series``: one question for each instead of one for each series."""
    found = {(one.labels.get("job", ""), one.labels.get("instance", "")) for one in series}
    return [{"job": job, "instance": instance} for job, instance in sorted(found)]
