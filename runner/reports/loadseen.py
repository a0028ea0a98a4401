"""What the load saw, in the steps that charts have and by kind of phase: one pass. Pure; no words.

The only place of the reports that reads the record's rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from runner.analysis.windows import LoadTable, joined
from runner.model.histogram import Counts, merge_into
from runner.model.recording import OUTCOMES, Recording
from runner.reports.grid import Grid

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
    """

    counts: dict[str, list[int]]
    latencies: list[dict[int, int]]
    service: list[dict[int, int]]
    recorded: int
    kinds: Mapping[str, Counts] = field(default_factory=dict)


def load_seen(recording: Recording, grid: Grid) -> LoadSeen:
    """Read the rows of ``recording`` once."""
    load, with_service = recording.load, recording.plan.experiment.load.is_open
    counts: dict[str, list[int]] = {name: [0] * grid.count for name in OUTCOMES}
    latencies: list[dict[int, int]] = [{} for _ in range(grid.count)]
    service: list[dict[int, int]] = [{} for _ in range(grid.count)]
    recorded = 0
    for second in load.users:
        index = grid.index_of(float(second))
        recorded = max(recorded, 0 if index is None else index + 1)
    for row in load.rows:
        index = grid.index_of(float(row.second))
        if index is None or row.second >= grid.duration_s:
            continue
        recorded = max(recorded, index + 1)
        counts.setdefault(row.outcome, [0] * grid.count)[index] += row.count
        if row.outcome == "success":
            merge_into(latencies[index], row.latency_us)
            if with_service:
                sent = row.latency_us if row.service_us is None else row.service_us
                merge_into(service[index], sent)
    return LoadSeen(counts, latencies, service, recorded, _kinds(recording))


def _kinds(recording: Recording) -> dict[str, Counts]:
    """Latencies by kind of phase, with a second in the phase that all figures have it in."""
    table = LoadTable(recording.load, recording.plan)
    found: dict[str, Counts] = {}
    for name in PHASE_KINDS:
        phases = recording.plan.phases_named(name)
        if phases:
            seen = joined(table.slice(phase.start_s, phase.end_s) for phase in phases)
            found[name] = seen.latency_us
    return found
