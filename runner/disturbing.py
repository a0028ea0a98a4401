"""The faults of a run that is under way: each one starts when it is due, and ends when it is over.

A part of the conductor's loop. A fault's child that dies on its own has its fault healed at once,
because nobody else would end it.
"""

from __future__ import annotations

from runner.errors import FaultError, LeftBrokenError
from runner.guarding import is_guarded
from runner.model.faultmark import heal_command
from runner.model.recording import TargetInfo
from runner.progress import ActiveFault, Conduct

FAULT_LEAD_S = 6.0
"""A fault's child is started this early: it needs seconds to start, and waits for its moment."""

FAULT_KILL_GRACE_S = 1.0


def drive(run: Conduct, fault: ActiveFault, target: TargetInfo, offset_s: float) -> None:
    """Take ``fault`` one step further, if it is time.

    Raises:
        FaultError: When its child has ended before its time, or nobody guards the run.
    """
    planned = fault.planned
    if fault.state == "planned" and offset_s >= planned.start_s - FAULT_LEAD_S:
        if is_guarded(run):
            _inject(run, fault, target)
        elif offset_s >= planned.start_s:
            raise FaultError(f"fault {planned.id} is not injected: the run has no guardian now")
    elif fault.state == "begun" and fault.job is not None:
        code = fault.job.poll()
        if code is not None and offset_s < planned.start_s:
            tail = fault.job.tail(5)
            raise FaultError(f"the child of fault {planned.id} ended before its time:\n{tail}")
        if code and offset_s < planned.end_s:
            how = f"by signal {-code}" if code < 0 else f"with exit code {code}"
            run.journal.write(planned.id, "lost", "note", f"its child ended {how}; healed at once")
            run.journal.make_good(planned.id, "heal", lambda: _heal(run, fault, target))
        elif (code is not None and offset_s >= planned.end_s) or offset_s >= planned.undo_by_s:
            run.journal.make_good(planned.id, "heal", lambda: _heal(run, fault, target))


def _inject(run: Conduct, fault: ActiveFault, target: TargetInfo) -> None:
    anchor = run.anchor
    if anchor is None:  # pragma: no cover - faults are driven only after the load has started
        raise FaultError("a fault cannot start before the load")
    starts_at_wall_s = anchor.load_started_wall_s + fault.planned.start_s
    workdir = run.folder.fault_dir(fault.planned.id)
    workdir.mkdir(parents=True)
    fault.state = "begun"  # Before the effect: whatever happens next, it will be healed.
    fault.job = run.journal.act(
        fault.planned.id,
        "inject",
        lambda: run.ports.faults.inject(
            fault.planned, run.folder.run_id, target, workdir, starts_at_wall_s
        ),
    )


def heal_if_begun(run: Conduct, fault: ActiveFault, target: TargetInfo) -> None:
    """The undo of an injection; a fault that was never begun, or is healed, needs none."""
    if fault.state == "begun":
        run.journal.undo(fault.planned.id, "heal", lambda: _heal(run, fault, target))


def _heal(run: Conduct, fault: ActiveFault, target: TargetInfo) -> None:
    """End the fault's child, remove what bears its name, and look again.

    Raises:
        LeftBrokenError: When something is left, or a child that could not be ended may inject
            again what was removed.
    """
    run.show(f"healing {fault.planned.id}")
    lives: Exception | None = None
    if fault.job is not None:
        try:
            fault.job.stop(FAULT_KILL_GRACE_S)
        except Exception as error:  # noqa: BLE001 - raised below, after the heal
            lives = error
    report = run.ports.faults.heal(run.folder.run_id, fault.planned.id, target)
    hint = heal_command(run.folder.run_id, target.kind, target.name, target.flags)
    if report.left:
        left = "; ".join(report.left)
        raise LeftBrokenError(f"fault {fault.planned.id} is still in place: {left}", hint=hint)
    if lives is not None:
        message = f"the child of fault {fault.planned.id} could not be ended: {lives}"
        raise LeftBrokenError(message, hint=hint) from lives
    fault.state = "healed"
