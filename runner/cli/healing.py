"""``heal``: what may be left broken."""

from __future__ import annotations

import contextlib
import dataclasses
import re
import shlex
from pathlib import Path

import click

from runner.catalog import TargetChoice, locate_target
from runner.cli.options import config_option, output_option, print_json, results_option
from runner.cli.saying import say
from runner.cli.whereto import target_choice
from runner.errors import ExitCode, InvalidFileError, RecordingError, UsageError
from runner.model.faultmark import heal_command as finishing_command
from runner.model.recording import TargetInfo
from runner.model.target import SANDBOX
from runner.model.units import parse_duration
from runner.ports import HealReport
from runner.private import remove_stale
from runner.source import load_config
from runner.store import RunDir, Store

# A run's own, or that of faults that were injected by hand.
_RUN_ID = re.compile(r"by-hand|\d{4}-\d\d-\d\dT\d{6}Z-[0-9a-f]{4}", re.IGNORECASE)
REQUEST_S = 5.0
_NO_FILE = Path("no-seatrial.yaml")
_ADDRESS = ("context", "kubeconfig", "namespace")


@click.command("heal")
@click.argument("run", required=False, metavar="[RUN]")
@click.option("--all", "all_runs", is_flag=True, help="Remove the faults of every run.")
@click.option("--expired", is_flag=True, help="Remove only faults whose time is over.")
@click.option("--everywhere", is_flag=True, help="In all namespaces, as far as that is allowed.")
@click.option("--target", help="Default: the target of RUN, else the sandbox.")
@click.option("--sandbox-name", help="Default: the sandbox of RUN, else 'default'.")
@click.option("--context", help="A cluster without seatrial.yaml: context of the kubeconfig.")
@click.option("--kubeconfig", help="Its kubeconfig.", show_default="as kubectl has it")
@click.option("-n", "--namespace", help="Its namespace.")
@click.option(
    "--timeout",
    default="30s",
    show_default=True,
    help="How long to try, while the API server does not do its part.",
)
@results_option
@config_option
@output_option
def heal_command(
    run: str | None,
    all_runs: bool,
    expired: bool,
    everywhere: bool,
    timeout: str,
    results: Path,
    output: str,
    **where: str | Path | None,
) -> int:
    """Remove faults that a run left behind. Needs nothing but the target; harmless to repeat.

    RUN is a run id (its folder need not be on this machine), a run's folder, an experiment's name
    (its latest run) or 'latest'. Exit code 5 when something is left, with the objects and the
    command that finishes the work.

    \b
    Example:
      seatrial heal latest
      seatrial heal --all --context staging -n shop
    """
    from runner.chaos.healing import heal_target

    try:
        deadline_s = parse_duration(timeout)
    except ValueError as error:
        raise UsageError(f"--timeout: {error}") from error
    if deadline_s <= 0:
        raise UsageError(
            "--timeout: there must be time to try; accepted: more than 0s, such as 30s"
        )
    if (run is not None) + all_runs + expired != 1:
        raise UsageError("heal needs to know what", accepted="one of: a RUN, --all, --expired")
    remove_stale()
    store = Store(results)
    folder = _folder(store, run)
    recorded = _recorded_target(folder)
    asked = {name: str(value) for name, value in where.items() if value is not None}
    choice = _choice(recorded, asked)
    info = locate_target(choice)
    if info is None:
        asked_for = "sandbox_name" in asked
        _say_gone(store, choice.sandbox_name, recorded, asked_for=asked_for)
    else:
        run_id = folder.run_id if folder is not None else run
        report = heal_target(
            info,
            run_id,
            None,
            expired_only=expired,
            everywhere=everywhere,
            run_folder=None if folder is None else folder.path,
            attempts=1,  # It tries again by itself.
            deadline_s=deadline_s,
            request_s=min(REQUEST_S, deadline_s),
        )
        _say_healed(report, run_id, info, output, everywhere=everywhere)
        if report.left:
            return ExitCode.LEFT_BROKEN
    if not expired and (recorded is None or _same(recorded, choice, info)):
        _journal_heals(folder)
    return ExitCode.PASS


def _choice(recorded: TargetInfo | None, asked: dict[str, str]) -> TargetChoice:
    """Where to heal; what was asked for comes first, then where the run was.

    Raises:
        UsageError: When the flags name no target, or contradict each other.
    """
    config, target, sandbox = asked["config"], asked.get("target"), asked.get("sandbox_name")
    if sandbox is not None and target not in (None, SANDBOX):
        raise UsageError(f"the target {target!r} is not a sandbox, so --sandbox-name says nothing")
    address = {name: asked[name] for name in _ADDRESS if name in asked}
    if target is None and sandbox is None and not address.keys() & {"context", "kubeconfig"}:
        target, sandbox, told = _where_it_was(recorded, Path(config))
        address = told | address
    elif target in (None, SANDBOX) and sandbox is None:
        sandbox = _sandbox_of(recorded)
    if "sandbox_name" not in asked and (address or target not in (None, SANDBOX)):
        sandbox = None
    known = {"target": target, "sandbox_name": sandbox, **address}
    try:
        return target_choice(config=Path(config), loads=False, **known)
    except InvalidFileError as error:
        if target is not None or not {"context", "namespace"} <= address.keys():
            raise
        say(f"{config} has mistakes, and is not needed: {error.message}")
        return target_choice(config=_NO_FILE, loads=False, **known)


def _where_it_was(
    recorded: TargetInfo | None, config: Path
) -> tuple[str | None, str | None, dict[str, str]]:
    """Target, sandbox and address of a run that is on record; else of the default sandbox."""
    if recorded is None or recorded.kind == "sandbox":
        return None, _sandbox_of(recorded), {}
    if not recorded.flags and recorded.name in load_config(config).targets:
        return recorded.name, None, {}
    told = shlex.split(recorded.flags)
    pairs = dict(zip(told[::2], told[1::2], strict=False))
    flags = {name: pairs[f"--{name}"] for name in _ADDRESS if f"--{name}" in pairs}
    return (
        pairs.get("--target"),
        None,
        (
            flags
            if "--target" in pairs
            else {"context": recorded.context, "namespace": recorded.namespace} | flags
        ),
    )


def _sandbox_of(recorded: TargetInfo | None) -> str:
    return recorded.name if recorded is not None and recorded.kind == "sandbox" else "default"


def _same(recorded: TargetInfo, choice: TargetChoice, info: TargetInfo | None) -> bool:
    """Whether this is where the run was."""
    if choice.name == SANDBOX:
        return (recorded.kind, recorded.name) == ("sandbox", choice.sandbox_name)
    now = () if info is None else (info.kind, info.context, info.namespace)
    return now == (recorded.kind, recorded.context, recorded.namespace)


def _say_healed(
    report: HealReport, run_id: str | None, info: TargetInfo, output: str, *, everywhere: bool
) -> None:
    if output == "json":
        print_json(dataclasses.asdict(report))
    else:
        for removed in report.removed:
            say(f"healed: {removed}", err=False)
        if not report.removed and not report.left:
            fault = "fault that was asked for" if report.others else "fault"
            whose = f"no {fault}" if run_id is None else f"no fault of run {run_id}"
            where = "any namespace" if everywhere else info.namespace
            say(f"nothing to heal: {whose} in {where} of {info.name}", err=False)
        for other in report.others:
            say(f"not asked for: {other}")
        for note in report.notes:
            say(note)
    for left in report.left:
        say(f"STILL BROKEN: {left}", fg="red")
    if report.left:
        command = finishing_command(run_id, info.kind, info.name, info.flags)
        words = [*shlex.split(command), *(["--everywhere"] if everywhere else [])]
        say(f"to finish the work: {shlex.join(words)}", fg="red")


def _say_gone(store: Store, sandbox: str, recorded: TargetInfo | None, *, asked_for: bool) -> None:
    """Say that ``sandbox`` is not up.

    Raises:
        UsageError: When it was asked for, but nobody has ever heard of it.
    """
    if recorded is not None and (recorded.kind, recorded.name) == ("sandbox", sandbox):
        say(f"the sandbox {sandbox!r} is gone, and every fault in it")
        return
    known = _known_sandboxes(store)
    if asked_for and sandbox not in known:
        raise UsageError(
            f"there is no sandbox {sandbox!r}, and no run that used one of that name",
            accepted=", ".join(sorted(known)) or "no sandbox is up",
        )
    say(f"the sandbox {sandbox!r} is not up, so there is no fault in it")


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
        say(f"{error.message}; looking for what bears this name on the target")
        return None


def _recorded_target(folder: RunDir | None) -> TargetInfo | None:
    try:
        return None if folder is None else folder.read_manifest().target
    except RecordingError as error:  # Heal needs nothing but the target.
        say(f"the target of the run is unknown: {error.message}")
        return None


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
        say(f"healed, but the run's journal does not say so: {error.message}")
