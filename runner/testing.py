"""Doubles of every port, shipped and documented, so that users can test as the project does.

``FakeWorld`` is all ports at once over one ``FakeClock``: nothing waits, nothing starts, and a
two-hour soak takes milliseconds. It can fail before or after its n-th effect, which is how the
crash-everywhere test walks through a run. The doubles pass the same contract suites as the real
adapters.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from runner.calm import calm_reading, calm_signals
from runner.errors import SeatrialError
from runner.fakeload import FakeLoadJob
from runner.fakesearch import FakeSearchJob, FakeServer
from runner.model.faultrecord import Effect
from runner.model.guard import Reading
from runner.model.plan import Plan, PlannedFault
from runner.model.recording import ClockAnchor, Signals, TargetInfo
from runner.ports import Guardian, HealJob, HealReport, Job, LoadJob, Ports
from runner.store import FAULT_EFFECTS, FAULT_JOURNAL

T = TypeVar("T")
EPOCH_S = 1_700_000_000.0


class WorldError(SeatrialError):
    """The failure that ``FakeWorld`` was told to have."""


@dataclass(slots=True)
class FakeClock:
    """A clock that moves only when somebody sleeps."""

    now_s: float = 0.0

    def monotonic_s(self) -> float:
        return self.now_s

    def wall_s(self) -> float:
        return EPOCH_S + self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += max(0.0, seconds)


@dataclass(slots=True)
class FakeWorld:
    """Every port of a run, in memory.

    Attributes:
        crash_at: Index of the effect that fails; None for a world in which all goes well.
        error: Makes the failure from a sentence, such as ``KeyboardInterrupt``.
        before: Whether it fails before it takes effect, or after.
        latency_us: Latency of every request, from its send.
        error_every: Every n-th request fails with 503; 0 for none.
        users_factor: Share of the planned users that really run, or of arrivals that are offered.
        load_exit_at_s: Second of load at which the generator dies; None for never.
        silent_from_s: Second of load from which on every request times out; None for never.
        answer: What the signal source answers to a guard's query, at a time of ``clock``.
        answer_takes_s: How long it takes for that.
        server: What answers the requests of a search.
        search_job: Makes the generator of a search.
        effects: Names of the effects that were asked for, in order.
        guardians: Those that were started, in order; a test may change them.
        unguarded: Ids of faults that were injected while there was no guardian.
    """

    crash_at: int | None = None
    before: bool = True
    error: Callable[[str], BaseException] = WorldError
    latency_us: int = 20_000
    error_every: int = 0
    users_factor: float = 1.0
    load_exit_at_s: float | None = None
    silent_from_s: float | None = None
    answer: Callable[[str, float], Reading] = field(default=calm_reading)
    answer_takes_s: float = 0.0
    server: FakeServer = field(default_factory=FakeServer)
    search_job: type[FakeSearchJob] = FakeSearchJob
    clock: FakeClock = field(default_factory=FakeClock)
    effects: list[str] = field(default_factory=list)
    up: bool = False
    load_on: bool = False
    guardians: list[FakeGuardian] = field(default_factory=list)
    unguarded: list[str] = field(default_factory=list)
    faults: dict[str, FakeFault] = field(default_factory=dict)

    @property
    def active_faults(self) -> frozenset[str]:
        """Ids of faults that are in place now."""
        return frozenset(name for name, fault in self.faults.items() if fault.in_place())

    def ports(self) -> Ports:
        return Ports(
            clock=self.clock,
            target=FakeTarget(self),
            load=FakeLoad(self),
            faults=FakeInjector(self),
            signals=FakeSignals(self),
        )

    def effect(self, name: str, take: Callable[[], T]) -> T:
        """Count an effect, and fail where this world was told to."""
        index = len(self.effects)
        self.effects.append(name)
        if index == self.crash_at and self.before:
            raise self.error(f"{name} failed before it took effect")
        result = take()
        if index == self.crash_at:
            raise self.error(f"{name} failed after it took effect")
        return result


@dataclass(slots=True)
class FakeTarget:
    """A target that is up or not."""

    world: FakeWorld
    problems: Sequence[str] = ()
    noted: Sequence[str] = ()

    def open(self, run_id: str) -> TargetInfo:
        def take() -> TargetInfo:
            self.world.up = True
            return TargetInfo(
                kind="sandbox",
                name="fake",
                namespace="ecommerce",
                ingress_url="http://127.0.0.1:1",
                host="api.c4ang.com",
                prometheus_url="http://127.0.0.1:2",
                identity="fake",
            )

        return self.world.effect("open", take)

    def preflight(self, plan: Plan) -> Sequence[str]:
        return self.problems

    def remarks(self) -> Sequence[str]:
        return self.noted

    def snapshot(self, folder: Path) -> None:
        (folder / "pods.json").write_text("[]\n", encoding="utf-8")

    def close(self) -> None:
        def take() -> None:
            self.world.up = False

        self.world.effect("close", take)


@dataclass(slots=True)
class FakeLoad:
    """A load engine whose requests exist on paper only."""

    world: FakeWorld

    def start(self, plan: Plan, target: TargetInfo, workdir: Path, log: Path) -> LoadJob:
        log.write_text("fake load\n", encoding="utf-8")

        def take() -> LoadJob:
            self.world.load_on = True
            if plan.experiment.load.search is not None:
                return self._searching(plan, workdir)
            return FakeLoadJob(self.world, plan, workdir)

        return self.world.effect("start", take)

    def _searching(self, plan: Plan, workdir: Path) -> FakeSearchJob:
        world = self.world
        return world.search_job(
            plan, workdir, world.clock, server=world.server, alive=lambda: world.load_on
        )

    def stop(self, grace_s: float) -> None:
        def take() -> None:
            self.world.load_on = False

        self.world.effect("stop", take)


@dataclass(slots=True)
class FakeFault:
    """A fault as its target sees it, and its child at the same time."""

    world: FakeWorld
    planned: PlannedFault
    starts_at_s: float
    workdir: Path
    killed_at_s: float | None = None
    healed: bool = False
    written: bool = False

    @property
    def _ends_at_s(self) -> float:
        return self.starts_at_s + self.planned.end_s - self.planned.start_s

    def in_place(self) -> bool:
        now_s = self.world.clock.now_s
        if self.healed or now_s < self.starts_at_s:
            return False
        if self.killed_at_s is not None:  # Nobody is left to remove it.
            return self.starts_at_s <= self.killed_at_s < self._ends_at_s
        return now_s < self._ends_at_s

    def poll(self) -> int | None:
        if self.killed_at_s is not None:
            return -9
        if self.world.clock.now_s < self._ends_at_s + 0.5:
            return None
        self._write_evidence()
        return 0

    def stop(self, grace_s: float) -> None:
        if self.poll() is None:
            self.killed_at_s = self.world.clock.now_s

    def tail(self, lines: int) -> str:
        return "fake fault"

    def _write_evidence(self) -> None:
        if self.written:
            return
        self.written = True
        journal = {"status": "completed", "deviated": False, "run": [], "rollbacks": []}
        (self.workdir / FAULT_JOURNAL).write_text(json.dumps(journal), encoding="utf-8")
        whole: tuple[tuple[str, float], ...] = (
            ("injected", self.starts_at_s),
            ("verified", self.starts_at_s + 0.1),
            ("removed", self._ends_at_s),
            ("gone", self._ends_at_s + 0.1),
        )
        if self.planned.fault.recovers:
            at_s = self.starts_at_s
            proofs = tuple((proof, at_s) for proof in self.planned.fault.proofs)
            whole = (*proofs, ("replaced", at_s + 1), ("ready", at_s + 2))
        lines = (
            Effect.model_validate(
                {
                    "wall_s": EPOCH_S + at_s,
                    "what": what,
                    "subject": f"fake/{self.planned.fault.service}",
                }
            ).model_dump_json()
            for what, at_s in whole
        )
        (self.workdir / FAULT_EFFECTS).write_text("\n".join(lines) + "\n", encoding="utf-8")


@dataclass(slots=True)
class FakeHeal:
    """A heal that is over as soon as it has begun."""

    report: HealReport

    def poll(self) -> HealReport | None:
        return self.report


@dataclass(slots=True)
class FakeGuardian:
    """A guardian that says nothing, until somebody changes it; left alone, it heals.

    Attributes:
        says: Why the run must end.
        code: Its exit code once it has ended.
        slow: Whether it takes for ever to get ready.
        left: Whether it was told to go on without the runner.
    """

    world: FakeWorld
    says: str | None = None
    code: int | None = None
    slow: bool = False
    left: bool = False

    def poll(self) -> int | None:
        return self.code

    def ready(self) -> bool:
        return self.code is None and not self.slow

    def word(self) -> str | None:
        return self.says

    def dismiss(self, grace_s: float) -> None:
        def take() -> None:
            self.code = 0 if self.code is None else self.code

        self.world.effect("dismiss", take)

    def leave(self) -> None:
        self.left = True
        for fault in self.world.faults.values():
            fault.healed = True

    def tail(self, lines: int) -> str:
        return "fake guardian"


@dataclass(slots=True)
class FakeInjector:
    """Faults that are in place from their start to their end, or until healed."""

    world: FakeWorld

    def guard(self, run_id: str, target: TargetInfo, folder: Path) -> Guardian:
        def take() -> FakeGuardian:
            guardian = FakeGuardian(self.world)
            self.world.guardians.append(guardian)
            return guardian

        return self.world.effect("guard", take)

    def inject(
        self,
        fault: PlannedFault,
        run_id: str,
        target: TargetInfo,
        workdir: Path,
        starts_at_wall_s: float,
    ) -> Job:
        def take() -> FakeFault:
            if not any(guardian.ready() for guardian in self.world.guardians):
                self.world.unguarded.append(fault.id)
            job = FakeFault(self.world, fault, starts_at_wall_s - EPOCH_S, workdir)
            self.world.faults[fault.id] = job
            return job

        return self.world.effect("inject", take)

    def heal(self, run_id: str, fault_id: str | None, target: TargetInfo) -> HealReport:
        def take() -> HealReport:
            removed = []
            for name, fault in self.world.faults.items():
                if fault_id in (None, name):
                    if fault.in_place():
                        removed.append(f"fake/{fault.planned.fault.service}")
                    fault.healed = True
            return HealReport(removed=tuple(removed))

        return self.world.effect("heal", take)

    def begin_heal(self, run_id: str, fault_id: str | None, target: TargetInfo) -> HealJob:
        return FakeHeal(self.heal(run_id, fault_id, target))


@dataclass(slots=True)
class FakeSignals:
    """Signals that are complete and calm."""

    world: FakeWorld

    def skew_s(self, target: TargetInfo) -> float | None:
        return 0.0

    def ask(self, promql: str, target: TargetInfo, within_s: float) -> Reading:
        self.world.clock.sleep(min(within_s, self.world.answer_takes_s))
        if self.world.answer_takes_s > within_s:
            return Reading("unreachable", why=f"no answer within {within_s:g} s")
        return self.world.answer(promql, self.world.clock.now_s)

    def collect(
        self, plan: Plan, anchor: ClockAnchor, target: TargetInfo, end_s: float, rawdir: Path
    ) -> Signals:
        world = self.world
        errors = 1.0 / world.error_every if world.error_every else 0.0
        factor = world.users_factor
        return world.effect(
            "collect", lambda: calm_signals(plan, users_factor=factor, error_ratio=errors)
        )
