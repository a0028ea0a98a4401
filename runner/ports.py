"""The seams of a run: what the conductor asks of the world, and nothing more.

The conductor knows these protocols only. Each has a real adapter and a shipped double
(``runner.testing``), and one contract suite that both must pass. All methods raise subclasses of
:class:`runner.errors.SeatrialError`; anything else is a bug.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from runner.model.guard import Reading
from runner.model.plan import Plan, PlannedFault
from runner.model.recording import (
    ArrivalSecond,
    ClockAnchor,
    LoadRow,
    SearchStep,
    Signals,
    TargetInfo,
)


class Clock(Protocol):
    def monotonic_s(self) -> float:
        """Seconds of a clock that never goes back."""
        ...

    def wall_s(self) -> float:
        """Unix time in seconds."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait for ``seconds``."""
        ...


class Job(Protocol):
    """A child that works by itself and is polled."""

    def poll(self) -> int | None:
        """The exit code, or None while it runs. Evidence, never a verdict."""
        ...

    def stop(self, grace_s: float) -> None:
        """Ask it to end; after ``grace_s`` end it by force. Idempotent; returns when it is gone."""
        ...

    def tail(self, lines: int) -> str:
        """The last lines of what it printed."""
        ...


@dataclass(frozen=True, slots=True)
class LoadProgress:
    """What the load generator has written so far, since the last look.

    Attributes:
        started_wall_s: Unix time of offset 0; None while the load has not started.
        rows: Rows that are new since the last look.
        users: ``(second, users)`` pairs that are new since the last look.
        steps: Steps of a search that began or ended since the last look, in order.
        arrivals: ``(second, what became of its arrivals)``, increments, in the open model.
        remarks: Sentences about what went wrong in the generator, such as a lost worker.
    """

    started_wall_s: float | None
    rows: tuple[LoadRow, ...] = ()
    users: tuple[tuple[int, int], ...] = ()
    steps: tuple[SearchStep, ...] = ()
    arrivals: tuple[tuple[int, ArrivalSecond], ...] = ()
    remarks: tuple[str, ...] = ()


class LoadJob(Job, Protocol):
    def progress(self) -> LoadProgress:
        """What is new in the record since the last call. Never blocks."""
        ...

    def offer(self, rate_per_s: float, duration_s: float) -> None:
        """In a search: ask for a step at ``rate_per_s``, which begins at the next whole second.

        Returns at once; :meth:`progress` tells when it has begun and ended.

        Raises:
            LoadError: When the generator cannot be asked.
        """
        ...

    def finish(self) -> None:
        """In a search: no more steps will be asked for; the generator ends by itself.

        Raises:
            LoadError: When the generator cannot be told.
        """
        ...


class LoadEngine(Protocol):
    def start(self, plan: Plan, target: TargetInfo, workdir: Path, log: Path) -> LoadJob:
        """Start the generator, which follows ``plan`` and records into ``workdir``.

        It is a child, or several that write one record.

        Raises:
            LoadError: When it cannot be started.
        """
        ...

    def stop(self, grace_s: float) -> None:
        """End whatever :meth:`start` has begun, also when it raised half-way. Idempotent.

        Each child has ``grace_s``, one after the other.
        """
        ...


@dataclass(frozen=True, slots=True)
class HealReport:
    """What a heal did.

    Attributes:
        removed: Objects that were changed back or deleted, such as ``virtualservice/payment-api``.
        left: Objects that could not be healed, each with the reason. Empty means: looked again,
            and nothing is left.
        others: Faults that are there and were not asked for, each a sentence.
        notes: What nobody was allowed to look at, each a sentence.
    """

    removed: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    others: tuple[str, ...] = field(default=(), compare=False)
    notes: tuple[str, ...] = field(default=(), compare=False)


class HealJob(Protocol):
    """A heal that is under way."""

    def poll(self) -> HealReport | None:
        """What it did, or None while it is under way; raises what ``FaultInjector.heal`` raises.

        Never blocks.
        """
        ...


class Guardian(Protocol):
    """A process that heals when the runner is gone, however it ended: see ``FaultInjector.guard``.

    While the runner lives, it renews the Lease of the run and watches what must stop it.
    """

    def poll(self) -> int | None:
        """The exit code, or None while it is there."""
        ...

    def ready(self) -> bool:
        """Whether it is there and has reached the point from which on it can heal."""
        ...

    def word(self) -> str | None:
        """Why the run must end now; None while it may go on. Never blocks."""
        ...

    def dismiss(self, grace_s: float) -> None:
        """All is healed: let it go; after ``grace_s`` by force. Idempotent."""
        ...

    def leave(self) -> None:
        """Not all is healed: it stays and goes on, without the runner. Never blocks."""
        ...

    def tail(self, lines: int) -> str:
        """The last lines of its log."""
        ...


class FaultInjector(Protocol):
    def guard(self, run_id: str, target: TargetInfo, folder: Path) -> Guardian:
        """Start the guardian of a run. It comes before the first fault, and goes after the last.

        When this process ends without a word, it heals whatever the run has left, within seconds,
        and writes into the run's journal and manifest in ``folder`` that it did. Returns at once.

        Raises:
            FaultError: When it cannot be started.
        """
        ...

    def inject(
        self,
        fault: PlannedFault,
        run_id: str,
        target: TargetInfo,
        workdir: Path,
        starts_at_wall_s: float,
    ) -> Job:
        """Start a child that injects ``fault`` at ``starts_at_wall_s``, holds it and removes it.

        It is called some seconds ahead, because the child needs them to start.

        The child writes ``experiment.json``, ``journal.json``, ``effects.jsonl`` and ``chaos.log``
        into ``workdir``. Returns at once.

        Raises:
            FaultError: When the child cannot be started.
        """
        ...

    def heal(self, run_id: str, fault_id: str | None, target: TargetInfo) -> HealReport:
        """Remove what bears the name of this run (and fault, unless None), and look again.

        Idempotent, needs no memory of the injection, bounded in time.
        """
        ...

    def begin_heal(self, run_id: str, fault_id: str | None, target: TargetInfo) -> HealJob:
        """Begin what :meth:`heal` does, and return at once."""
        ...


class SignalSource(Protocol):
    def skew_s(self, target: TargetInfo) -> float | None:
        """The source's clock minus ours, in seconds; None when it cannot be asked."""
        ...

    def ask(self, promql: str, target: TargetInfo, within_s: float) -> Reading:
        """The answer to a guard's query now: one value for each series, NaN left out.

        Comes back within ``within_s``, whatever hangs. Never raises for what the source lacks:
        a wrong query, an empty answer and a source that is away or late are states of the answer.
        """
        ...

    def collect(
        self, plan: Plan, anchor: ClockAnchor, target: TargetInfo, end_s: float, rawdir: Path
    ) -> Signals:
        """Everything about the run up to offset ``end_s``; raw answers are kept in ``rawdir``.

        Never raises for what the source lacks: gaps, emptiness and errors stand in the answer.
        """
        ...


class Target(Protocol):
    def open(self, run_id: str) -> TargetInfo:
        """Make the target ready (start the sandbox, or check the cluster), bounded in time.

        It is held for the run ``run_id`` from then on.

        Raises:
            TargetError: When it cannot be used; says why.
        """
        ...

    def preflight(self, plan: Plan) -> Sequence[str]:
        """Reasons why this plan cannot run here, each a sentence; empty when it can."""
        ...

    def remarks(self) -> Sequence[str]:
        """What the preflight saw that is no obstacle, and belongs into the run's notes."""
        ...

    def snapshot(self, folder: Path) -> None:
        """Write the objects that matter to ``folder``, one JSON file per kind."""
        ...

    def close(self) -> None:
        """Give back what :meth:`open` took. Idempotent."""
        ...


@dataclass(frozen=True, slots=True)
class Ports:
    """All that :func:`runner.conductor.conduct` needs from the world."""

    clock: Clock
    target: Target
    load: LoadEngine
    faults: FaultInjector
    signals: SignalSource
