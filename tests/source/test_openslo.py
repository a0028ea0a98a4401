"""OpenSLO objects as objective sets: the queries they come to, and what is refused where."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from runner.cli.app import cli
from runner.errors import InvalidFileError, UsageError
from runner.model.promql import unclosed
from runner.objectivesets import load_set
from runner.openslo import imported, is_openslo
from runner.yamltext import parse_all

SLI = """\
apiVersion: openslo/v1
kind: SLI
metadata: {name: checkout-ok}
spec:
  ratioMetric:
    counter: true
    good: {metricSource: {type: Prometheus, spec: {query: 'sum(ok_total{code!~"5.."})'}}}
    total: {metricSource: {type: Prometheus, spec: {query: requests_total}}}
---
"""
SLO = """\
apiVersion: openslo/v1
kind: SLO
metadata: {name: Checkout-Availability, displayName: Checkout works}
spec:
  service: checkout
  indicatorRef: checkout-ok
  timeWindow: [{duration: 4w, isRolling: true}]
  budgetingMethod: Occurrences
  objectives:
    - {displayName: Good, target: 0.995}
"""
THRESHOLD = """\
apiVersion: openslo/v1
kind: SLO
metadata: {name: queue}
spec:
  indicator:
    metadata: {name: depth}
    spec:
      thresholdMetric: {metricSource: {type: Prometheus, spec: {query: max(queue_depth)}}}
  timeWindow: [{duration: 28d, isRolling: true}]
  budgetingMethod: Occurrences
  objectives:
    - {displayName: Short, op: lte, value: 50, targetPercent: 99}
"""
GOOD, TOTAL = (
    'sum(increase(ok_total{code!~"5.."}[$range]))',
    "sum(increase(requests_total[$range]))",
)


def made(text: str) -> dict[str, str]:
    """The queries by the names of their signals."""
    documents, _ = parse_all(text, Path("slo.yaml"))
    signals = imported(documents).data["signals"]
    queries = {name: signal["promql"] for name, signal in signals.items()}
    assert [unclosed(query) for query in queries.values()] == [""] * len(queries)
    return queries


def refused(folder: Path, text: str) -> str:
    path = folder / "slo.yaml"
    path.write_text(text)
    result = CliRunner().invoke(cli, ["import", str(path), "-o", "-"], standalone_mode=False)
    assert isinstance(result.exception, InvalidFileError)
    return result.exception.message


def test_a_ratio_of_counters_is_the_bad_share_of_what_is_judged() -> None:
    wanted = f"1 - ({GOOD} or {TOTAL} * 0) / {TOTAL}"
    assert made(SLI + SLO) == {"checkout-availability": wanted}


def test_bad_events_need_no_subtraction() -> None:
    bad = SLI.replace("good:", "bad:")
    assert made(bad + SLO) == {"checkout-availability": f"({GOOD} or {TOTAL} * 0) / {TOTAL}"}


def test_a_sum_over_labels_is_asked_as_it_is() -> None:
    """Goal: no query is bent that is not understood. Method: one that is neither sum nor name."""
    by = SLI.replace("requests_total}}}", "sum by (a) (requests_total)}}}")
    total = "sum(increase((sum by (a) (requests_total))[$range:]))"
    assert f" / {total}" in made(by + SLO)["checkout-availability"]


def test_a_rate_is_taken_over_what_is_judged() -> None:
    rates = SLI.replace("counter: true", "counter: false")
    rates = rates.replace("requests_total}}}", "'sum(rate(requests_total[5m]))'}}}")
    rates = rates.replace("sum(ok_total{code!~", "sum(rate(ok_total{code!~").replace(
        "\"})'", "\"}[5m]))'"
    )
    good, total = (
        '(sum(rate(ok_total{code!~"5.."}[$range])))',
        "(sum(rate(requests_total[$range])))",
    )
    wanted = f"1 - ({good} or {total} * 0) / {total}"
    assert made(rates + SLO) == {"checkout-availability": wanted}


@pytest.mark.parametrize(
    ("method", "query"),
    [
        ("RatioTimeslices", "avg_over_time((BAD)[$range:30s])"),
        ("Timeslices", "avg_over_time(((BAD) > bool 0.05)[$range:30s])"),
    ],
)
def test_slices_of_a_ratio(method: str, query: str) -> None:
    goal = "target: 0.995, timeSliceWindow: 30s, timeSliceTarget: 0.95"
    text = SLI + SLO.replace("Occurrences", method).replace("target: 0.995", goal)
    good, total = GOOD.replace("$range", "30s"), TOTAL.replace("$range", "30s")
    bad = f"1 - ({good} or {total} * 0) / {total}"
    assert made(text) == {"checkout-availability": query.replace("BAD", bad)}


def test_a_threshold_is_the_share_of_time_beyond_it() -> None:
    assert made(THRESHOLD) == {
        "queue": "1 - avg_over_time(((max(queue_depth)) <= bool 50)[$range:])"
    }
    slices = THRESHOLD.replace("Occurrences", "Timeslices")
    assert made(slices)["queue"].endswith("<= bool 50)[$range:60s])")


def test_targets_become_bounds_and_one_ratio_a_budget() -> None:
    documents, _ = parse_all(SLI + SLO + "---\n" + THRESHOLD, Path("slo.yaml"))
    found = imported(documents)
    assert found.data["objectives"] == [
        "signal.checkout-availability <= 0.5%",
        "signal.queue <= 1%",
    ]
    assert found.data["budget"] == {"slo": "99.5%", "period": "28d"}


def test_several_objectives_of_one_slo_have_signals_of_their_own() -> None:
    text = THRESHOLD + "    - {displayName: Long, op: lt, value: 90, target: 0.999}\n"
    assert list(made(text)) == ["queue-1", "queue-2"]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("op: lte", "op: eq", "slo.yaml:12:7: 'op' is 'eq'; accepted: lte, lt, gte, gt"),
        ("value: 50", "value: x", "'value' is 'x'; accepted: a number"),
        ("targetPercent: 99", "target: 99", "its target is 99; accepted: 'target' above 0"),
        ("targetPercent: 99", "target: 1", "its target is 1; accepted: 'target' above 0"),
        ("type: Prometheus", "type: Datadog", "a metric of type 'Datadog' cannot be asked"),
        ("openslo/v1", "openslo/v2alpha", "1:13: 'openslo/v2alpha' is not supported"),
        ("kind: SLO", "kind: Slo", "2:7: 'Slo' is no kind; accepted: SLO, SLI, DataSource"),
        ("Occurrences", "Often", "10:20: 'Often' is none; accepted: Occurrences, Timeslices"),
        ("thresholdMetric", "otherMetric", "its indicator has no metric"),
        ("query: max(queue_depth)", "query: ''", "'thresholdMetric' has no query"),
        ("metadata: {name: queue}", "metadata: {}", "3:11: metadata lacks a 'name'"),
    ],
)
def test_what_cannot_be_carried_over_is_refused_with_its_place(
    tmp_path: Path, old: str, new: str, said: str
) -> None:
    assert said in refused(tmp_path, THRESHOLD.replace(old, new))


def test_an_indicator_that_is_not_there_is_refused_once(tmp_path: Path) -> None:
    said = refused(tmp_path, SLO)
    assert "6:17: there is no SLI 'checkout-ok' here; accepted: an SLI in the same file" in said
    assert "1 mistake in" in said


def test_the_command_writes_a_set_that_loads_and_overwrites_nothing(tmp_path: Path) -> None:
    path = tmp_path / "slo.yaml"
    path.write_text(SLI + SLO + "---\n" + THRESHOLD)
    arguments = ["import", str(path), "--name", "checkout", "--experiments", str(tmp_path)]
    result = CliRunner().invoke(cli, arguments, standalone_mode=False)
    assert result.exception is None
    found, _, text = load_set(tmp_path / "objectives" / "checkout.yaml")
    assert [one.objective for one in found.objectives] == [
        "signal.checkout-availability <= 0.5%",
        "signal.queue <= 1%",
    ]
    assert found.signals["queue"].over_range
    assert "# Each SLO is judged over the phases of a run, in place of its time window." in text
    again = CliRunner().invoke(cli, arguments, standalone_mode=False)
    assert isinstance(again.exception, UsageError)
    assert "is there already" in str(again.exception)
    wrong = CliRunner().invoke(cli, [*arguments, "--service", "x"], standalone_mode=False)
    assert "--service: an OpenSLO file has neither faults nor load" in str(wrong.exception)


@pytest.mark.parametrize("text", [SLO, '{"apiVersion": "openslo/v1"}', "apiVersion: 'openslo/v1'"])
def test_openslo_is_told_from_chaos_toolkit(text: str) -> None:
    assert is_openslo(text)
    assert not is_openslo("title: x\nmethod: []\n")
