"""``heal`` and ``doctor``: what may be left broken, and what is missing."""

from __future__ import annotations

import contextlib
import dataclasses
import re
from pathlib import Path

import click

from runner.catalog import TargetChoice, locate_target
from runner.cli.options import config_option, output_option, print_json, results_option
from runner.errors import ExitCode, RecordingError, UsageError
from runner.model.recording import TargetInfo
from runner.model.target import SANDBOX
from runner.ports import HealReport
from runner.private import remove_stale
from runner.source import load_config
from runner.store import RunDir, Store

_RUN_ID = re.compile(r"\d{4}-\d\d-\d\dT\d{6}Z-[0-9a-f]{4}", re.IGNORECASE)


@click.command("heal")
@click.argument("run", required=False, metavar="[RUN]")
@click.option("--all", "all_runs", is_flag=True, help="Remove the faults of every run.")
@click.option("--expired", is_flag=True, help="Remove only faults whose time is over.")
@click.option("--target", help="Default: the target of RUN, else the sandbox.")
@click.option("--sandbox-name", help="Default: the sandbox of RUN, else 'default'.")
@results_option
@config_option
@output_option
def heal_command(
    run: str | None,
    all_runs: bool,
    expired: bool,
    target: str | None,
    sandbox_name: str | None,
    results: Path,
    config: Path,
    output: str,
) -> int:
    """Remove faults that a run left behind. Needs nothing but the target; harmless to repeat.

    RUN is a run id (its folder need not be on this machine), a run's folder, an experiment's name
    (its latest run) or 'latest'.

    \b
    Example:
      seatrial heal latest
    """
    from runner.chaos.toolkit import heal_target

    if (run is not None) + all_runs + expired != 1:
        raise UsageError("heal needs to know what", accepted="one of: a RUN, --all, --expired")
    remove_stale()
    store = Store(results)
    folder = _folder(store, run)
    recorded = _recorded_target(folder)
    name, sandbox = _target_of(recorded, target, sandbox_name)
    info = locate_target(TargetChoice(name=name, config=load_config(config), sandbox_name=sandbox))
    is_its_own = recorded is None or (recorded.kind, recorded.name) == (
        ("sandbox", sandbox) if name == SANDBOX else ("cluster", name)
    )
    if info is None:
        _say_gone(store, sandbox, recorded, asked_for=sandbox_name is not None)
    else:
        run_id = folder.run_id if folder is not None else run
        report = heal_target(info, None if all_runs else run_id, None, expired_only=expired)
        _say_healed(report, run_id, info, output)
        if report.left:
            return ExitCode.LEFT_BROKEN
    if is_its_own and not expired:
        _journal_heals(folder)
    return ExitCode.PASS


def _say_healed(report: HealReport, run_id: str | None, info: TargetInfo, output: str) -> None:
    if output == "json":
        print_json(dataclasses.asdict(report))
        return
    for removed in report.removed:
        click.echo(f"healed: {removed}")
    for left in report.left:
        click.secho(f"STILL BROKEN: {left}", fg="red", err=True)
    if not report.removed and not report.left:
        whose = "no fault" if run_id is None else f"no fault of run {run_id}"
        click.echo(f"nothing to heal: {whose} in {info.namespace} of {info.name}")
    for other in report.others:
        click.echo(f"not asked for: {other}", err=True)


def _say_gone(store: Store, sandbox: str, recorded: TargetInfo | None, *, asked_for: bool) -> None:
    """Say that ``sandbox`` is not up.

    Raises:
        UsageError: When it was asked for, but nobody has ever heard of it.
    """
    if recorded is not None and (recorded.kind, recorded.name) == ("sandbox", sandbox):
        click.echo(f"the sandbox {sandbox!r} is gone, and every fault in it", err=True)
        return
    known = _known_sandboxes(store)
    if asked_for and sandbox not in known:
        raise UsageError(
            f"there is no sandbox {sandbox!r}, and no run that used one of that name",
            accepted=", ".join(sorted(known)) or "no sandbox is up",
        )
    click.echo(f"the sandbox {sandbox!r} is not up, so there is no fault in it", err=True)


def _known_sandboxes(store: Store) -> set[str]:
    """Names of sandboxes that are up, or that a recorded run used."""
    from runner.targets.sandbox import control

    known = {info.name for info in control.all_sandboxes()}
    for run in store.runs():
        with contextlib.suppress(RecordingError):
            target = run.read_manifest().target
            known |= {target.name} if target is not None and target.kind == "sandbox" else set()
    return known


def _folder(store: Store, run: str | None) -> RunDir | None:
    """The folder of ``run``; None when it is not on this machine, which heal does not need."""
    if run is None:
        return None
    try:
        return store.find(run)
    except UsageError as error:
        if not _RUN_ID.fullmatch(run):
            raise  # Nothing on the target could bear this name: to find nothing would say nothing.
        click.echo(f"{error.message}; looking for what bears this name on the target", err=True)
        return None


def _recorded_target(folder: RunDir | None) -> TargetInfo | None:
    try:
        return None if folder is None else folder.read_manifest().target
    except RecordingError as error:  # Heal needs nothing but the target.
        click.echo(f"the target of the run is unknown: {error.message}", err=True)
        return None


def _target_of(
    recorded: TargetInfo | None, target: str | None, sandbox: str | None
) -> tuple[str, str]:
    """Name of the target, and of the sandbox if it is one; what was asked for comes first.

    Raises:
        UsageError: When a sandbox was asked for, and a target that is none.
    """
    if sandbox is not None and target not in (None, SANDBOX):
        raise UsageError(f"the target {target!r} is not a sandbox, so --sandbox-name says nothing")
    of_run = recorded.name if recorded is not None and recorded.kind == "sandbox" else "default"
    if target is not None or sandbox is not None:
        return target or SANDBOX, sandbox or of_run
    if recorded is None or recorded.kind == "sandbox":
        return SANDBOX, of_run
    return recorded.name, of_run


def _journal_heals(folder: RunDir | None) -> None:
    """Write into the run's journal that what it left open is healed now."""
    from runner.journal import Journal
    from runner.model.recording import unhealed
    from runner.process import SystemClock

    if folder is None:
        return
    journal = Journal(folder, SystemClock())
    try:
        for fault in sorted(unhealed(folder.read_events())):
            journal.write(fault, "heal", "ok", "by seatrial heal")
    except RecordingError as error:
        click.echo(f"healed, but the run's journal does not say so: {error.message}", err=True)


@click.command("doctor")
@click.option("--target", default="sandbox", show_default=True)
@click.option("--sandbox-name", default="default", show_default=True)
@config_option
@output_option
def doctor_command(target: str, sandbox_name: str, config: Path, output: str) -> int:
    """Check this machine and the target for what a run needs; the target only if it is up.

    Exit code 3 when something that is needed is missing.

    \b
    Example:
      seatrial doctor
    """
    from runner.catalog import examine

    choice = TargetChoice(name=target, config=load_config(config), sandbox_name=sandbox_name)
    findings = examine(choice)
    if output == "json":
        print_json([dataclasses.asdict(finding) for finding in findings])
    else:
        from runner.cli.tables import make_table, print_table, safe

        table = make_table("", "Part", "Found", "What to do")
        styles = {"ok": ("✓", "green"), "warn": ("!", "yellow"), "missing": ("✗", "red")}
        for finding in findings:
            mark, style = styles[finding.state]
            table.add_row(
                safe(mark, style), safe(finding.part), safe(finding.found), safe(finding.hint)
            )
        print_table(table)
    broken = any(finding.state == "missing" for finding in findings)
    return ExitCode.INCONCLUSIVE if broken else ExitCode.PASS
