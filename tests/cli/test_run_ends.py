"""How ``seatrial run`` ends on bad days, and ``seatrial heal`` on worse ones, in process."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from runner.cli.live import View
from runner.cli.outcome import RunEnd
from runner.cli.run import _conclude, _conduct, _left, _link_latest
from runner.model.faultmark import heal_command
from runner.model.plan import Plan
from runner.model.recording import Event
from runner.progress import StopRequest
from runner.source import load_experiment, plan_of
from runner.store import RunDir, Store
from runner.testing import EPOCH_S, FakeWorld

EXPERIMENT = """\
name: good
description: A question.
load: {locustfile: shop.py, stages: [{duration: 60s, users: 10}]}
faults:
  - {kind: pod-kill, service: order-api, at: 20s, duration: 20s}
objectives: [errors < 1%]
"""

EXPERIMENTS = {"good": EXPERIMENT}

Run = Callable[..., tuple[int, str, str]]


def sail(folder: Path, world: FakeWorld) -> tuple[RunDir, Plan, int]:
    """Conduct and conclude the experiment in ``world``; its exit code."""
    source = load_experiment(folder / "experiments" / "good.yaml")
    plan = plan_of(source)
    run = Store(folder / "results").create_run("good", EPOCH_S)
    end = _conduct(source, plan, world.ports(), run, StopRequest(), View(run, world.clock))
    return run, plan, _conclude(run, end, "table")


def test_a_calm_run_passes_and_says_where_its_report_is(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, _, code = sail(folder, FakeWorld())
    out, err = capsys.readouterr()
    assert code == 0, out + err
    assert "PASS: the objective was met" in out
    assert f"report: {run.report_dir / 'index.html'}" in err


def test_the_verdict_does_not_wait_for_a_report_that_cannot_be_written(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Goal: the verdict is said first. Method: a file where the report's folder should be."""

    class Blocked(FakeWorld):
        def effect(self, name, take):  # type: ignore[no-untyped-def]
            for run in Store(folder / "results").runs():
                run.report_dir.touch()
            return super().effect(name, take)

    _, _, code = sail(folder, Blocked())
    out, err = capsys.readouterr()
    assert "PASS: the objective was met" in out
    assert "cannot be written" in err
    assert code == 3


def test_a_journal_that_cannot_be_read_may_hide_every_fault(folder: Path) -> None:
    """Goal: exit 5 where nobody can tell. Method: damage in the middle of the journal."""
    run, plan, _ = sail(folder, FakeWorld())
    assert _left(run, plan) == []
    run.events_path.write_text("{\n" + run.events_path.read_text())
    assert _left(run, plan) == ["01-pod-kill"]


def test_a_run_goes_on_where_no_link_can_be_made(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Goal: 'latest' is a convenience. Method: a folder stands in its place."""
    store = Store(folder / "results")
    run = store.create_run("good", EPOCH_S)
    (folder / "results" / "latest" / "x").mkdir(parents=True)
    _link_latest(store, run)
    assert "latest cannot be written" in capsys.readouterr().err


def test_what_may_be_left_is_said_beside_the_verdict(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Goal: 5 wins, and says what to do. Method: a run that passed, but for an injection."""
    run, plan, _ = sail(folder, FakeWorld())
    run.append_event(Event(wall_s=1.0, source="01-pod-kill", action="inject", kind="begin"))
    why = "fault 01-pod-kill is still in place: deployment/x in n: fault 01-pod-kill of run R: no"
    run.append_event(
        Event(
            wall_s=2.0,
            source="01-pod-kill",
            action="heal",
            kind="unknown",
            detail=f"{why}\nhint: x",
        )
    )
    code = _conclude(run, RunEnd(left=_left(run, plan)), "table")
    out, err = capsys.readouterr()
    assert code == 5
    assert "PASS: the objective was met" in out
    target = run.read_manifest().target
    assert target is not None
    assert err.splitlines()[-3:] == [
        "SOMETHING MAY BE LEFT BROKEN: 01-pod-kill",
        f"  01-pod-kill: {why}",
        f"to finish the work: {heal_command(run.run_id, target.kind, target.name)}",
    ]


def test_who_goes_on_to_heal_is_told(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Goal: nobody is surprised by a process. Method: a run that left its guardian at work."""
    run, plan, _ = sail(folder, FakeWorld())
    run.append_event(Event(wall_s=1.0, source="01-pod-kill", action="inject", kind="begin"))
    run.append_event(Event(wall_s=2.0, source="guardian", action="leave", kind="ok"))
    assert _conclude(run, RunEnd(left=_left(run, plan)), "table") == 5
    assert capsys.readouterr().err.splitlines()[-1] == (
        "the guardian of the run goes on trying for some minutes, and says so in "
        f"{run.log_path('guardian')}"
    )


@pytest.mark.parametrize(
    ("world", "code"),
    [(FakeWorld(), 0), (FakeWorld(error_every=2), 1), (FakeWorld(users_factor=0.5), 3)],
)
def test_evaluating_again_gives_the_same_code(
    run: Run, folder: Path, world: FakeWorld, code: int
) -> None:
    """Goal: the verdict is the exit code, live and later. Method: a pass, a fail, half a load."""
    recorded, _, live = sail(folder, world)
    assert (live, run("evaluate", recorded.run_id)[0]) == (code, code)
    assert run("report", recorded.run_id)[0] == 0


def test_a_dry_run_as_json_is_the_plan(run: Run, folder: Path) -> None:
    code, out, _ = run("run", "good", "--dry-run", "-o", "json", "--time-scale", "0.5")
    assert (code, json.loads(out)["duration_s"]) == (0, 30)
    assert not (folder / "results").exists()


@pytest.mark.parametrize("command", [["run", "--dry-run"], ["plan"]])
def test_a_preview_of_a_cluster_that_cannot_be_asked_is_3(
    run: Run, folder: Path, command: list[str]
) -> None:
    """Goal: what is not known is no permission. Method: a kubeconfig that is not there."""
    where = {"context": "c", "kubeconfig": "none", "namespace": "n"}
    address = where | dict.fromkeys(("ingress", "prometheus"), "http://127.0.0.1:1")
    flags = [word for key, value in address.items() for word in (f"--{key}", value)]
    code, out, _ = run(*command, "good", *flags, "-o", "json")
    preview = json.loads(out)["preview"]
    assert (code, preview["refusals"]) == (3, ["the kubeconfig file does not exist: none"])
    code, out, _ = run(*command, "good", *flags)
    assert code == 3
    assert "No preview: the kubeconfig file does not exist: none" in " ".join(out.split())


@pytest.mark.parametrize("command", ["run", "plan"])
def test_a_rehearsal_without_anything_to_judge_is_2(run: Run, folder: Path, command: str) -> None:
    code, _, err = run(command, "good", "--time-scale", "0.01")
    assert code == 2
    assert "good.yaml cannot be rehearsed at a time scale of 0.01" in err
    assert "accepted: a time scale of 0.1 or more" in err


def test_a_results_folder_that_cannot_be_made_is_2(run: Run, folder: Path) -> None:
    (folder / "results").mkdir()
    (folder / "results" / "good").touch()
    code, _, err = run("run", "good")
    assert code == 2
    assert "the results folder results cannot be written: File exists" in err


@pytest.mark.parametrize("argv", [(), ("latest", "--all"), ("--all", "--expired")])
def test_heal_wants_one_thing(run: Run, folder: Path, argv: tuple[str, ...]) -> None:
    code, _, err = run("heal", *argv)
    assert code == 2
    assert "accepted: one of: a RUN, --all, --expired" in err


@pytest.mark.parametrize("name", ["latest", "good", "2026-01-01T00000Z-abcd"])
def test_heal_does_not_take_a_typo_for_nothing_to_heal(run: Run, folder: Path, name: str) -> None:
    """Goal: 0 means healed. Method: names of no run here, that no run can have elsewhere."""
    code, _, err = run("heal", name)
    assert code == 2
    assert f"no run in results is called {name!r}" in err


def test_heal_needs_no_folder(run: Run, folder: Path) -> None:
    """Goal: heal from another machine. Method: a run id, no results; the sandbox is not up."""
    code, _, err = run("heal", "2026-01-01T000000Z-abcd")
    assert code == 0
    assert "looking for what bears this name on the target" in err


def test_heal_works_on_a_torn_folder(run: Run, folder: Path) -> None:
    """Goal: heal needs nothing but the target. Method: a damaged manifest and journal."""
    torn, _, _ = sail(folder, FakeWorld())
    torn.manifest_path.write_text("{")
    torn.events_path.write_text("{\n{}\n")
    code, _, err = run("heal", torn.run_id)
    assert code == 0
    assert "the target of the run is unknown" in err
    assert "the run's journal does not say so" in err


def test_heal_closes_the_journal_of_a_killed_runner(run: Run, folder: Path) -> None:
    """Goal: what was healed is not reported again. Method: a begun fault, and a torn last line."""
    killed, plan, _ = sail(folder, FakeWorld())
    begin = Event(wall_s=1.0, source="01-pod-kill", action="inject", kind="begin")
    killed.append_event(begin)
    with killed.events_path.open("a") as out:
        out.write('{"wall_s": 2.')
    assert _left(killed, plan) == ["01-pod-kill"]
    assert run("heal", killed.run_id)[0] == 0
    assert _left(killed, plan) == []
