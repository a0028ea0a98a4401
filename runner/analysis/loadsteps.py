"""From the load record to the stages of a profile. Nothing is judged but the generator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from runner.analysis.lengths import steady_from_s
from runner.analysis.loadchecks import BUSY_CPU_RATIO, BUSY_SECONDS_RATIO, LATE_S, strained_s
from runner.analysis.profile import Plateau
from runner.analysis.stageknee import StageFigures
from runner.analysis.stats import statistic_s
from runner.analysis.windows import LoadTable, joined, seconds_of
from runner.analysis.words import figure
from runner.model.recording import GeneratorSecond

PIECES = 10
"""Equal pieces of a plateau, whose scatter says how noisy a stage is."""


def stage_figures(
    table: LoadTable,
    generator: Mapping[int, GeneratorSecond],
    stages: Sequence[Plateau],
    endpoint: str | None = None,
) -> tuple[StageFigures, ...]:
    """Figures of each plateau that was recorded to its end.

    Args:
        table: The record.
        generator: The generator's own account, second by second.
        stages: The plateaus as they were planned.
        endpoint: Only this one; None for all.
    """
    reached = (stage for stage in stages if stage.end_s <= table.recorded_s)
    return tuple(_stage(table, generator, stage, endpoint) for stage in reached)


def _stage(
    table: LoadTable,
    generator: Mapping[int, GeneratorSecond],
    stage: Plateau,
    endpoint: str | None,
) -> StageFigures:
    start_s = steady_from_s(stage)
    seen = table.slice(start_s, stage.end_s, endpoint)
    per_second = table.per_second(start_s, stage.end_s, endpoint)
    size = max(1, len(per_second) // PIECES)
    pieces = [joined(per_second[at : at + size]) for at in range(0, len(per_second), size)]
    quantiles = (statistic_s(piece.latency_us, "p95") for piece in pieces)
    return StageFigures(
        users=stage.level,
        requests=seen.requests,
        rate_per_s=seen.rate_per_s,
        error_ratio=seen.error_ratio or 0.0,
        p95_s=statistic_s(seen.latency_us, "p95"),
        batches_s=tuple(value for value in quantiles if value is not None),
        generator_problem=generator_problem(generator, seconds_of(start_s, stage.end_s)),
        unit=stage.unit,
    )


def generator_problem(generator: Mapping[int, GeneratorSecond], seconds: range) -> str:
    """Why the generator was the limit in ``seconds``, by the bounds of validity; or nothing."""
    known = [generator[second] for second in seconds if second in generator]
    busy = min(sum(map(strained_s, known)), len(seconds))
    if busy <= max(2.0, BUSY_SECONDS_RATIO * len(seconds)):
        return ""
    return (
        f"in {busy} of {len(seconds)} seconds it used more than "
        f"{figure(BUSY_CPU_RATIO, 'ratio')} of its core, or its timer was late by more than "
        f"{figure(LATE_S, 's')}"
    )
