"""The guardian of a run that is under way: started, started again when it dies, heeded, dismissed.

A part of the conductor's loop. No fault is injected while there is none: a fault whose runner may
be killed needs somebody who outlives it.
"""

from __future__ import annotations

import logging

from runner.errors import FaultError, SeatrialError
from runner.model.recording import TargetInfo
from runner.ports import Guardian
from runner.progress import Conduct, RunEndedEarlyError

log = logging.getLogger(__name__)

SOURCE = "guardian"
READY_BOUND_S = 30.0
MAX_LOST = 3
"""A guardian that dies more often than that is not started again."""
DISMISS_GRACE_S = 5.0
_STEP_S = 0.05


def start_guardian(run: Conduct, target: TargetInfo) -> None:
    """Start one. It loads its client while the run goes on.

    Raises:
        SeatrialError: When it cannot be started, and there are faults to be healed.
    """
    try:
        run.guardian = run.journal.act(
            SOURCE,
            "start",
            lambda: run.ports.faults.guard(run.folder.run_id, target, run.folder.path),
        )
    except SeatrialError as error:
        run.guardian = None
        if run.faults:
            raise
        log.warning("nobody watches the Lease and the switch of this run: %s", error)


def is_guarded(run: Conduct) -> bool:
    """Whether somebody would heal, if this process were killed now."""
    return run.guardian is not None and run.guardian.ready()


def await_guardian(run: Conduct, target: TargetInfo) -> None:
    """Wait until the guardian can heal; a run without faults waits for nobody.

    Raises:
        FaultError: When there is none in time.
    """
    deadline_s = run.ports.clock.monotonic_s() + READY_BOUND_S
    while run.faults and not is_guarded(run):
        heed(run, target)
        if run.guardian is None or run.ports.clock.monotonic_s() > deadline_s:
            raise _unguarded(run)
        run.show("starting the guardian")
        run.ports.clock.sleep(_STEP_S)


def heed(run: Conduct, target: TargetInfo) -> None:
    """Hear what the guardian says; start another in place of one that has died.

    Raises:
        RunEndedEarlyError: When the run must end now.
        SeatrialError: When no other can be started, and there are faults to be healed.
    """
    guardian = run.guardian
    if guardian is None:
        return
    if word := guardian.word():
        run.journal.write(SOURCE, "abort", "note", word)
        raise RunEndedEarlyError("aborted", word)
    code = guardian.poll()
    if code is None:
        return
    run.guardians_lost += 1
    how = f"by signal {-code}" if code < 0 else f"with exit code {code}"
    said = ": ".join(filter(None, (f"it ended {how}", guardian.tail(1))))
    run.journal.write(SOURCE, "lost", "note", said)
    _bury(run, guardian)
    if run.guardians_lost <= MAX_LOST:
        start_guardian(run, target)
        return
    run.guardian = None
    if any(fault.state != "healed" for fault in run.faults):
        raise _unguarded(run, guardian.tail(5))


def _bury(run: Conduct, guardian: Guardian) -> None:
    """Let go of one that has died: its private folder holds a way into the target."""
    run.journal.undo(SOURCE, "dismiss", lambda: guardian.dismiss(DISMISS_GRACE_S))


def _unguarded(run: Conduct, tail: str = "") -> FaultError:
    said = tail or (run.guardian.tail(5) if run.guardian is not None else "")
    return FaultError(
        "no fault is injected without a guardian, which heals when this process is killed, and "
        f"none gets ready:\n{said}",
    )


def dismiss(run: Conduct) -> None:
    """Let the guardian go; where something is left to heal, it stays and goes on by itself."""
    guardian = run.guardian
    if guardian is None:
        return
    if any(fault.state == "begun" for fault in run.faults):
        run.journal.undo(SOURCE, "leave", guardian.leave)
    else:
        run.journal.undo(SOURCE, "dismiss", lambda: guardian.dismiss(DISMISS_GRACE_S))
