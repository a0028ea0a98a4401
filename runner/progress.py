"""The state of a run under way, and what a watcher is shown of it. No effects.

Everything that the conductor's loop changes stands in one value, ``Conduct``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Literal

from runner.analysis.guards import Guards
from runner.analysis.live import LiveLoad
from runner.analysis.steps import Step
from runner.errors import SeatrialError
from runner.journal import Journal
from runner.model.plan import Phase, Plan, PlannedFault
from runner.model.recording import ClockAnchor, Manifest, RunState, TargetInfo
from runner.ports import Guardian, HealJob, Job, LoadJob, LoadProgress, Ports
from runner.store import RunDir

log = logging.getLogger(__name__)

StopReason = Literal["interrupted", "terminated"]


class RunEndedEarlyError(Exception):
    """Unwinds the loop: a guard tripped, or somebody wants to stop."""

    def __init__(self, state: RunState, reason: str) -> None:
        super().__init__(reason)
        self.state = state
        self.reason = reason


@dataclass(slots=True)
class StopRequest:
    """A wish from outside to end the run; set by a signal handler, read by the loop."""

    reason: StopReason | None = None


@dataclass(frozen=True, slots=True)
class Status:
    """What a watcher is shown, several times a second.

    Attributes:
        activity: What is being done, in a few words.
        offset_s: Seconds since the start of the load; None before it.
        active_faults: Those in place that are meant to be.
        healing_faults: Those whose time is over, and that nobody has seen gone yet.
        near_guards: Guards whose condition holds, such as ``errors > 60%: 12 of 30 s``.
        step: The step of a search that was last asked for.
    """

    activity: str
    plan: Plan
    offset_s: float | None = None
    phase: Phase | None = None
    load: LiveLoad | None = None
    active_faults: tuple[str, ...] = ()
    healing_faults: tuple[str, ...] = ()
    near_guards: tuple[str, ...] = ()
    step: Step | None = None


Watcher = Callable[[Status], None]


def unwatched(status: Status) -> None:
    """Show ``status`` to nobody."""


@dataclass(slots=True)
class ActiveFault:
    """A fault of the plan and how far it has come.

    Attributes:
        job: Its child.
        healing: Its heal, while that is under way.
        healing_since_s: When that began; monotonic.
        lives: Why its child could not be ended.
        unwritten: Why the journal does not say that its heal has begun.
        guarded: Whether somebody guarded the run right before its start, or at it.
    """

    planned: PlannedFault
    job: Job | None = None
    state: Literal["planned", "begun", "healed"] = "planned"
    healing: HealJob | None = None
    healing_since_s: float = 0.0
    lives: Exception | None = None
    unwritten: SeatrialError | None = None
    guarded: bool = False


@dataclass(slots=True)
class Conduct:
    """The state of one conduct: everything that the loop changes.

    Attributes:
        started_s: Monotonic time of offset 0, so that a wall clock that is set moves no phase.
        step: The step of a search that was last asked for; None when there is none.
        guardian: The one who heals when this process is gone; None before it was started.
        guardians_lost: How many have ended that should not have.
    """

    plan: Plan
    ports: Ports
    folder: RunDir
    journal: Journal
    stop: StopRequest
    watch: Watcher
    undo: ExitStack
    guards: Guards
    manifest: Manifest
    target: TargetInfo | None = None
    load_job: LoadJob | None = None
    anchor: ClockAnchor | None = None
    started_s: float = 0.0
    live: LiveLoad = field(default_factory=LiveLoad)
    faults: list[ActiveFault] = field(default_factory=list)
    ended_s: float = 0.0
    step: Step | None = None
    guardian: Guardian | None = None
    guardians_lost: int = 0

    @property
    def offset_s(self) -> float:
        if self.anchor is None:
            return 0.0
        return self.ports.clock.monotonic_s() - self.started_s

    def begin_load(self, started_wall_s: float) -> None:
        """Set offset 0 to the Unix time ``started_wall_s``, which is just past."""
        clock = self.ports.clock
        self.anchor = ClockAnchor(load_started_wall_s=started_wall_s)
        self.started_s = clock.monotonic_s() - (clock.wall_s() - started_wall_s)
        self.journal.anchor_wall_s = started_wall_s

    def take_in(self, progress: LoadProgress) -> None:
        """Count what the load generator has newly written."""
        self.live.add(progress.rows, progress.users, self.offset_s)
        self.live.arrivals.add(progress.arrivals)
        self.live.remarks.extend(progress.remarks)

    def show(self, activity: str) -> None:
        """Tell the watcher; one that fails is not asked again, and changes nothing else."""
        started = self.anchor is not None
        offset_s = self.offset_s if started else None
        status = Status(
            activity=activity,
            plan=self.plan,
            offset_s=offset_s,
            phase=None if offset_s is None else self.plan.phase_at(offset_s),
            load=self.live if started else None,
            active_faults=self._begun(lambda fault, at_s: fault.start_s <= at_s < fault.end_s),
            healing_faults=self._begun(lambda fault, at_s: at_s >= fault.end_s),
            near_guards=() if offset_s is None else self.guards.near(offset_s),
            step=self.step,
        )
        try:
            self.watch(status)
        except (Exception, SystemExit):  # A console that lost its reader wants to exit.
            log.exception("the watcher failed and is not asked any more")
            self.watch = unwatched

    def _begun(self, when: Callable[[PlannedFault, float], bool]) -> tuple[str, ...]:
        at_s = self.offset_s
        begun = (f.planned for f in self.faults if f.state == "begun")
        return tuple(planned.id for planned in begun if when(planned, at_s))

    def seal(self, state: RunState, reason: str = "") -> None:
        """Write the manifest with ``state``; later facts are kept."""
        self.manifest = self.manifest.model_copy(
            update={
                "state": state,
                "reason": reason,
                "target": self.target,
                "anchor": self.anchor,
            }
        )
        self.folder.write_manifest(self.manifest)
