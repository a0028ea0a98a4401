"""What ``seatrial run`` says and keeps beside its verdict: its target, ``latest``, its command."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from runner.catalog import evaluate_run
from runner.cli.live import View
from runner.cli.run import _conclude, _conduct, _linking, command_line, run_command
from runner.errors import RecordingError
from runner.progress import StopRequest
from runner.source import load_experiment, plan_of
from runner.store import RunDir, Store
from runner.testing import EPOCH_S, FakeTarget, FakeWorld

EXPERIMENT = """\
name: good
description: A question.
load: {locustfile: shop.py, stages: [{duration: 20s, users: 10}]}
objectives: [errors < 1%]
"""

EXPERIMENTS = {"good": EXPERIMENT}

Run = Callable[..., tuple[int, str, str]]


def sail(folder: Path, problems: tuple[str, ...] = ()) -> tuple[RunDir, int]:
    """Conduct and conclude the experiment as the command does, in a world of paper."""
    source = load_experiment(folder / "experiments" / "good.yaml")
    plan, store, world = plan_of(source), Store(folder / "results"), FakeWorld()
    ports = world.ports()
    assert isinstance(ports.target, FakeTarget)
    ports.target.problems = problems
    found = store.create_run("good", EPOCH_S)
    view = View(found, world.clock, io.StringIO())
    watch = _linking(store, found, view.watch)
    end = _conduct(source, plan, ports, found, StopRequest(), view, watch=watch)
    return found, _conclude(found, end, "table")


def test_latest_is_the_last_run_whose_load_started(folder: Path) -> None:
    """Goal: `evaluate latest` means a run that was one. Method: a second one is refused."""
    first, code = sail(folder)
    assert code == 0
    refused, code = sail(folder, problems=("the sea is too rough",))
    assert code == 3
    links = [folder / "results" / "latest", folder / "results" / "good" / "latest"]
    assert [link.resolve() for link in links] == [first.path.resolve()] * 2
    assert refused.read_manifest().state == "failed"


def test_a_killed_runner_is_latest_from_its_first_second_on(folder: Path) -> None:
    """Goal: `heal latest` finds a run that never ended. Method: look while the load is on."""
    seen: list[bool] = []
    latest = folder / "results" / "latest"

    class Looking(FakeWorld):
        def effect(self, name, take):  # type: ignore[no-untyped-def]
            seen.append(latest.exists())
            return super().effect(name, take)

    source = load_experiment(folder / "experiments" / "good.yaml")
    store, world = Store(folder / "results"), Looking()
    found = store.create_run("good", EPOCH_S)
    view = View(found, world.clock, io.StringIO())
    watch = _linking(store, found, view.watch)
    _conduct(
        *(source, plan_of(source), world.ports(), found, StopRequest(), view),
        watch=watch,
    )
    assert world.effects == ["open", "guard", "start", "stop", "collect", "dismiss", "close"]
    assert seen == [False] * 3 + [True] * 4


def test_evaluating_a_run_that_never_started_gives_the_reason_alone(
    folder: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    refused, _ = sail(folder, problems=("the sea is too rough",))
    capsys.readouterr()
    reason = "fake cannot take this experiment: the sea is too rough"
    for command in ("evaluate", "report"):
        code, out, err = run(command, refused.run_id)
        assert (code, out) == (3, "")
        assert err == f"error: the load of run {refused.run_id} never started: {reason}\n"
    assert not refused.evaluation_path.exists()


def test_a_run_without_a_manifests_anchor_is_judged_where_it_has_load(folder: Path) -> None:
    """Goal: a runner killed in its first second is judged. Method: the anchor is taken away."""
    found, _ = sail(folder)
    found.write_manifest(found.read_manifest().model_copy(update={"anchor": None}))
    assert evaluate_run(found).phases
    (found.load_dir / "seconds.jsonl").unlink()
    with pytest.raises(RecordingError, match="never started: recorded"):
        evaluate_run(found)
    found.write_manifest(found.read_manifest().model_copy(update={"state": "running"}))
    with pytest.raises(RecordingError, match="never started: its runner was killed, or has not"):
        evaluate_run(found)


@pytest.mark.parametrize(
    ("argv", "environment", "command"),
    [
        (["good"], {}, "seatrial run good"),
        (
            ["good"],
            {"SEATRIAL_RUN_TIME_SCALE": "0.5", "SEATRIAL_RUN_KEEP": "1"},
            "seatrial run good --keep --time-scale 0.5",
        ),
        (["-o", "json", "good", "--target", "x"], {}, "seatrial run good --target x --output json"),
    ],
)
def test_the_recorded_command_says_what_the_environment_said(
    argv: list[str], environment: dict[str, str], command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Goal: 'repeat' repeats. Method: flags, and settings of the environment, in one command."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    names = ["-h", "--help"]  # As the real one has them: a command remembers its help option.
    root = click.Context(
        click.Group("cli"),
        info_name="seatrial",
        auto_envvar_prefix="SEATRIAL",
        help_option_names=names,
    )
    context = run_command.make_context("run", argv, parent=root)
    assert " ".join(command_line(context)) == command


def test_a_note_stays_on_a_line_of_its_own(tmp_path: Path) -> None:
    stream = io.StringIO()
    View(RunDir(tmp_path / "run"), FakeWorld().clock, stream).note("using [red]the sandbox")
    assert stream.getvalue() == "using [red]the sandbox\n"
