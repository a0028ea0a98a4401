"""Client and mesh side by side: what is a gap, what is only an edge, and what proves nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from builders import (
    ABORT,
    KILL,
    Rows,
    healthy,
    load_of,
    plan_of,
    recording_of,
    row,
    scraped_every,
    signals_of,
    with_signal,
)

from runner.analysis.views import view_figures, views_agree, views_of
from runner.analysis.windows import LoadTable
from runner.model.evaluation import Finding, Verdict, ViewFigures
from runner.model.plan import Plan
from runner.model.recording import LoadRow, Recording, Signals, TargetInfo

WARMUP, BASELINE, FAULT, RECOVERY = range(4)
ALONE = TargetInfo(
    kind="sandbox", name="sandbox", namespace="shop", ingress_url="", host="", prometheus_url=""
)


def scraped(plan: Plan, changes: dict[tuple[str, int], Any], interval_s: float = 1.0) -> Signals:
    """The signals of a Prometheus that scrapes so often, of which the gateway saw ``changes``."""
    signals = signals_of(plan)
    for (sli, phase), value in changes.items():
        known = {"value": value} if value is not None else {"value": None, "state": "empty"}
        signals = with_signal(signals, sli, "", [phase], **known)
    return signals.model_copy(update={"series": (scraped_every(interval_s),)})


def run_of(
    changes: dict[tuple[str, int], Any] | None = None,
    rows: Rows = healthy,
    *,
    faults: Sequence[dict[str, Any]] = (ABORT,),
    interval_s: float = 1.0,
    alone: bool = True,
    until_s: int | None = None,
) -> Recording:
    plan = plan_of(faults=faults)
    recording = recording_of(plan, signals=scraped(plan, changes or {}, interval_s))
    manifest = recording.manifest.model_copy(update={"target": ALONE if alone else None})
    return recording_of(
        plan, manifest=manifest, signals=recording.signals, load=load_of(plan, rows, until_s)
    )


def agreement(recording: Recording) -> Finding | None:
    views = views_of(recording, LoadTable(recording.load, recording.plan))
    return views_agree(recording, views, recording.plan.experiment.objectives)


def found(*args: Any, **changes: Any) -> Finding:
    finding = agreement(run_of(*args, **changes))
    assert finding is not None
    return finding


def figures(recording: Recording, sli: str) -> list[ViewFigures]:
    views = views_of(recording, LoadTable(recording.load, recording.plan))
    return [one for one in view_figures(views) if one.sli == sli]


# -- figures ---------------------------------------------------------------------------------------


def test_both_views_of_each_phase() -> None:
    """100 requests a second; the gateway saw 95 of them in the baseline."""
    seen = figures(run_of({("traffic", BASELINE): 95.0}), "traffic")
    assert [(one.label, one.client, one.mesh) for one in seen] == [
        ("warmup", 100.0, 100.0),
        ("baseline", 100.0, 95.0),
        ("fault 01-http-abort", 100.0, 100.0),
        ("recovery", 100.0, 100.0),
    ]
    assert seen[BASELINE].gap_ratio == pytest.approx(0.05)
    assert seen[BASELINE].unit == "per_s"


def test_the_tolerance_is_that_of_the_edges() -> None:
    """5 %, and two scrapes and a p99 of 20 ms of the 15 s that the baseline lasts."""
    (_, baseline, *_) = figures(run_of(), "traffic")
    assert baseline.tolerance_ratio == pytest.approx(0.05 + 2.02 / 15, rel=1e-3)
    (_, baseline, *_) = figures(run_of(interval_s=5.0), "traffic")
    assert baseline.tolerance_ratio == pytest.approx(0.05 + 10.02 / 15, rel=1e-3)


def test_latencies_are_shown_and_have_no_tolerance() -> None:
    """20 ms for the load, 30 ms for the mesh: a third of the greater."""
    (_, baseline, *_) = figures(run_of(), "latency.p95")
    assert baseline.client == pytest.approx(0.020, rel=0.01)
    assert baseline.mesh == 0.030
    assert baseline.gap_ratio == pytest.approx(1 / 3, abs=0.01)
    assert baseline.tolerance_ratio is None
    assert found({("latency.p95", BASELINE): 9.0}).verdict is Verdict.PASS


def test_failures_that_the_mesh_does_not_count_are_not_compared() -> None:
    """A status of 4xx, and what had no answer, are failures for the load alone."""

    def rows(second: int) -> Sequence[LoadRow]:
        return (
            row(second, 80),
            row(second, 15, outcome="http_4xx"),
            row(second, 5, outcome="error"),
        )

    seen = figures(run_of(rows=rows), "errors")[BASELINE]
    assert (seen.client, seen.mesh, seen.gap_ratio) == (0.2, 0.0, 0.0)
    assert seen.reason.startswith("300 requests failed for the load alone")


def test_what_has_no_signals_has_no_figures() -> None:
    recording = recording_of(plan_of(), signals=None)
    assert views_of(recording, LoadTable(recording.load, recording.plan)) == ()
    assert agreement(recording) is None


# -- the finding -----------------------------------------------------------------------------------


def test_views_that_agree() -> None:
    finding = found({("traffic", FAULT): 98.0, ("errors", FAULT): 0.01})
    assert (finding.kind, finding.check, finding.verdict) == (
        "validity",
        "views-agree",
        Verdict.PASS,
    )
    assert finding.reason == (
        "The mesh's gateway saw the load's requests in each phase, up to a gap of 2 % (25.2 % "
        "would be as expected in fault 01-http-abort), and its errors, up to 1 percentage point."
    )


def test_a_gap_is_a_warning_where_something_rests_on_it() -> None:
    """A quarter of the recovery's requests were not seen; 11.7 % are within the tolerance."""
    changes = {("traffic", RECOVERY): 75.0}
    finding = found(changes)
    assert (finding.verdict, finding.where) == (Verdict.WARN, "recovery")
    assert (finding.observed, finding.operator) == (0.25, "<=")
    assert finding.bound == pytest.approx(0.05 + 2.02 / 30, rel=1e-3)
    assert finding.reason == (
        "In recovery the load made 100/s, and the mesh's gateway saw 75/s, which is more apart "
        "than 11.7 %."
    )


def test_a_gap_in_errors_is_a_warning() -> None:
    finding = found({("errors", RECOVERY): 0.30})
    assert (finding.verdict, finding.where) == (Verdict.WARN, "recovery")
    assert finding.reason.startswith(
        "In recovery the load saw a status of 5xx for 0 % of its requests, and the mesh's gateway "
        "errors for 30 %"
    )


def test_load_that_did_not_pass_the_mesh_proves_nothing() -> None:
    """Goal: a wrong address is noticed. Method: the gateway saw 3 of 100 requests a second."""
    finding = found({("traffic", BASELINE): 3.0})
    assert finding.verdict is Verdict.INCONCLUSIVE
    assert finding.reason == (
        "In baseline the load sent 1,500 requests, and the mesh's gateway saw 45: the load went "
        "elsewhere, or past the mesh, so that nothing of what was done to the mesh and seen by it "
        "is about this load."
    )
    assert found({("traffic", BASELINE): 3.0}, faults=()).verdict is Verdict.INCONCLUSIVE


def test_others_on_a_sandbox_prove_nothing_and_on_a_cluster_are_told() -> None:
    changes = {("traffic", RECOVERY): 300.0}
    assert found(changes).verdict is Verdict.INCONCLUSIVE
    elsewhere = found(changes, alone=False)
    assert elsewhere.verdict is Verdict.WARN
    assert elsewhere.reason.endswith("perhaps others use the same gateway.")


@pytest.mark.parametrize(
    ("changes", "rows"),
    [
        ({("traffic", WARMUP): 1.0}, healthy),  # not judged
        ({("traffic", BASELINE): 84.0}, healthy),  # two scrapes of 15 s are 13 %
        # What nobody answered may have been seen by nobody.
        (
            {("traffic", phase): 60.0 for phase in (BASELINE, FAULT, RECOVERY)},
            lambda s: (row(s, 60), row(s, 40, outcome="connection")),
        ),
        # Requests of 3 s are counted when they are sent, and seen when they are answered.
        ({("traffic", FAULT): 55.0}, lambda s: (row(s, 100, latency_ms=3000.0),)),
    ],
)
def test_what_is_as_expected(changes: dict[tuple[str, int], float], rows: Rows) -> None:
    assert found(changes, rows).verdict is Verdict.PASS


def test_what_cannot_be_compared_is_no_pass() -> None:
    """A warning where a fault, or an objective, rests on the mesh; else nothing is said."""
    missing = {("traffic", RECOVERY): None}
    finding = found(missing)
    assert (finding.verdict, finding.observed) == (Verdict.WARN, None)
    assert finding.reason == (
        "What the load and the mesh saw could not be compared in recovery: the gateway's proxy has "
        "no figure of it here."
    )
    assert found({("traffic", BASELINE): float("nan")}).verdict is Verdict.WARN


def test_an_unknown_interval_is_no_pass() -> None:
    """Goal: without it, no tolerance is known. Method: the same run with and without a series."""
    whole = run_of({("traffic", RECOVERY): 75.0})
    assert whole.signals is not None
    less = replace(whole, signals=whole.signals.model_copy(update={"series": ()}))
    finding = agreement(less)
    assert finding is not None
    assert (finding.verdict, finding.observed) == (Verdict.WARN, None)
    assert finding.reason.endswith("no series tells how often Prometheus looks.")
    calm = run_of(faults=())
    assert calm.signals is not None
    silent = calm.signals.model_copy(update={"series": ()})
    assert agreement(replace(calm, signals=silent)) is None


def test_without_a_fault_nothing_rests_on_the_mesh() -> None:
    assert agreement(run_of({("traffic", BASELINE): None}, faults=())) is None
    assert found({("traffic", BASELINE): 80.0}, faults=()).verdict is Verdict.PASS


def test_a_phase_that_was_cut_is_not_judged() -> None:
    """The load ended at 45 s, in the recovery; of what seconds the mesh's figure is, who knows."""
    finding = found({("traffic", RECOVERY): 1.0}, until_s=45)
    assert finding.verdict is Verdict.PASS


def test_a_phase_that_was_not_reached_has_no_views() -> None:
    """The load ended at 20 s, just as the fault was to begin."""
    seen = figures(run_of(until_s=20), "traffic")
    assert [one.label for one in seen] == ["warmup", "baseline"]


def test_a_kill_rests_on_the_mesh_too() -> None:
    assert found({("traffic", RECOVERY): 75.0}, faults=(KILL,)).verdict is Verdict.WARN
