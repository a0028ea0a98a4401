"""What is said of a judged run, and ``seatrial evaluate`` and ``report`` afterwards, in process."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from runner.analysis.evaluate import evaluate
from runner.cli.live import View
from runner.cli.run import _conclude, _conduct
from runner.cli.tables import console, failure_lines, print_evaluation
from runner.model.evaluation import Evaluation, FailureFigure
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
objectives: [errors < 1%, {objective: errors < 20%, during: fault}, recovery < 10s]
"""
STRICT = """\
name: strict
description: Another question.
load: {locustfile: shop.py, stages: [{duration: 60s, users: 10}]}
objectives: [latency.p95 < 1ms]
"""

EXPERIMENTS = {"good": GOOD, "strict": STRICT}

Run = Callable[..., tuple[int, str, str]]


def sail(world: FakeWorld, stop_at_s: float = 1e9) -> tuple[RunDir, int]:
    """Conduct and conclude in ``world``; Ctrl-C at ``stop_at_s``."""
    source = load_experiment(Path("experiments/good.yaml"))
    store = Store(Path("results"))
    found = store.create_run("good", EPOCH_S)
    store.link_latest(found)
    view, stop = View(found, world.clock, io.StringIO()), StopRequest()

    def watch(status: object) -> None:
        if world.clock.now_s >= stop_at_s:
            stop.reason = "interrupted"

    end = _conduct(source, plan_of(source), world.ports(), found, stop, view, watch=watch)
    return found, _conclude(found, end, "table")


def test_a_judgement_by_others_is_shown_and_not_kept(
    folder: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    """Goal: what is kept tells of the run's own objectives. Method: others that fail."""
    found, code = sail(FakeWorld())
    capsys.readouterr()
    kept = found.evaluation_path.read_text()
    page = (found.report_dir / "index.html").read_text()
    code, out, err = run("evaluate", "latest", "--objectives", "strict")
    assert code == 1
    assert "Judged by the objectives of strict, FAIL: 1 of 1 objective was missed." in out
    assert err == f"run {found.run_id} of good -> results/good/{found.run_id}\n"
    assert found.evaluation_path.read_text() == kept
    assert (found.report_dir / "index.html").read_text() == page


def test_a_set_judges_with_its_own_groups_and_score(
    folder: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    """Goal: a set is enough to judge a run by. Method: a group that no other file knows."""
    sail(FakeWorld())
    capsys.readouterr()
    (folder / "experiments" / "objectives").mkdir()
    (folder / "experiments" / "objectives" / "promises.yaml").write_text(
        "name: promises\n"
        "objectives:\n"
        "  - {objective: latency.p95 < 10s, of: all-of-it, weight: 3}\n"
        "  - latency.p95 < 1us\n"
        "groups: {all-of-it: ['*']}\n"
        "score: {pass: 70%, warn: 50%}\n"
    )
    code, out, _ = run("evaluate", "latest", "--objectives", "promises", "-o", "json")
    said = json.loads(out)
    assert (code, said["verdict"], said["judged_by"]) == (0, "pass", "promises")
    assert said["score"]["share_ratio"] == 0.75


def test_a_signal_of_another_query_is_not_judged_by_what_was_recorded(
    folder: Path, run: Run
) -> None:
    path = folder / "experiments" / "good.yaml"
    path.write_text(GOOD + "signals: {queue: {promql: max(depth)}}\n")
    sail(FakeWorld())
    (folder / "experiments" / "other.yaml").write_text(
        STRICT.replace("strict", "other").replace("latency.p95 < 1ms", "signal.queue < 5")
        + "signals: {queue: {promql: min(depth)}}\n"
    )
    code, _, err = run("evaluate", "latest", "--objectives", "other")
    assert code == 2
    assert "signal.queue of 'other' is not what this run recorded under that name" in err
    assert "accepted: as recorded: max(depth) (mean, count)" in err


def test_a_judgement_that_is_kept_is_the_reports_too(folder: Path, run: Run) -> None:
    """Goal: no report of another judgement. Method: --save, then the run's own objectives."""
    found, _ = sail(FakeWorld())
    code, _, err = run("evaluate", "latest", "--objectives", "strict", "--save", "-o", "json")
    assert code == 1
    assert f"report: results/good/{found.run_id}/report/index.html\n" in err
    assert found.read_evaluation().judged_by == "strict"
    said = "udged by the objectives of strict"
    for form in ("index.html", "summary.md", "junit.xml", "report.json"):
        assert said in (found.report_dir / form).read_text(), form
    assert run("evaluate", "latest")[0] == 0
    assert found.read_evaluation().judged_by == ""
    for form in ("index.html", "summary.md", "junit.xml", "report.json"):
        assert said not in (found.report_dir / form).read_text(), form


def test_a_report_is_named_as_the_run_named_it(
    folder: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    found, _ = sail(FakeWorld())
    page = f"results/good/{found.run_id}/report/index.html"
    assert f"report: {page}\n" in capsys.readouterr().err
    assert run("report", "latest")[1] == f"{page}\n"
    assert json.loads(run("report", "latest", "-o", "json")[1])["report"] == page
    root = str(folder / "results")
    assert run("report", "latest", "--results", root)[1] == f"{folder / page}\n"


def printed(evaluation: Evaluation, capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    print_evaluation(evaluation)
    return " ".join(capsys.readouterr().out.split())


def test_each_reason_stands_there_once(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Goal: nothing twice. Method: count each reason in the output of a run that fails."""
    found, code = sail(FakeWorld(error_every=4))
    assert code == 1
    evaluation = found.read_evaluation()
    text = printed(evaluation, capsys)
    reasons = [f.reason for f in evaluation.findings if f.verdict != "pass"]
    assert len(reasons) == 4  # three objectives, and a question without an answer
    assert [text.count(" ".join(reason.split())) for reason in reasons] == [1, 1, 1, 1]
    assert text.endswith("FAIL: 3 of 3 objectives were missed.")


def test_an_interrupted_run_says_what_matters(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Goal: few lines. Method: Ctrl-C in the fault, of a run whose baseline was well."""
    found, code = sail(FakeWorld(), stop_at_s=27.0)
    captured = capsys.readouterr()
    assert code == 130
    text = " ".join(captured.out.split())
    assert text.count("The run was interrupted: Ctrl-C was pressed.") == 1
    assert "? 2 more Could not be met, because the run ended early." in text
    assert "? 3 of the objectives could not be judged in phases that did not end." in text
    assert text.endswith("INCONCLUSIVE: the run proves nothing.")
    assert "no reason given" not in text
    assert captured.err.splitlines()[-1] == (
        "interrupted at 27s of 1m; healed: 01-http-abort; nothing is left in place"
    )
    (first, *_) = [f for f in found.read_evaluation().findings if f.kind == "objective"]
    assert first.reason.startswith("The share of failed requests was 0 % (baseline), within")


def test_failures_are_named_where_they_are_the_story(folder: Path) -> None:
    """Goal: '404 on everything' is seen at once. Method: many kinds of failure, then a few."""
    found, _ = sail(FakeWorld(error_every=2))
    kinds = [("GET /a", "HTTP 404", 9989), ("GET /b", "HTTP 404", 12), ("GET /c", "", 7)]
    figures = [
        FailureFigure(endpoint=endpoint, outcome="timeout", text=text, count=count)
        for endpoint, text, count in [*kinds, ("GET /d", "x", 1), ("GET /e", "y", 1)]
    ]
    evaluation = found.read_evaluation().model_copy(update={"failures": tuple(figures)})
    assert failure_lines(evaluation)[1:] == [
        "  9,989 × HTTP 404 on GET /a",
        "  12 × HTTP 404 on GET /b",
        "  7 × timeout on GET /c",
        "  and 2 more kinds of failure",
    ]
    heading = failure_lines(evaluation)[0]  # 10,010 by text, and fewer requests in all phases
    assert heading.endswith("; with those of users' own code and of after the end:")
    few = evaluation.model_copy(update={"failures": tuple(figures[2:])})
    assert failure_lines(few)[0].endswith("%):")
    well, _ = sail(FakeWorld(error_every=150))
    calm = evaluate(well.recording())
    assert calm.verdict == "pass"
    assert failure_lines(calm) == []


@pytest.mark.parametrize(("columns", "width"), [("60", 60), ("200", 200), ("", 140), ("x", 140)])
def test_piped_tables_are_as_wide_as_columns_says(
    columns: str, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    assert isinstance(console(), Console)
    assert console().width == width
