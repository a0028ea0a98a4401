"""What the load saw, in the steps that charts have and by kind of phase. Pure; no words.

The only place of the reports that reads the record's rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from runner.analysis.windows import LoadTable, joined
from runner.model.evaluation import LoadFigures
from runner.model.histogram import Counts
from runner.model.plan import Plan
from runner.model.recording import OUTCOMES, Recording
from runner.reports.grid import Grid

MOST_SMALL_STEPS = 150
MOST_ENDPOINTS = 6
"""Endpoints whose latencies are drawn, too."""

PHASE_KINDS = ("baseline", "fault", "recovery")
"""Kinds of phases whose latencies are compared; a warmup is not compared with anything."""


@dataclass(frozen=True, slots=True)
class LoadSeen:
    """What was seen in each step of the grid, and in each kind of phase.

    Attributes:
        counts: Requests by outcome.
        latencies: Histograms of successes, in microseconds.
        service: The same from the send; of the open model only.
        recorded: Number of steps with a record.
        kinds: Kind of phase to the histogram of its successes.
        endpoints: Endpoint to its histograms in the steps of a grid of at most
            :data:`MOST_SMALL_STEPS`.
    """

    counts: dict[str, list[int]]
    latencies: list[Counts]
    service: list[Counts]
    recorded: int
    kinds: Mapping[str, Counts] = field(default_factory=dict)
    endpoints: Mapping[str, Sequence[Counts]] = field(default_factory=dict)


def load_seen(recording: Recording, grid: Grid, endpoints: Sequence[str] = ()) -> LoadSeen:
    """Add up the rows of ``recording`` in the steps of ``grid``, and those of ``endpoints``."""
    table = LoadTable(recording.load, recording.plan)
    edges_s = [*(start_s for start_s, _ in grid.edges_s), grid.duration_s]
    seen = table.merged_bins(edges_s)
    names = dict.fromkeys([*OUTCOMES, *(name for one in seen for name in one.outcomes)])
    inside = [second for second in recording.load.users if second < grid.duration_s]
    steps = [grid.index_of(float(max(inside, default=-1)))]
    steps += [index for index, one in enumerate(seen) if one.requests]
    service: list[Counts] = [{} for _ in seen]
    if recording.plan.experiment.load.is_open:
        service = [one.latency_us for one in table.merged_bins(edges_s, service=True)]
    return LoadSeen(
        counts={name: [one.outcomes.get(name, 0) for one in seen] for name in names},
        latencies=[one.latency_us for one in seen],
        service=service,
        recorded=max((index + 1 for index in steps if index is not None), default=0),
        kinds=_kinds(table, recording.plan),
        endpoints=_endpoints(table, grid, endpoints),
    )


def _kinds(table: LoadTable, plan: Plan) -> dict[str, Counts]:
    """Latencies by kind of phase, with a second in the phase that all figures have it in."""
    found: dict[str, Counts] = {}
    for name in PHASE_KINDS:
        phases = plan.phases_named(name)
        if phases:
            seen = joined(table.slice(phase.start_s, phase.end_s) for phase in phases)
            found[name] = seen.latency_us
    return found


def _endpoints(table: LoadTable, grid: Grid, names: Sequence[str]) -> dict[str, list[Counts]]:
    coarse = grid.coarser(MOST_SMALL_STEPS)
    edges_s = [*(start_s for start_s, _ in coarse.edges_s), coarse.duration_s]
    return {name: [one.latency_us for one in table.merged_bins(edges_s, name)] for name in names}


def busiest(figures: Iterable[LoadFigures]) -> list[str]:
    """The endpoints with most requests, by name; none where there is one only."""
    requests: dict[str, int] = {}
    for one in figures:
        requests[one.endpoint] = requests.get(one.endpoint, 0) + one.requests
    if len(requests) < 2:
        return []
    return sorted(sorted(requests, key=lambda name: -requests[name])[:MOST_ENDPOINTS])
