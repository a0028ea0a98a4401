"""The plan: an experiment with every offset resolved and every default visible. Pure.

All offsets are seconds from the start of the load. The phases tile the run: ``[0, duration_s)`` is
covered without gap or overlap, and every phase is half-open.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import pairwise
from typing import Literal

from pydantic import Field

from runner.model.access import Words
from runner.model.experiment import JUDGED_S, Experiment, Load, Search, Stage
from runner.model.fault import Fault, PodKill
from runner.model.objective import Objective
from runner.model.shape import Items, Model
from runner.model.span import STAGE, PhaseName, scaled_span, window_s

PLAN_SCHEMA = 1
UNDO_GRACE_S = 15.0
"""Bound for a fault's undo: past ``end_s`` by this much, it is healed by force."""

DEFAULT_RAMP_S = 1.0
"""A stage without a spawn rate reaches its users within this time, or within all of its own."""

POOL_S = 2.0
MIN_POOL, MAX_POOL = 100, 10_000
"""Requests under way in the open model, where the file does not say: as many as arrive in this
time, within these bounds."""

OFFSET_DIGITS = 6
"""Offsets are whole microseconds: a float's noise must not make a phase of its own."""


class PlannedStage(Model):
    """A stage with absolute offsets: a linear ramp, then a plateau.

    Of users in the closed model; of the rate, in arrivals per second, in the open one.
    """

    start_s: float
    end_s: float
    users_from: int = 0
    users_to: int = 0
    spawn_rate: float = Field(default=0.0, description="Users per second during the ramp.")
    rate_from: float = 0.0
    rate_to: float = 0.0
    ramp_end_s: float = Field(description="When the plateau is reached; never after end_s.")

    def share_at(self, offset_s: float) -> float:
        """How much of the ramp is done at ``offset_s``, from 0 to 1."""
        ramp_s = self.ramp_end_s - self.start_s
        if offset_s >= self.ramp_end_s or ramp_s <= 0:
            return float(offset_s >= self.ramp_end_s)
        return max(0.0, (offset_s - self.start_s) / ramp_s)


class Phase(Model):
    """A piece of the run with one name and one set of active faults."""

    index: int
    name: PhaseName | Literal["window"]
    start_s: float
    end_s: float
    faults: Items[str] = ()

    @property
    def duration_s(self) -> float:
        return self.end_s - self.start_s


class PlannedFault(Model):
    """A fault with absolute offsets.

    ``id`` is unique in the plan and fit for file and object names.
    """

    id: str
    start_s: float
    end_s: float
    undo_by_s: float
    seed: int = Field(default=0, description="Seed of this fault's random choices.")
    fault: Fault


class GeneratorPlan(Model):
    """Which processes make the load.

    Attributes:
        workers: Worker processes on this machine; 0 for one process that does it all.
        remote_workers: Workers that are awaited from elsewhere.
        bind_host: Address on which Locust's master listens for workers.
        bind_port: Port on which it does; 0 for any that is free.
        arguments: Arguments handed to Locust as they are; secrets are not written down.
    """

    workers: int = 0
    remote_workers: int = 0
    bind_host: str = "127.0.0.1"
    bind_port: int = 0
    arguments: Words = ()

    @property
    def crew(self) -> int:
        """Number of workers; 0 for one process that does it all."""
        return self.workers + self.remote_workers

    @property
    def awaited(self) -> str:
        """Who must come before the load starts, and whereto; empty when nobody must."""
        if not self.remote_workers:
            return ""
        many = "1 worker" if self.remote_workers == 1 else f"{self.remote_workers} workers"
        return f"{many} from elsewhere at {self.bind_host}:{self.bind_port}"


class Plan(Model):
    """What will be done, and when. Written to disk before the first effect."""

    schema_version: int = PLAN_SCHEMA
    experiment: Experiment
    time_scale: float = 1.0
    duration_s: float
    stages: Items[PlannedStage]
    phases: Items[Phase]
    faults: Items[PlannedFault]
    windows: Items[Phase] = Field(
        default=(),
        description="Windows and stages that objectives ask for beside the phases; their indices "
        "go on after those of the phases.",
    )
    seed: int
    generator: GeneratorPlan = GeneratorPlan()
    max_in_flight: int = Field(
        default=0, description="Most requests under way in the open model; 0 in the closed one."
    )

    @property
    def rehearsal(self) -> bool:
        """Whether durations were shortened, so that the verdict is about a rehearsal."""
        return self.time_scale != 1.0

    def phases_named(self, *names: str) -> tuple[Phase, ...]:
        """The phases with one of ``names``, in order."""
        return tuple(phase for phase in self.phases if phase.name in names)

    def phase_at(self, offset_s: float) -> Phase | None:
        """The phase that ``offset_s`` falls into; None before the start and after the end."""
        for phase in self.phases:
            if phase.start_s <= offset_s < phase.end_s:
                return phase
        return None

    def users_at(self, offset_s: float) -> float:
        """Planned users at ``offset_s``, with the ramp as a straight line (so a float)."""
        stage = self.stage_at(offset_s)
        return 0.0 if stage is None else _users_in(stage, offset_s)

    def rate_at(self, offset_s: float) -> float:
        """Planned arrivals per second at ``offset_s``; 0 in the closed model."""
        stage = self.stage_at(offset_s)
        if stage is None:
            return 0.0
        return stage.rate_from + (stage.rate_to - stage.rate_from) * stage.share_at(offset_s)

    def stage_at(self, offset_s: float) -> PlannedStage | None:
        """The stage that ``offset_s`` falls into."""
        for stage in self.stages:
            if stage.start_s <= offset_s < stage.end_s:
                return stage
        return None

    def expects_load(self, offset_s: float) -> bool:
        """Whether requests are to be expected at ``offset_s``.

        Of a search and of a locustfile's own shape nobody knows beforehand: all the time.
        """
        if self.experiment.load.model in ("search", "own"):
            return 0 <= offset_s < self.duration_s
        return self.users_at(offset_s) >= 1 or self.rate_at(offset_s) > 0


def _users_in(stage: PlannedStage, offset_s: float) -> float:
    ramp_s = stage.ramp_end_s - stage.start_s
    if offset_s >= stage.ramp_end_s or ramp_s <= 0:
        reached = offset_s >= stage.ramp_end_s
        return float(stage.users_to if reached else stage.users_from)
    direction = 1 if stage.users_to >= stage.users_from else -1
    moved = stage.spawn_rate * (offset_s - stage.start_s)
    return stage.users_from + direction * min(moved, abs(stage.users_to - stage.users_from))


def scaled(experiment: Experiment, factor: float) -> Experiment:
    """``experiment`` with every duration multiplied by ``factor``, and spawn rates divided by it.

    Bounds, delays and grace periods stay as they are: they belong to the system, not to the
    schedule.
    """
    stages = tuple(
        stage.model_copy(
            update={
                "duration": stage.duration * factor,
                "spawn_rate": None if stage.spawn_rate is None else stage.spawn_rate / factor,
                "ramp": None if stage.ramp is None else stage.ramp * factor,
            }
        )
        for stage in experiment.load.stages
    )
    load = {
        "stages": stages,
        "search": _scaled_search(experiment.load.search, factor),
        "duration": None if experiment.load.duration is None else experiment.load.duration * factor,
    }
    faults = tuple(_scaled_fault(fault, factor) for fault in experiment.faults)
    objectives = tuple(scaled_objective(one, factor) for one in experiment.objectives)
    return experiment.model_copy(
        update={
            "load": experiment.load.model_copy(update=load),
            "faults": faults,
            "objectives": objectives,
            "warmup": experiment.warmup * factor,
        }
    )


def _scaled_fault(fault: Fault, factor: float) -> Fault:
    changes: dict[str, float] = {"at": fault.at * factor, "duration": fault.duration * factor}
    if isinstance(fault, PodKill) and fault.every is not None:
        changes |= {"every": fault.every * factor, "jitter": fault.jitter * factor}
    return fault.model_copy(update=changes)


def scaled_objective(objective: Objective, factor: float) -> Objective:
    """``objective`` with the offsets of its windows multiplied by ``factor``; else as it is."""
    during = tuple(scaled_span(span, factor) for span in objective.during)
    return (
        objective if during == objective.during else objective.model_copy(update={"during": during})
    )


def _scaled_search(search: Search | None, factor: float) -> Search | None:
    if search is None:
        return None
    transient_s = search.transient * factor
    # Never so short that a step tells nothing: then a rehearsal takes longer than its scale.
    step_s = max(round(search.step * factor), math.ceil(transient_s + JUDGED_S))
    return search.model_copy(update={"step": float(step_s), "transient": transient_s})


def make_plan(
    experiment: Experiment,
    *,
    time_scale: float = 1.0,
    generator: GeneratorPlan = GeneratorPlan(),  # noqa: B008 - a frozen value
) -> Plan:
    """Resolve ``experiment`` into a plan.

    Args:
        experiment: As written. ``feasibility.mistakes_in`` must have found nothing in it.
        time_scale: Factor on every duration; 1 is the real thing, anything else a rehearsal.
        generator: Which processes make the load.
    """
    shortened = experiment if time_scale == 1.0 else scaled(experiment, time_scale)
    duration_s = round(shortened.duration_s, OFFSET_DIGITS)
    faults = tuple(
        PlannedFault(
            id=f"{number:02d}-{fault.name or fault.kind}",
            start_s=round(fault.at, OFFSET_DIGITS),
            end_s=round(fault.at + fault.duration, OFFSET_DIGITS),
            undo_by_s=round(fault.at + fault.duration + UNDO_GRACE_S, OFFSET_DIGITS),
            seed=shortened.seed + number,
            fault=fault,
        )
        for number, fault in enumerate(shortened.faults, start=1)
    )
    phases = tile(duration_s, round(shortened.warmup, OFFSET_DIGITS), faults)
    stages = _stages(shortened.load.stages)
    return Plan(
        experiment=shortened,
        time_scale=time_scale,
        duration_s=duration_s,
        stages=stages,
        phases=phases,
        faults=faults,
        windows=windows_of(shortened.objectives, stages, duration_s, len(phases)),
        seed=shortened.seed,
        generator=generator,
        max_in_flight=_pool(shortened.load),
    )


def windows_of(
    objectives: Iterable[Objective],
    stages: tuple[PlannedStage, ...],
    duration_s: float,
    first_index: int,
) -> tuple[Phase, ...]:
    """The windows and stages that ``objectives`` name in ``during``, each once, in their order.

    Args:
        objectives: As of the plan: offsets are scaled already.
        stages: Stages of the plan; one that is not among them has no window.
        duration_s: Length of the run; windows are cut at its end.
        first_index: Index of the first window: the number of phases.
    """
    found: dict[tuple[float, float], None] = {}
    for objective in objectives:
        for span in objective.during:
            edges = window_s(span)
            if span.startswith(STAGE):
                number = int(span.removeprefix(STAGE))
                edges = next(((s.start_s, s.end_s) for s in stages[number - 1 : number]), None)
            if edges is not None and edges[0] < duration_s:
                found[edges[0], min(edges[1], duration_s)] = None
    return tuple(
        Phase(index=first_index + at, name="window", start_s=start_s, end_s=end_s)
        for at, (start_s, end_s) in enumerate(found)
    )


def _pool(load: Load) -> int:
    """The bound of requests under way; where none is given, those of :data:`POOL_S` seconds."""
    if not load.is_open:
        return 0
    if load.max_in_flight is not None:
        return load.max_in_flight
    rates = [stage.rate or 0.0 for stage in load.stages]
    highest = max([*rates, 0.0 if load.search is None else load.search.end])
    return min(MAX_POOL, max(MIN_POOL, math.ceil(highest * POOL_S)))


def _stages(stages: tuple[Stage, ...]) -> tuple[PlannedStage, ...]:
    planned: list[PlannedStage] = []
    before, after_s = PlannedStage(start_s=0.0, end_s=0.0, ramp_end_s=0.0), 0.0
    for stage in stages:
        after_s += stage.duration
        before = _planned(stage, before, round(after_s, OFFSET_DIGITS))
        planned.append(before)
    return tuple(planned)


def _planned(stage: Stage, before: PlannedStage, end_s: float) -> PlannedStage:
    start_s = before.end_s
    if stage.rate is not None:
        return PlannedStage(
            start_s=start_s,
            end_s=end_s,
            rate_from=before.rate_to,
            rate_to=stage.rate,
            ramp_end_s=min(end_s, round(start_s + (stage.ramp or 0.0), OFFSET_DIGITS)),
        )
    users = stage.users or 0
    change = abs(users - before.users_to)
    spawn_rate = stage.spawn_rate or max(change, 1) / min(DEFAULT_RAMP_S, stage.duration)
    return PlannedStage(
        start_s=start_s,
        end_s=end_s,
        users_from=before.users_to,
        users_to=users,
        spawn_rate=spawn_rate,
        ramp_end_s=min(end_s, start_s + change / spawn_rate),
    )


def tile(duration_s: float, warmup_s: float, faults: tuple[PlannedFault, ...]) -> tuple[Phase, ...]:
    """Cut ``[0, duration_s)`` at the end of the warmup and at every start and end of a fault."""
    edges = {0.0, duration_s, warmup_s}
    edges.update(edge for fault in faults for edge in (fault.start_s, fault.end_s))
    cuts = sorted(edge for edge in edges if 0 <= edge <= duration_s)
    phases: list[Phase] = []
    for start_s, end_s in pairwise(cuts):
        active = tuple(f.id for f in faults if f.start_s <= start_s < f.end_s)
        if active:
            name: PhaseName = "fault"
        elif start_s < warmup_s:
            name = "warmup"
        else:
            name = "recovery" if any(f.end_s <= start_s for f in faults) else "baseline"
        phases.append(
            Phase(index=len(phases), name=name, start_s=start_s, end_s=end_s, faults=active)
        )
    return tuple(phases)
