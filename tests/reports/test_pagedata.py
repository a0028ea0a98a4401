"""What the page needs beside the document, by value."""

from __future__ import annotations

import json

import pytest
from voyages import Voyage, write_run

from runner.model.evaluation import Finding, Verdict
from runner.reports.charts import Chart
from runner.reports.document import Document, build_document
from runner.reports.grid import Line
from runner.reports.pagedata import Gauge, chart_data, gauge, placed, seen_by_phase
from runner.reports.rows import FindingRow, finding_row


def row(
    observed: float | None,
    bound: float | None,
    *,
    operator: str = "<",
    warn: float | None = None,
    verdict: Verdict = Verdict.PASS,
    margin: float | None = None,
) -> FindingRow:
    return finding_row(
        Finding(
            check="objective",
            kind="objective",
            title="latency.p95 < 1s",
            verdict=verdict,
            observed=observed,
            unit="s",
            bound=bound,
            operator=operator,
            warn=warn,
            margin_ratio=margin,
            reason="because",
        )
    )


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (row(0.5, 1.0), Gauge(observed=35.0, bound=70.0, warn=None, bad="right")),
        (row(0.5, 1.0, warn=0.8), Gauge(observed=35.0, bound=70.0, warn=56.0, bad="right")),
        (row(4.0, 1.0), Gauge(observed=100.0, bound=25.0, warn=None, bad="right")),
        (row(90, 80, operator=">="), Gauge(observed=78.8, bound=70.0, warn=None, bad="left")),
        (row(-0.1, 1.0), Gauge(observed=0.0, bound=70.0, warn=None, bad="right")),
        (row(None, 1.0), None),
        (row(0.5, None), None),
        (row(0.5, 0.0), None),
    ],
)
def test_a_gauge_shows_what_was_observed_beside_its_bound(
    one: FindingRow, expected: Gauge | None
) -> None:
    assert gauge(one) == expected


def test_the_warn_band_lies_on_the_good_side_of_the_bound() -> None:
    below, above = gauge(row(0.5, 1.0, warn=0.8)), gauge(row(90, 80, operator=">", warn=100))
    assert below is not None
    assert (below.warn_from, below.warn_width) == (56.0, 14.0)
    assert above is not None
    assert (above.warn_from, above.warn_width) == (70.0, 17.5)


def test_the_worst_is_first_and_numbers_are_those_of_the_file() -> None:
    rows = [
        row(0.1, 1.0, margin=0.9),
        row(2.0, 1.0, verdict=Verdict.FAIL, margin=-1.0),
        row(0.5, 1.0, margin=0.5),
        row(None, 1.0, verdict=Verdict.INCONCLUSIVE),
        row(4.0, 1.0, verdict=Verdict.FAIL, margin=-3.0),
    ]
    assert [one.number for one in placed(rows)] == [5, 2, 4, 3, 1]


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> Document:
    voyage = Voyage(length_s=24, users=4, services=(), kill=False, description="</script><b>&")
    run = write_run(tmp_path_factory.mktemp("page"), voyage)
    return build_document(run.recording(), run.read_evaluation())


def test_the_figures_behind_a_chart_are_lowest_and_highest_by_phase(document: Document) -> None:
    values = tuple(None if at < 2 else 0.001 * at for at in range(24))
    chart = Chart(
        id="x", title="Latency", subject="", unit="s", lines=(Line(name="p95", values=values),)
    )
    rows = seen_by_phase(chart, document)
    assert [(one.label, one.cells) for one in rows] == [
        ("warmup", ("–",)),
        ("baseline", ("2\u00a0ms to 15\u00a0ms",)),
        ("fault 01-http-abort", ("16\u00a0ms to 18\u00a0ms",)),
        ("recovery", ("19\u00a0ms to 23\u00a0ms",)),
    ]


def test_the_script_gets_the_figures_of_the_document(document: Document) -> None:
    text = chart_data(document)
    assert not {"<", ">", "&"} & set(text), "fit for an element of the page"
    data = json.loads(text)
    assert (data["duration_s"], data["step_s"], len(data["at_s"])) == (24.0, 1.0, 24)
    assert data["started_wall_s"] == 1_767_225_600.0
    assert [(one["number"], one["start_s"]) for one in data["faults"]] == [(1, 15.6)]
    (latency,) = [one for one in document.charts[0].charts if one.id == "load-latency"]
    assert [name for name, _ in data["charts"]["load-latency"]["lines"]] == ["p50", "p95", "p99"]
    for (_, short), line in zip(
        data["charts"]["load-latency"]["lines"], latency.lines, strict=True
    ):
        assert short == [None if v is None else pytest.approx(v, rel=1e-5) for v in line.values]
