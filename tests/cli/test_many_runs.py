"""``seatrial history``, ``compare`` and ``serve``, and the page of all runs, called in process."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from conftest import ROOT
from fleets import Ship, fleet, launch, torn

from runner.analysis.history import Trend, TrendPoint
from runner.cli.history import since_s
from runner.cli.indexing import refresh_index
from runner.cli.runtables import change_text, runs_table
from runner.cli.tables import console
from runner.errors import UsageError
from runner.model.comparison import Comparison
from runner.model.evaluation import Verdict
from runner.model.summary import RunSummary
from runner.store import Store

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.chdir(tmp_path)
    return Store(Path("results"))


def sail(store: Store) -> None:
    for ship in fleet():
        launch(store, ship)
    torn(store)


# -- history ---------------------------------------------------------------------------------------


def test_history_lists_runs_and_says_what_is_none(store: Store, run: Run) -> None:
    """Goal: every folder is a row. Method: a fleet with torn folders, as a table and as JSON."""
    sail(store)
    code, out, err = run("history")
    assert (code, err) == (0, "")
    assert "✗ fail" in out
    assert "⚠ unreadable" in out
    code, out, _ = run("history", "-o", "json")
    rows = [RunSummary.model_validate_json(json.dumps(row)) for row in json.loads(out)]
    assert len(rows) == len(fleet()) + 4
    assert sum(row.standing == "torn" for row in rows) == 4


@pytest.mark.parametrize(
    ("words", "number"),
    [
        (["soak"], 1),
        (["--experiment", "soak"], 1),
        (["--verdict", "fail", "--verdict", "warn"], 2),
        (["--target", "staging"], 1),
        (["--limit", "3"], 3),
        (["--since", "2026-02-28", "--verdict", "pass"], 2),
        (["--since", "2000d"], None),
    ],
)
def test_history_filters(store: Store, run: Run, words: list[str], number: int | None) -> None:
    sail(store)
    if number is None:
        code, out, err = run("history", *words)
        assert (code, out) == (2, "")
        assert "is no time" in err
        return
    code, out, _ = run("history", "-o", "json", *words)
    assert (code, len(json.loads(out))) == (0, number)


def test_a_trend_is_a_row_of_sparks_and_a_table(store: Store, run: Run) -> None:
    for days_ago, p95_s in ((3, 0.2), (2, 0.1), (1, 0.3)):
        launch(store, Ship(days_ago=days_ago, p95_s=p95_s))
    launch(store, Ship(days_ago=1.5, p95_s=0.01, time_scale=0.5, length_s=60))
    code, out, _ = run("history", "--trend", "latency.p95 < 300ms")
    assert code == 0
    assert "shop-at-sea: latency.p95 < 300ms  ▅▁█" in out
    assert "+200\u00a0ms" in out
    assert "no: rehearsal × 0.5" in out
    _, out, _ = run("history", "--trend", "errors", "--limit", "2", "-o", "json")
    (trend,) = (Trend.model_validate_json(json.dumps(one)) for one in json.loads(out))
    assert [point.observed for point in trend.points] == [0.001, 0.001]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["shop-at-see"], "did you mean 'shop-at-sea'?"),
        (["a", "--experiment", "b"], "two experiments are named: 'a' and 'b'"),
        (["--trend", "latncy.p95 < 300ms"], "did you mean 'latency.p95 < 300ms'?"),
        (["--since", "yesterday"], "7d or 12h, or a date such as 2026-11-01"),
        (["--verdict", "good"], "'pass', 'warn', 'inconclusive', 'fail'"),
    ],
)
def test_a_mistake_is_answered(store: Store, run: Run, words: list[str], said: str) -> None:
    launch(store, Ship())
    code, out, err = run("history", *words)
    assert (code, out) == (2, "")
    assert said in err


def test_no_run_yet_is_no_error(store: Store, run: Run) -> None:
    code, out, err = run("history", "anything")
    assert (code, out, err) == (0, "", "no run is recorded yet in results\n")


def test_times_are_understood() -> None:
    now_s = 1_000_000_000.0
    assert since_s(None, now_s) is None
    assert since_s("7d", now_s) == now_s - 7 * 86400
    assert since_s("1970-01-02", now_s) == 86400.0
    assert since_s("1970-01-01T01:00:00+01:00", now_s) == 0.0
    with pytest.raises(UsageError):
        since_s("2026-13-01", now_s)


@pytest.mark.parametrize(("width", "columns"), [(80, 3), (140, 8), (200, 9)])
def test_the_table_fits_its_terminal(store: Store, width: int, columns: int) -> None:
    """Goal: no row is cut off. Method: lines measured, at three widths."""
    sail(store)
    table = runs_table(store.summaries(0.0), width)
    assert len(table.columns) == columns
    out = console()
    out.width = width
    with out.capture() as captured:
        out.print(table)
    text = captured.get()
    assert all(len(line) <= width for line in text.splitlines())
    assert Ship(days_ago=1.5).run_id in text


# -- the page of all runs --------------------------------------------------------------------------


def test_the_index_is_written_when_asked(store: Store, run: Run) -> None:
    launch(store, Ship())
    code, out, _ = run("history", "--index")
    assert (code, out) == (0, "results/index.html\n")
    assert Ship().run_id in store.index_path.read_text(encoding="utf-8")
    assert json.loads(run("history", "--index", "-o", "json")[1]) == {"index": "results/index.html"}


def test_an_index_that_fails_is_a_note(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    """Goal: a convenience ends no run. Method: a folder where the page should be."""
    launch(store, Ship())
    store.index_path.mkdir()
    refresh_index(store.root)
    said = capsys.readouterr().err
    assert said.startswith("note: the page of all runs was not written: ")
    assert said.count("\n") == 1


# -- compare ---------------------------------------------------------------------------------------


def test_comparable_runs_are_compared(store: Store, run: Run) -> None:
    """Goal: exit 0, tables, JSON of the published model. Method: two runs that differ a little."""
    one = launch(store, Ship(days_ago=2))
    two = launch(store, Ship(days_ago=1, p95_s=0.3))
    code, out, err = run("compare", one.run_id, two.run_id, "--no-html")
    assert (code, err) == (0, "")
    assert out.index("The runs are comparable") < out.index("Objective")
    assert "▼ worse" in out
    assert "One run each is no evidence" in out
    code, out, _ = run("compare", one.run_id, two.run_id, "--no-html", "-o", "json")
    schema = json.loads((ROOT / "docs" / "comparison.schema.json").read_text(encoding="utf-8"))
    jsonschema.validate(json.loads(out), schema, jsonschema.Draft202012Validator)
    made = Comparison.model_validate_json(out)
    assert (made.first.run_id, made.second.run_id) == (one.run_id, two.run_id)
    assert made.objectives[0].observed.difference == pytest.approx(0.1)


def test_what_is_not_comparable_is_said_first_and_exits_with_3(store: Store, run: Run) -> None:
    one = launch(store, Ship(days_ago=2))
    two = launch(store, Ship(days_ago=1, valid=False, verdict=Verdict.INCONCLUSIVE))
    code, out, _ = run("compare", one.run_id, two.run_id, "--no-html")
    assert code == 3
    assert "≠ The runs are NOT comparable:\n  The second run was not valid" in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nothing", "latest"], "no run in results is called"),
        (["{0}", "{0}"], "both names mean one"),
    ],
)
def test_runs_that_are_none_are_refused(
    store: Store, run: Run, words: list[str], said: str
) -> None:
    one = launch(store, Ship())
    code, _, err = run("compare", *(word.format(one.run_id) for word in words))
    assert code == 2
    assert said in err


# -- serve -----------------------------------------------------------------------------------------


def test_serve_listens_on_loopback_alone(store: Store, run: Run) -> None:
    store.root.mkdir()
    code, _, err = run("serve", "--host", "0.0.0.0", "--port", "0")  # noqa: S104 - it is refused
    assert code == 2
    assert "0.0.0.0 can be reached by others" in err
    assert "--expose" in err


def test_serve_needs_a_folder(store: Store, run: Run) -> None:
    code, _, err = run("serve", "--port", "0")
    assert code == 2
    assert "there is no folder results" in err


def test_serve_tells_its_address_and_ends_on_a_signal(
    store: Store, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Goal: a script can find and end it. Method: a SIGTERM as soon as it serves."""
    import socketserver

    store.root.mkdir()
    before = signal.getsignal(signal.SIGTERM)

    def ended(server: Any, poll_interval: float = 0.5) -> None:
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(socketserver.BaseServer, "serve_forever", ended)
    code, out, err = run("serve", "--port", "0")
    assert code == 0
    assert out.startswith("http://127.0.0.1:")
    assert err == "Ctrl-C ends it\nstopped\n"
    assert signal.getsignal(signal.SIGTERM) is before
    assert list(store.root.iterdir()) == []


def test_the_trend_of_a_share_changes_by_points() -> None:
    """Goal: '+2 %' of a share is ambiguous, points are not. Method: 22 % after 20 %."""
    point = TrendPoint(
        run_id="r", folder="x/r", verdict=Verdict.PASS, change=0.02, change_ratio=0.1
    )
    trend = Trend(experiment="x", title="errors < 30%", unit="ratio", points=(point,))
    assert change_text(point, trend).replace("\u00a0", " ") == "+2 pp (+10 %)"
    assert change_text(point, trend, long=False).replace("\u00a0", " ") == "+2 pp"
