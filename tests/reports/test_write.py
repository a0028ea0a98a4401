"""Writing a report: which files there are, that they stay the same, and what they weigh."""

from __future__ import annotations

import json
import zipfile
from importlib.resources import files
from pathlib import Path

import pytest
from conftest import ROOT
from voyages import Voyage, write_run

from runner.errors import RecordingError
from runner.reports.document import Document
from runner.reports.write import write_reports
from runner.store import RunDir

MOST_PAGE_BYTES = 3 * 1024 * 1024


def contents(run: RunDir) -> dict[str, bytes]:
    return {
        str(path.relative_to(run.report_dir)): path.read_bytes()
        for path in sorted(run.report_dir.rglob("*"))
        if path.is_file()
    }


def test_every_form_is_written_and_the_page_is_returned(tmp_path: Path) -> None:
    run = write_run(tmp_path, Voyage(length_s=60, services=("order-api",)))
    page = write_reports(run)
    assert page == run.report_dir / "index.html"
    charts = ["load-errors", "load-failures", "load-generator"]
    charts += [*(f"load-heat-{number}" for number in range(1, 5)), "load-heat"]
    charts += ["load-latency", "load-percentiles", "load-traffic"]
    charts += ["s01-errors", "s01-latency", "s01-saturation", "s01-traffic"]
    assert list(contents(run)) == [
        *("index.html", "junit.xml"),
        *(f"plots/{name}.svg" for name in charts),
        *("report.json", "summary.md"),
    ]
    assert page.read_text(encoding="utf-8").count('<svg class="plot"') == len(charts)
    document = Document.model_validate(
        json.loads((run.report_dir / "report.json").read_text()), strict=False
    )
    assert document.run_id == run.run_id


def test_rendering_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    """Goal: a report can be rebuilt and compared. Method: all files, twice."""
    run = write_run(tmp_path, Voyage(length_s=60, services=("order-api",)))
    write_reports(run)
    first = contents(run)
    write_reports(run)
    assert contents(run) == first


def test_a_drawing_that_is_no_longer_made_does_not_stay(tmp_path: Path) -> None:
    run = write_run(tmp_path, Voyage(length_s=60, services=()))
    stale = run.report_dir / "plots" / "s99-latency.svg"
    stale.parent.mkdir(parents=True)
    stale.write_text("<svg/>")
    write_reports(run)
    assert not stale.exists()


@pytest.mark.parametrize(
    "voyage",
    [
        Voyage(length_s=60, recorded_s=0, signals=False, state="failed", reason="no target"),
        Voyage(length_s=60, recorded_s=20, state="interrupted", reason="Ctrl-C"),
        Voyage(length_s=60, kill=False, abort=False, services=(), objectives=("errors < 1%",)),
    ],
    ids=["nothing recorded", "cut short", "no fault"],
)
def test_a_bad_day_has_a_report_too(tmp_path: Path, voyage: Voyage) -> None:
    run = write_run(tmp_path, voyage)
    page = write_reports(run).read_text(encoding="utf-8")
    assert run.read_evaluation().sentence.partition(": ")[2][1:20] in page.replace("\u00a0", " ")


def test_a_run_that_was_not_evaluated_has_no_report(tmp_path: Path) -> None:
    run = write_run(tmp_path, Voyage(length_s=60, services=()), evaluated=False)
    with pytest.raises(RecordingError, match=r"evaluation\.json"):
        write_reports(run)
    assert not run.report_dir.exists()


def test_a_long_run_stays_light(tmp_path: Path) -> None:
    """Goal: the page grows with pixels, not with time. Method: 30 min, six services."""
    run = write_run(tmp_path, Voyage(length_s=1800, users=20, delay=True))
    page = write_reports(run)
    assert len(run.read_evaluation().signals) == 6 * 8
    assert page.stat().st_size < MOST_PAGE_BYTES / 3


def test_templates_travel_in_the_wheel(tmp_path: Path) -> None:
    """Goal: an installed seatrial can render. Method: the wheel's list of files."""
    from hatchling.builders.wheel import WheelBuilder

    names = [path.name for path in files("runner.reports").joinpath("templates").iterdir()]
    assert {"palette.css", "page.css", "page.js", "charts.js", "report.html.j2"} <= set(names)
    (built,) = WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    with zipfile.ZipFile(built) as wheel:
        assert {f"runner/reports/templates/{name}" for name in names} <= set(wheel.namelist())
