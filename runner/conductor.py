"""Carry out a plan: one thread, one loop, an undo stack and a journal.

The conductor knows the protocols of ``runner.ports`` only. Its invariants:

1. An undo is registered before its effect; ``begin`` is journaled before it, too.
2. The root cause surfaces. A failing undo is journaled beside it, and the others still run.
3. Every wait has a bound.
4. Signals are collected after the load has stopped and before the target is given back.
5. What it returns is read back from disk.

It does not judge: a guard that trips or a child that fails is written down, and the evaluation says
what that means.
"""

from __future__ import annotations

import logging
from contextlib import ExitStack

from runner.analysis.guards import Guards
from runner.disturbing import drive, heal_if_begun
from runner.errors import LoadError, RecordingError, SeatrialError, TargetError
from runner.guarding import await_guardian, dismiss, heed, start_guardian
from runner.journal import Journal
from runner.model.guard import Reading
from runner.model.plan import Phase, Plan
from runner.model.recording import (
    Manifest,
    Recording,
    RunState,
    TargetInfo,
)
from runner.ports import LoadJob, Ports
from runner.progress import ActiveFault, Conduct, RunEndedEarlyError, StopRequest, Watcher
from runner.searching import SearchUnderWay
from runner.store import RunDir

log = logging.getLogger(__name__)

TICK_S = 0.1
WHO_STOPPED = {"interrupted": "Ctrl-C was pressed", "terminated": "it was told to terminate"}

LOAD_START_BOUND_S = 180.0
REMOTE_START_BOUND_S = 780.0
"""Somebody has to start workers elsewhere by hand."""

LOAD_STOP_GRACE_S = 10.0
FIRST_ASK_BOUND_S = 5.0
FIRST_RANGE_S = 60.0
ASK_BOUND_S = 1.0
"""A guard's query, once load runs: the loop has faults to end meanwhile."""

COLLECT_SETTLE_S = 2.5
"""Two scrapes and a bit: the last seconds must have reached Prometheus before it is asked."""


def conduct(
    plan: Plan,
    experiment_text: str,
    manifest: Manifest,
    ports: Ports,
    folder: RunDir,
    *,
    stop: StopRequest | None = None,
    watch: Watcher = lambda status: None,
) -> Recording:
    """Carry out ``plan`` into ``folder``. On every path out: heal, stop the load, collect, close.

    Args:
        plan: What to do.
        experiment_text: The experiment file, kept verbatim.
        manifest: Identity of the run; its state is kept up to date here.
        ports: The world.
        folder: A new run folder.
        stop: Set from outside to end the run early.
        watch: Called several times a second with what is going on.

    Returns:
        The recording, read back from disk. Its manifest's state is ``recorded``, or ``aborted``
        (guard) or ``interrupted`` when it ended early.

    Raises:
        SeatrialError: What went wrong, after everything was undone. The folder keeps what was
            recorded, with the state ``failed``.
    """
    folder.write_plan(plan, experiment_text)  # The intent is on disk before the first effect.
    run = Conduct(
        plan=plan,
        ports=ports,
        folder=folder,
        journal=Journal(folder, ports.clock),
        stop=stop or StopRequest(),
        watch=watch,
        undo=ExitStack(),
        manifest=manifest,
        faults=[ActiveFault(planned) for planned in plan.faults],
        guards=Guards.of(plan),
    )
    run.seal("planned")
    state: RunState = "failed"
    reason = ""
    try:
        with run.undo:
            _carry_out(run)
        state = "recorded"
    except RunEndedEarlyError as early:
        state, reason = early.state, early.reason
    except OSError as error:
        reason = str(error)
        raise RecordingError(f"the run broke off: {error}") from error
    except BaseException as error:
        reason = str(error) or type(error).__name__
        raise
    finally:
        _close(run, state, reason)
    return folder.recording()


def _close(run: Conduct, state: RunState, reason: str) -> None:
    try:
        run.seal(state, reason)
    except SeatrialError as error:
        if state != "failed":
            raise
        log.error("%s", error)  # noqa: TRY400 - the root cause is on its way up


def _carry_out(run: Conduct) -> None:
    """Every effect in order, each with its undo pushed before it. Unwinds last-in first-out."""
    ports, journal = run.ports, run.journal
    run.show("opening the target")
    run.undo.callback(journal.undo, "target", "close", ports.target.close)
    target = run.target = journal.act(
        "target", "open", lambda: ports.target.open(run.folder.run_id)
    )
    run.undo.callback(dismiss, run)
    start_guardian(run, target)
    problems = journal.act("target", "preflight", lambda: ports.target.preflight(run.plan))
    if problems:
        raise TargetError(f"{target.name} cannot take this experiment: {'; '.join(problems)}")
    for remark in ports.target.remarks():
        journal.write("target", "preflight", "note", remark)
    _stop_if_asked(run)
    _try_queries(run, target)
    _try_own_signals(run, target)
    journal.act("target", "snapshot", lambda: _snapshot(run, "before"))
    run.undo.callback(journal.undo, "target", "snapshot", lambda: _snapshot(run, "after"))
    run.undo.callback(_collect_if_started, run, target)
    await_guardian(run, target)
    run.seal("running")
    run.undo.callback(journal.undo, "load", "stop", lambda: _stop_load(run))
    run.load_job = journal.act(
        "load",
        "start",
        lambda: ports.load.start(
            run.plan, target, run.folder.load_dir, run.folder.log_path("locust")
        ),
    )
    _await_load(run, run.load_job, target)
    for fault in run.faults:
        # Pushed before any injection. Healing what was never begun is skipped, not forgotten.
        run.undo.callback(heal_if_begun, run, fault, target)
    _follow(run, run.load_job, target)


def _await_load(run: Conduct, job: LoadJob, target: TargetInfo) -> None:
    """Wait until the generator says that offset 0 has come."""
    bound_s = REMOTE_START_BOUND_S if run.plan.generator.remote_workers else LOAD_START_BOUND_S
    deadline_s = run.ports.clock.monotonic_s() + bound_s
    awaited = run.plan.generator.awaited
    while run.anchor is None:
        _stop_if_asked(run)
        heed(run, target)
        code = job.poll()
        progress = job.progress()
        if progress.started_wall_s is not None:
            run.begin_load(progress.started_wall_s)
            run.take_in(progress)
            run.seal("running")
        elif code is not None:
            raise LoadError(
                f"the load generator ended {_how(code)} before it sent a request:\n{job.tail(12)}",
                hint=_why_at_once(code, awaited),
            )
        elif run.ports.clock.monotonic_s() > deadline_s:
            raise LoadError(
                f"the load generator did not start within {bound_s:g} s:\n{job.tail(12)}"
            )
        else:
            run.show(f"awaiting {awaited}" if awaited else "starting the load")
            run.ports.clock.sleep(TICK_S)


def _follow(run: Conduct, job: LoadJob, target: TargetInfo) -> None:
    """Start faults when they are due, end them when they are over, until the load has ended."""
    plan = run.plan
    bound_s = plan.duration_s + plan.experiment.load.stop_timeout + LOAD_STOP_GRACE_S
    phase: Phase | None = None
    search = SearchUnderWay.of(run, job)
    while True:
        code = job.poll()  # Before the progress, so that the last lines are not missed.
        progress = job.progress()
        run.take_in(progress)
        offset_s = run.offset_s
        run.ended_s = min(offset_s, plan.duration_s)
        if phase != (now := plan.phase_at(offset_s)) and now is not None:
            run.journal.write("run", f"phase {now.name}", "note", ", ".join(now.faults))
            phase = now
        _stop_if_asked(run)
        heed(run, target)
        if code is None and offset_s < plan.duration_s:
            _check_guards(run, target, offset_s)
        if search is not None and code is None:
            search.drive(progress, offset_s)
        for fault in run.faults:
            drive(run, fault, target, offset_s)
        run.show("running" if code is None else "stopping the load")
        if code is not None:
            if search is None or not search.over:
                _check_load_end(run, job, code, offset_s)
            if all(fault.state != "begun" for fault in run.faults):
                run.journal.write("load", "end", "note", f"exit code {code}")
                return
        elif offset_s > bound_s:
            run.journal.write("load", "end", "note", f"still running at {offset_s:.1f} s; stopped")
            return
        run.ports.clock.sleep(TICK_S)


def _check_load_end(run: Conduct, job: LoadJob, code: int, offset_s: float) -> None:
    if offset_s < run.plan.duration_s - 1:
        raise LoadError(
            f"the load generator ended at {offset_s:.1f} s of {run.plan.duration_s:g} s "
            f"{_how(code)}:\n{job.tail(12)}"
        )


def _how(code: int) -> str:
    """How a child ended, after its exit code; negative ones are signals."""
    return f"by signal {-code}, killed from outside" if code < 0 else f"with exit code {code}"


def _why_at_once(code: int, awaited: str) -> str:
    """What to look at when Locust ended with this code before it did anything."""
    if code == 1 and awaited:
        return f"did 'seatrial worker' start {awaited}?"
    if code == 2:  # argparse's
        return "does Locust, or the Locust file, know the options after --?"
    return "does the Locust file import, and does it define a User class?" if code >= 0 else ""


def _stop_load(run: Conduct) -> None:
    run.show("stopping the load")
    run.ports.load.stop(LOAD_STOP_GRACE_S)
    if run.load_job is not None and run.anchor is not None:
        # What was under way when it stopped belongs to what is told at the end.
        run.take_in(run.load_job.progress())


def _collect_if_started(run: Conduct, target: TargetInfo) -> None:
    if run.anchor is not None:
        run.journal.undo("signals", "collect", lambda: _collect(run, target))


def _collect(run: Conduct, target: TargetInfo) -> None:
    if run.anchor is None:  # pragma: no cover - asked by the caller
        return
    run.show("collecting signals")
    run.ports.clock.sleep(COLLECT_SETTLE_S)
    skew_s = run.ports.signals.skew_s(target)
    run.anchor = run.anchor.model_copy(update={"prometheus_skew_s": skew_s})
    signals = run.ports.signals.collect(
        run.plan, run.anchor, target, run.ended_s, run.folder.raw_signals_dir
    )
    run.folder.write_signals(signals)


def _snapshot(run: Conduct, when: str) -> None:
    folder = run.folder.target_dir(when)
    folder.mkdir(parents=True, exist_ok=True)
    run.ports.target.snapshot(folder)


def _stop_if_asked(run: Conduct) -> None:
    if run.stop.reason is not None:
        run.journal.write("run", run.stop.reason, "note")
        raise RunEndedEarlyError("interrupted", WHO_STOPPED[run.stop.reason])


def _try_queries(run: Conduct, target: TargetInfo) -> None:
    """Ask the guards' queries before any load is sent: one that cannot be asked guards nothing.

    Raises:
        TargetError: When a query is wrong, or nobody answers a guard that does not do without.
    """
    for number, guard in enumerate(run.plan.experiment.guards, start=1):
        if guard.promql is None:
            continue
        _stop_if_asked(run)
        run.show(f"asking the query of guard {number}")
        reading = run.ports.signals.ask(guard.promql, target, FIRST_ASK_BOUND_S)
        said = reading.why or ", ".join(f"{value:g}" for _, value in reading.values[:3])
        run.journal.write("signals", "ask", "note", f"guard {number}: {reading.state}: {said}")
        missed = reading.state == "unreachable" and guard.on_missing == "abort"
        if reading.state == "refused" or missed:
            raise TargetError(
                f"guard {number} of this experiment would be blind: {reading.why}",
                hint="" if reading.state == "refused" else "or give it 'on_missing: ignore'",
            )


def _try_own_signals(run: Conduct, target: TargetInfo) -> None:
    """Ask the reader's own queries before any load is sent: what is wrong now is wrong at the end.

    Raises:
        TargetError: When one is no PromQL, or gives several series. No data is no mistake yet.
    """
    for name, signal in run.plan.experiment.signals.items():
        _stop_if_asked(run)
        run.show(f"asking the query of signal {name}")
        query = signal.query(target.namespace, FIRST_RANGE_S)
        reading = run.ports.signals.ask(query, target, FIRST_ASK_BOUND_S)
        said = reading.why or ", ".join(f"{value:g}" for _, value in reading.values[:3])
        run.journal.write("signals", "ask", "note", f"signal {name}: {reading.state}: {said}")
        number = len(reading.values)
        if reading.state == "refused" or number > 1:
            several = f"it gives {number} series, and one is wanted"
            raise TargetError(
                f"the signal {name} of this experiment would tell nothing: "
                f"{reading.why or several}",
                hint="" if reading.why else "put them together, as with sum() or max()",
            )


def _check_guards(run: Conduct, target: TargetInfo, offset_s: float) -> None:
    def ask(promql: str) -> Reading:
        return run.ports.signals.ask(promql, target, ASK_BOUND_S)

    reason = run.guards.tripped(run.live, offset_s, ask)
    if reason is not None:
        run.journal.write("guard", "abort", "note", reason)
        raise RunEndedEarlyError("aborted", reason)
