"""seatrial in a job of GitHub Actions: what is annotated, summarised and set, in process."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from runner.catalog import evaluate_run
from runner.cli.doubts import say_doubts
from runner.cli.github import commands_off
from runner.cli.live import View
from runner.cli.outcome import RunEnd, of_verdict
from runner.cli.run import _conduct, _manifest
from runner.cli.telling import Audience, tell
from runner.errors import Located, TargetError
from runner.progress import StopRequest
from runner.source import load_experiment, plan_of
from runner.store import RunDir, Store
from runner.testing import EPOCH_S, FakeWorld

GOOD = """\
name: good
description: A question.
load: {locustfile: shop.py, stages: [{duration: 60s, users: 10}]}
faults:
  - {kind: http-abort, service: order-api, at: 20s, duration: 20s, status: 503}
objectives:
  - errors < 1%
  - {objective: errors < 20%, during: fault}
"""
WRONG = GOOD.replace("name: good", "name: wrong").replace("users: 10", "user: 10")

STRICT = """\
name: strict
description: Another question.
load: {locustfile: shop.py, stages: [{duration: 60s, users: 10}]}
objectives: [traffic > 1000/s]
"""

EXPERIMENTS = {"good": GOOD, "wrong": WRONG, "strict": STRICT}

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def job(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder as the checkout of a job."""
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_WORKSPACE", str(folder))
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(folder / "summary"))
    monkeypatch.setenv("GITHUB_OUTPUT", str(folder / "output"))
    for name, text in (
        ("SERVER_URL", "https://gh.example"),
        ("REPOSITORY", "a/b"),
        ("RUN_ID", "7"),
    ):
        monkeypatch.setenv(f"GITHUB_{name}", text)
    return folder


def outputs(folder: Path) -> dict[str, str]:
    text = (folder / "output").read_text()
    return dict(re.findall(r"([\w-]+)<<(?:seatrial-\w+)\n(.*)\nseatrial-\w+\n", text))


def commands(err: str) -> list[str]:
    return [line for line in err.splitlines() if re.match("::(error|warning) ", line)]


def sail() -> RunDir:
    """A run that fails, judged and told; without the report, which takes its time."""
    source = load_experiment(Path("experiments/good.yaml"))
    store, world = Store(Path("results")), FakeWorld(error_every=4)
    found = store.create_run("good", EPOCH_S)
    store.link_latest(found)
    view = View(found, world.clock, io.StringIO())
    end = _conduct(source, plan_of(source), world.ports(), found, StopRequest(), view)
    code = of_verdict(evaluate_run(found).verdict)
    tell(Audience(ci="auto"), found, code, end, source)
    return found


def test_a_failed_run_is_red_where_its_objective_stands(
    job: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    """Goal: the line in the pull request. Method: a run that fails, told, and reported later."""
    found = sail()
    said = commands(capsys.readouterr().err)
    assert said[0].startswith(
        "::error file=experiments/good.yaml,line=7,col=5,title=Missed%3A errors < 1%25::The share"
    )
    assert said[1].startswith("::error file=experiments/good.yaml,line=8,col=5,title=Missed%3A")
    known = {
        "run": found.run_id,
        "folder": str(found.path.resolve()),
        "verdict": "fail",
        "valid": "true",
    }
    assert outputs(job) == {**known, "exit-code": "1"}
    assert "FAIL: 2 of 2 objectives were missed." in (job / "summary").read_text()
    (job / "summary").write_text("before\n")
    (job / "output").unlink()
    code, out, err = run("report", "latest", "--markdown")
    assert (code, commands(err)) == (0, said)
    assert out == (found.report_dir / "summary.md").read_text()
    assert out.startswith("<!-- seatrial: good -->\n\n## ✗ Fail: good\n")
    link = "[Artifacts of this job](https://gh.example/a/b/actions/runs/7)"
    assert (job / "summary").read_text() == f"before\n{out}\n{link}\n"
    assert outputs(job) == {**known, "report": str(found.report_dir.resolve() / "index.html")}
    (job / "summary").unlink()
    source = load_experiment(Path("experiments/good.yaml"))
    tell(Audience(ci="auto"), found, 5, RunEnd(left=["01-http-abort"]), source)
    assert (job / "summary").read_text() == (
        "> **Something may be left broken**: 01-http-abort; to finish the work: "
        f"seatrial heal {found.run_id} --sandbox-name fake\n\n{out}\n{link}\n"
    )


def test_a_file_that_has_changed_since_has_no_lines(
    job: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    sail()
    (job / "experiments" / "good.yaml").write_text("# one more line\n" + GOOD)
    capsys.readouterr()
    code, _, err = run("evaluate", "latest")
    assert code == 1
    assert commands(err)[0].startswith("::error title=Missed%3A errors < 1%25::")


def test_judged_by_others_their_file_is_annotated(
    job: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    """Goal: the place of what was judged. Method: objectives of another file, not kept."""
    found = sail()
    (job / "summary").unlink()
    capsys.readouterr()
    code, _, err = run("evaluate", "latest", "--objectives", "strict")
    assert code == 1
    place = "::error file=experiments/strict.yaml,line=4,col=14,title=Missed%3A traffic"
    assert commands(err)[0].startswith(place)
    assert (job / "summary").read_text().startswith(f"## Run {found.run_id}\n\nJudged by the")


def test_a_run_without_a_verdict_is_an_error_with_its_reason(
    job: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Goal: no green job, no empty summary. Method: a target that refuses, faults left behind."""
    source = load_experiment(Path("experiments/good.yaml"))
    found = Store(Path("results")).create_run("good", EPOCH_S)
    end = RunEnd(error=TargetError("the target | is busy"), left=["01-http-abort"])
    found.write_manifest(_manifest(source, plan_of(source), found, ()))
    tell(Audience(ci="auto"), found, 5, end, source)
    assert 'message="the target | is busy"' in (found.report_dir / "junit.xml").read_text()
    heal = f"seatrial heal {found.run_id}"
    assert commands(capsys.readouterr().err) == [
        f"::error title=Something may be left broken::01-http-abort; to finish the work: {heal}",
        "::error title=Run of good::the target | is busy",
    ]
    assert "- Run of good: the target \\| is busy\n" in (job / "summary").read_text()
    assert outputs(job)["exit-code"] == "5"
    assert "verdict" not in outputs(job)


def test_mistakes_are_annotated_where_they_are(job: Path, run: Run) -> None:
    code, _, err = run("validate")
    assert code == 2
    (mistake,) = [line for line in commands(err) if line.startswith("::error")]
    place = "::error file=experiments/wrong.yaml,line=3,col=54,title=Invalid experiment::unknown"
    assert mistake.startswith(place)
    code, _, err = run("run", "wrong")
    assert code == 2
    assert commands(err) == [mistake]


def test_a_doubt_before_a_run_is_a_warning_in_the_file(
    job: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = Path("experiments/good.yaml")
    say_doubts(path, [Located(5, 3, "fault is short")], "auto")
    assert capsys.readouterr().err.splitlines() == [
        "warning: experiments/good.yaml:5:3: fault is short",
        "::warning file=experiments/good.yaml,line=5,col=3,title=Experiment::fault is short",
    ]


def test_nobody_is_told_outside_of_a_job_or_when_asked_not_to(
    job: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert commands(run("validate", "wrong", "--ci", "none")[2]) == []
    monkeypatch.delenv("GITHUB_ACTIONS")
    assert commands(run("validate", "wrong")[2]) == []
    assert len(commands(run("validate", "wrong", "--ci", "github")[2])) == 1


def test_what_a_run_prints_is_no_command(job: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Goal: texts of services command nothing. Method: the token that turns commands on again."""
    with commands_off("auto"):
        pass
    off, on = capsys.readouterr().err.splitlines()
    token = off.removeprefix("::stop-commands::")
    assert len(token) == 32
    assert on == f"::{token}::"
    with commands_off("none"):
        pass
    assert capsys.readouterr().err == ""
