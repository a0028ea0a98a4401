"""The series of a run as a long table: every figure with its moment, in CSV and in Parquet."""

from __future__ import annotations

import csv
import io
import sys
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from voyages import RUN_ID, Voyage, write_run

from runner.analysis.longtable import Piece, long_table, time_of
from runner.analysis.stats import statistic_s
from runner.analysis.windows import LoadTable
from runner.model.recording import Recording
from runner.reports.series import csv_parts

Run = Callable[..., tuple[int, str, str]]

EXPERIMENTS: dict[str, str] = {}


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    voyage = Voyage(length_s=60, services=("order-api",))
    return write_run(tmp_path_factory.mktemp("series"), voyage, evaluated=False).recording()


def rows_of(recording: Recording, every_s: int = 1) -> list[dict[str, str]]:
    text = "".join(csv_parts(long_table(recording, every_s), time_of(recording)))
    return list(csv.DictReader(io.StringIO(text)))


def test_counts_add_up_to_the_record(recording: Recording) -> None:
    """Goal: nothing lost, nothing twice. Method: sums over seconds beside the record itself."""
    table = LoadTable(recording.load, recording.plan)
    sums: Counter[tuple[str, str]] = Counter()
    for row in rows_of(recording):
        if row["source"] == "load" and row["unit"] == "count":
            sums[row["endpoint"], row["sli"]] += int(row["value"])
    for endpoint in (None, *table.endpoints):
        seen = table.slice(0, 60, endpoint)
        assert sums[endpoint or "", "requests"] == seen.requests > 0
        assert sums[endpoint or "", "errors"] == seen.failures
        assert sums[endpoint or "", "errors.http_5xx"] == seen.outcomes.get("http_5xx", 0)
    assert sums["", "errors"] > 0


def test_a_line_has_its_moment_phase_and_unit(recording: Recording) -> None:
    rows = rows_of(recording)
    line = {"offset_s": "45", "time": "2026-01-01T00:00:45.000Z", "phase": "fault 02-http-abort"}
    users = {"sli": "users", "service": "", "endpoint": "", "value": "100", "unit": "count"}
    assert {**line, "source": "load", **users} in rows
    series = next(s for s in recording.signals.series if s.sli == "latency.p95")  # type: ignore[union-attr]
    mesh = [row for row in rows if row["source"] == "mesh" and row["sli"] == "latency.p95"]
    assert [float(row["value"]) for row in mesh] == pytest.approx([v for _, v in series.points])
    assert {row["unit"] for row in mesh} == {"s"}
    assert {row["service"] for row in mesh} == {"order-api"}
    assert [row["value"] for row in rows if row["sli"] == "generator.cpu"] == ["0.2"] * 60


@pytest.mark.parametrize(("every_s", "starts"), [(1, 60), (25, 3), (3600, 1)])
def test_percentiles_are_those_of_all_requests_of_a_window(
    recording: Recording, every_s: int, starts: int
) -> None:
    """Goal: no means of percentiles. Method: the table's own windows, the last one shorter."""
    table = LoadTable(recording.load, recording.plan)
    edges = [*range(0, 60, every_s), 60]
    wanted = [one.latency_us for one in table.merged_bins([float(edge) for edge in edges])]
    rows = rows_of(recording, every_s)
    wants = {"source": "load", "sli": "latency.p95", "endpoint": ""}
    found = [row for row in rows if wants.items() <= row.items()]
    assert [row["offset_s"] for row in found] == [str(edge) for edge in edges[:-1]]
    assert len(found) == starts
    assert [float(row["value"]) for row in found] == pytest.approx(
        [statistic_s(counts, "p95") for counts in wanted]
    )


def test_no_name_is_a_formula_or_breaks_a_line() -> None:
    """Goal: harmless in a spreadsheet. Method: names that begin as formulas do, NUL and feeds."""
    names = ["=HYPERLINK(1)", "+1", "-1", "@x", "\t=1", 'a,"b\n\x00c', "GET =1"]
    pieces = [Piece("load", "requests", "count", "", name, [0.0], [-1.0], ["x"]) for name in names]
    text = "".join(csv_parts(pieces, lambda offset_s: None))
    cells = [row["endpoint"] for row in csv.DictReader(io.StringIO(text))]
    assert cells == ["'=HYPERLINK(1)", "'+1", "'-1", "'@x", "'=1", 'a,"b \ufffdc', "GET =1"]
    assert len(text.splitlines()) == len(names) + 1
    assert text.splitlines()[1] == "0,,load,requests,,'=HYPERLINK(1),x,-1,count"


def test_a_run_that_never_started_has_a_header_only(recording: Recording, tmp_path: Path) -> None:
    empty = write_run(tmp_path, Voyage(recorded_s=0, signals=False), evaluated=False).recording()
    assert list(csv_parts(long_table(empty), time_of(empty))) == [
        "offset_s,time,source,sli,service,endpoint,phase,value,unit\n"
    ]


def test_parquet_holds_what_csv_holds(recording: Recording, tmp_path: Path) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    from runner.reports.parquet import write_parquet

    path = tmp_path / "run.parquet"
    written = write_parquet(path, long_table(recording), time_of(recording))
    table = pq.read_table(path)
    rows = rows_of(recording)
    assert written == len(rows) == table.num_rows
    for name in ("source", "sli", "service", "endpoint", "phase", "unit"):
        assert table[name].to_pylist() == [row[name] for row in rows], name
    assert table["value"].to_pylist() == pytest.approx([float(row["value"]) for row in rows])
    assert table["time"][59].as_py() == datetime(2026, 1, 1, 0, 0, 59, tzinfo=UTC)


def test_without_pyarrow_it_is_said_how_to_install_it(
    folder: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    code, _, err = run("series", "latest", "--to", "x.parquet")
    assert code == 2
    assert err == (
        "error: Parquet needs pyarrow, which is not installed\n"
        "accepted: --format csv, which needs nothing more\n"
        "hint: to install it: python -m pip install 'seatrial[parquet]'\n"
    )
    assert list(folder.glob("*.parquet")) == []


# -- the command -----------------------------------------------------------------------------------


def test_a_file_is_whole_and_never_replaced_unasked(folder: Path, run: Run) -> None:
    write_run(folder / "results", Voyage(length_s=60, services=()), evaluated=False)
    code, out, err = run("series", RUN_ID, "--every", "1m")
    assert (code, err) == (0, "")
    assert run("series", RUN_ID, "--every", "1m", "--to", "x.csv") == (0, "", "written: x.csv\n")
    assert (folder / "x.csv").read_text() == out
    (folder / "x.csv").write_text("mine")
    code, _, err = run("series", RUN_ID, "--to", "x.csv")
    assert (code, err) == (
        2,
        "error: x.csv exists already\naccepted: another name, or --force\n",
    )
    assert (folder / "x.csv").read_text() == "mine"
    assert run("series", RUN_ID, "--every", "1m", "--to", "x.csv", "--force")[0] == 0
    assert (folder / "x.csv").read_text() == out
    assert run("series", RUN_ID, "--to", "no/x.csv")[0] == 2
    assert sorted(path.name for path in folder.glob(".*")) == []
    assert run("series", RUN_ID, "--format", "parquet")[0] == 2
    assert run("series", RUN_ID, "--every", "1500ms")[0] == 2
