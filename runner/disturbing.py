"""The faults of a run that is under way: each one starts when it is due, and ends when it is over.

A part of the conductor's loop. A fault's child that dies on its own has its fault healed at once,
because nobody else would end it.
"""

from __future__ import annotations

from runner.errors import FaultError, LeftBrokenError
from runner.guarding import is_guarded
from runner.model.faultmark import heal_command
from runner.model.recording import TargetInfo
from runner.ports import HealReport
from runner.progress import ActiveFault, Conduct

FAULT_LEAD_S = 6.0
"""A fault's child is started this early: it needs seconds to start, and waits for its moment."""

FAULT_KILL_GRACE_S = 1.0

GUARDED_BY_S = 1.0
"""A child that waits is ended this long before its fault's start, when nobody guards the run then:
the guardian may have died since the child was started."""

RECALL_GRACE_S = 0.5
"""How long it has for that by itself; the rest is for the kill."""


def drive(run: Conduct, fault: ActiveFault, target: TargetInfo, offset_s: float) -> None:
    """Take ``fault`` one step further, if it is time.

    Raises:
        FaultError: When its child has ended before its time, or when its time has come, or nearly,
            while nobody guards the run, or while an earlier fault cannot be healed.
    """
    planned = fault.planned
    if fault.state == "planned" and offset_s >= planned.start_s - FAULT_LEAD_S:
        why_not = _why_not(run)
        if not why_not:
            _inject(run, fault, target)
        elif offset_s >= planned.start_s:
            raise FaultError(f"fault {planned.id} is not injected: {why_not}")
    elif fault.healing is not None:
        _heal_on(run, fault, target)
    elif fault.state == "begun" and fault.job is not None:
        _recall_if_unguarded(run, fault, offset_s)
        code = fault.job.poll()
        if code is not None and offset_s < planned.start_s:
            tail = fault.job.tail(5)
            raise FaultError(f"the child of fault {planned.id} ended before its time:\n{tail}")
        if code and offset_s < planned.end_s:
            how = f"by signal {-code}" if code < 0 else f"with exit code {code}"
            run.journal.write(planned.id, "lost", "note", f"its child ended {how}; healed at once")
            _heal_on(run, fault, target)
        elif (code is not None and offset_s >= planned.end_s) or offset_s >= planned.undo_by_s:
            _heal_on(run, fault, target)


def _recall_if_unguarded(run: Conduct, fault: ActiveFault, offset_s: float) -> None:
    """End a child whose fault is about to start while nobody guards the run.

    Raises:
        FaultError: When that was so; what the child may have done all the same is healed after it.
    """
    planned = fault.planned
    if offset_s < planned.start_s - GUARDED_BY_S or (fault.guarded and offset_s >= planned.start_s):
        return
    fault.guarded = is_guarded(run)
    if fault.guarded:
        return
    fault.lives = _end_child(fault, RECALL_GRACE_S)
    run.journal.write(planned.id, "recalled", "note", "nobody guards the run at its start")
    raise FaultError(f"fault {planned.id} is called back: the run has no guardian at its start")


def _why_not(run: Conduct) -> str:
    """Why nothing more may be broken now; empty when it may."""
    if not is_guarded(run):
        return "the run has no guardian now"
    for fault in run.faults:
        if fault.healing is not None:  # For most of a second; else nobody knows whether it can be.
            took_s = run.ports.clock.monotonic_s() - fault.healing_since_s
            return f"the heal of {fault.planned.id} has been under way for {took_s:.0f} s"
    return ""


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


def _heal_on(run: Conduct, fault: ActiveFault, target: TargetInfo) -> None:
    """Begin to heal, or see how far that has come: the loop has other faults, and guards."""
    if fault.healing is None:
        fault.unwritten = run.journal.announce(fault.planned.id, "heal")

    def step() -> HealReport | None:
        if fault.healing is None:
            run.show(f"healing {fault.planned.id}")
            fault.lives = _end_child(fault)
            fault.healing_since_s = run.ports.clock.monotonic_s()
            fault.healing = run.ports.faults.begin_heal(run.folder.run_id, fault.planned.id, target)
        report = fault.healing.poll()
        if report is not None:
            _judge(run, fault, target, report)
        return report

    if run.journal.step(fault.planned.id, "heal", step) and fault.unwritten is not None:
        raise fault.unwritten


def _heal(run: Conduct, fault: ActiveFault, target: TargetInfo) -> None:
    """End the fault's child, remove what bears its name, and look again; waits for that.

    Raises:
        LeftBrokenError: When something is left, or a child that could not be ended may inject
            again what was removed.
    """
    run.show(f"healing {fault.planned.id}")
    fault.lives = _end_child(fault)
    report = run.ports.faults.heal(run.folder.run_id, fault.planned.id, target)
    _judge(run, fault, target, report)


def _end_child(fault: ActiveFault, grace_s: float = FAULT_KILL_GRACE_S) -> Exception | None:
    """Why the child may still be there."""
    try:
        if fault.job is not None:
            fault.job.stop(grace_s)
    except Exception as error:  # noqa: BLE001 - raised after the heal
        return error
    return None


def _judge(run: Conduct, fault: ActiveFault, target: TargetInfo, report: HealReport) -> None:
    hint = heal_command(run.folder.run_id, target.kind, target.name, target.flags)
    if report.left:
        left = "; ".join(report.left)
        raise LeftBrokenError(f"fault {fault.planned.id} is still in place: {left}", hint=hint)
    if fault.lives is not None:
        message = f"the child of fault {fault.planned.id} could not be ended: {fault.lives}"
        raise LeftBrokenError(message, hint=hint) from fault.lives
    fault.state, fault.healing = "healed", None
