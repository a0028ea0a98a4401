"""What a guardian does when its runner is gone: heal, look again for a while, and put it on record.

An orphaned injector may still be on its way, and may undo its own fault at the same time; so the
guardian looks again until nothing has been found for some seconds. An API server that is away is
waited for, with a bound. All of it is written into the run's journal, and the manifest of a runner
that was killed is sealed: nobody else will do that.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from runner.chaos.client import Cluster, one_line
from runner.chaos.heal import Scope, heal, rollback_player
from runner.chaos.healing import changed_subjects
from runner.errors import RecordingError, SeatrialError
from runner.journal import Journal
from runner.model.faultmark import heal_command
from runner.model.recording import EventKind, unhealed
from runner.ports import Clock
from runner.process import SystemClock
from runner.store import RunDir

log = logging.getLogger(__name__)

QUIET_PAUSES_S = (1.0, 1.0, 3.0, 5.0)
"""Pauses before looks that must all find nothing: the last one is 10 s after the heal."""
TROUBLE_PAUSES_S = (0.5, 1.0, 2.0, 5.0, 10.0)
"""Pauses before trying again; the last one repeats."""
GIVE_UP_S = 600.0
FIRST_HEAL_S, HEAL_S = 2.0, 5.0
"""Bounds of the first heal, after which the target may be known to be gone, and of others."""
SOURCE = "guardian"
GONE = "the sandbox is gone, and every fault in it"


def scope_of(namespace: str, run: RunDir, fault: str = "") -> Scope:
    """What a run (or one fault of it) is to be healed of, and what it is known to have changed."""
    faults = [fault] if fault else run.fault_ids()
    changed = {subject for name in faults for subject in changed_subjects(run.fault_dir(name))}
    return Scope(namespace, run=run.run_id, fault=fault, expected=frozenset(changed))


@dataclass(slots=True)
class Aftermath:
    """The end of a run whose runner is gone, or could not heal.

    Attributes:
        cluster: Where its faults are.
        namespace: Of the run.
        run: The run's folder.
        killed: Whether the runner is gone; else it has said that something is left.
        is_gone: Whether the target itself is no more, and every fault with it.
        clock: Waits.
        give_up_s: How long an API server that does not answer is waited for.
        heal_s: Bound of each heal, in seconds, if it should be lower.
        reconnect: Logs in anew after a heal that failed: the login may have run out.
    """

    cluster: Cluster
    namespace: str
    run: RunDir
    killed: bool = True
    is_gone: Callable[[], bool] = lambda: False
    clock: Clock = field(default_factory=SystemClock)
    give_up_s: float = GIVE_UP_S
    heal_s: float = HEAL_S
    reconnect: Callable[[], Cluster] | None = None
    _journal: Journal = field(init=False)
    _began_s: float = field(init=False)
    _on_record: bool = field(init=False, default=False)
    _sealed: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        self._journal = Journal(self.run, self.clock)
        self._began_s = self.clock.monotonic_s()

    @property
    def _why(self) -> str:
        return "its runner was killed" if self.killed else "its runner could not heal"

    def make_whole(self) -> bool:
        """Heal until nothing is found any more, put it on record; whether nothing is left."""
        self._note_anchor()
        self._write(SOURCE, "heal", "begin", self._why)
        looks = troubles = 0
        unsaid: list[str] = []
        while True:
            removed, problem = self._heal_once(FIRST_HEAL_S if not troubles else HEAL_S)
            # Nothing is on record as healed while something is left; what was is not forgotten.
            unsaid += [name for name in removed if name not in unsaid]
            over = self._since_s() > self.give_up_s
            if problem and self.is_gone():
                self._healed(GONE)
                return True
            if over and (problem or removed):
                self._give_up(problem or "it comes back each time that it is removed", unsaid)
                return False
            if problem:
                log.warning("not healed yet: %s", problem)
                self.clock.sleep(TROUBLE_PAUSES_S[min(troubles, len(TROUBLE_PAUSES_S) - 1)])
                looks, troubles = 0, troubles + 1
                self._log_in()
                continue
            if unsaid or not self._on_record:
                self._healed(", ".join(unsaid) or "nothing was in place")
            looks, troubles, unsaid = 1 if removed else looks + 1, 0, []
            if looks > len(QUIET_PAUSES_S):
                return True
            self.clock.sleep(QUIET_PAUSES_S[looks - 1])

    def _log_in(self) -> None:
        with contextlib.suppress(SeatrialError):
            self.cluster = self.reconnect() if self.reconnect is not None else self.cluster

    def _heal_once(self, bound_s: float) -> tuple[list[str], str]:
        """What was removed, and why that is not all."""
        try:
            report = heal(
                self.cluster,
                scope_of(self.namespace, self.run),
                deadline_s=min(bound_s, self.heal_s),
                sleep=self.clock.sleep,
                play=rollback_player(self.run.path),
            )
        except SeatrialError as error:
            return [], one_line(error)
        except Exception as error:  # A mistake of ours is no reason to give up at once.
            log.exception("the heal failed")
            return [], one_line(error)
        return report.removed, "; ".join(report.left)

    def _healed(self, what: str) -> None:
        """Put on record that nothing is left: what was there, and when."""
        took = f"{self._since_s():.1f} s"
        again = "again: " if self._on_record else ""
        self._write(SOURCE, "heal", "ok", f"{again}{self._why}; {what}; after {took}")
        faults = self._open_faults()
        for fault in faults:
            self._write(fault, "heal", "ok", f"by the guardian, {took} after {self._why}")
        if not self._on_record:
            did = f"healed {', '.join(faults)} in {took}" if faults else "had nothing to heal"
            self._seal(f"{self._why}; {what if what == GONE else f'the guardian {did}'}")
        self._on_record = True

    def _give_up(self, problem: str, removed: Sequence[str]) -> None:
        since = f"{self._since_s():.0f} s"
        done = f" (removed: {', '.join(removed)})" if removed else ""
        text = f"LEFT BROKEN for {since}: {problem}{done}; to finish the work: {self._command()}"
        log.error("%s", text)
        self._write(SOURCE, "heal", "failed", text)
        if self._on_record:
            for fault in self._begun_faults():
                self._write(fault, "inject", "begin", "it may be in place again")
        self._seal(f"{self._why}; {text}")

    def _command(self) -> str:
        """What finishes the work, from any machine that knows the target."""
        with contextlib.suppress(RecordingError):
            if (target := self.run.read_manifest().target) is not None:
                return heal_command(self.run.run_id, target.kind, target.name, target.flags)
        return f"seatrial heal {self.run.run_id}"

    def _begun_faults(self) -> list[str]:
        with contextlib.suppress(RecordingError):
            return sorted({e.source for e in self.run.read_events() if e.action == "inject"})
        return []

    def _open_faults(self) -> list[str]:
        with contextlib.suppress(RecordingError):
            return sorted(unhealed(self.run.read_events()))
        return []

    def _seal(self, reason: str) -> None:
        """Give the manifest its last state, where the runner could not."""
        if not self.killed:
            return
        try:
            manifest = self.run.read_manifest()
            if self._sealed or manifest.state in ("planned", "running"):
                sealed = manifest.model_copy(update={"state": "failed", "reason": reason})
                self.run.write_manifest(sealed)
                self._sealed = True
        except (SeatrialError, OSError) as error:
            log.warning("the manifest is not sealed: %s", error)

    def _note_anchor(self) -> None:
        with contextlib.suppress(RecordingError):
            anchor = self.run.read_manifest().anchor
            self._journal.anchor_wall_s = anchor.load_started_wall_s if anchor else None

    def _write(self, source: str, action: str, kind: EventKind, detail: str) -> None:
        """To the journal, if that can be written: to heal matters more."""
        log.info("%s: %s %s: %s", source, action, kind, detail)
        try:
            self._journal.write(source, action, kind, detail)
        except (SeatrialError, OSError) as error:
            log.warning("the journal is not written: %s", error)

    def _since_s(self) -> float:
        return self.clock.monotonic_s() - self._began_s
