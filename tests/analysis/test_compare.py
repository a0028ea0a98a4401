"""Two runs compared: when they may be, and what single runs allow to be said."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from fleets import Ship, evaluation_of, manifest_of, plan_of_ship
from hypothesis import given
from hypothesis import strategies as st

from runner.analysis.comparable import Subject
from runner.analysis.compare import compare
from runner.model.comparison import Comparison
from runner.model.evaluation import Part, Reference, Verdict

PLAIN = Ship(days_ago=2)


def subject(ship: Ship, **manifest: Any) -> Subject:
    told = manifest_of(ship).model_copy(update=manifest)
    return Subject(told, plan_of_ship(ship), evaluation_of(ship))


def of(first: Ship, second: Ship) -> Comparison:
    return compare(subject(first), subject(second))


def test_the_same_twice_is_comparable_and_the_same() -> None:
    """Goal: no difference, no word. Method: a run, and one a day later that saw the same."""
    made = of(PLAIN, replace(PLAIN, days_ago=1))
    assert made.comparable
    assert made.why_not == ()
    assert all(one.same for one in made.conditions)
    assert [one.judgement for one in made.objectives] == ["same", "same"]
    assert (made.phases[0].p95_s.difference, made.phases[0].missing) == (0.0, "")
    assert made.endpoints[0].endpoint == "GET /api/v1/products"
    assert "no evidence" in made.caution


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"users": 50}, "The load differs: up to 100 users"),
        ({"length_s": 240.0}, "The length differs: 2m against 4m."),
        ({"time_scale": 0.5, "length_s": 60.0}, "The time scales differ: 1 and 0.5;"),
        ({"fault": "http-abort"}, "The faults differ: pod-kill of order-api at 30s for 30s"),
        ({"target": "staging"}, "The target differs: sandbox on x86_64, 2 CPUs against staging."),
        ({"valid": False}, "The second run was not valid"),
        ({"state": "aborted"}, "Not both recordings are whole: recorded and aborted."),
        ({"experiment": "other"}, "The experiment differs: shop-at-sea against other."),
    ],
)
def test_what_was_asked_otherwise_is_not_compared(changes: dict[str, Any], why: str) -> None:
    """Goal: each difference that matters is found, alone, and said. Method: one at a time."""
    changed = replace(PLAIN, p95_s=0.1, **changes)
    made = of(PLAIN, changed)
    assert not made.comparable
    assert made.why_not[0].startswith(why)
    # Another length has another plateau: the load differs as well.
    assert len(made.why_not) == (2 if set(changes) == {"length_s"} else 1)
    assert {one.judgement for one in made.objectives} == {"unknown"}
    assert made.objectives[0].observed.difference == pytest.approx(-0.1)


def test_sandboxes_are_alike_where_machines_are() -> None:
    """Goal: each run may have its own sandbox. Method: two names, then another machine."""
    later = replace(PLAIN, days_ago=1)
    names = {manifest_of(one).target.name for one in (PLAIN, later)}  # type: ignore[union-attr]
    assert len(names) == 2
    assert of(PLAIN, later).comparable
    made = compare(subject(PLAIN), subject(later, host={"machine": "x86_64", "cpus": "16"}))
    assert made.why_not == (
        "The target differs: sandbox on x86_64, 2 CPUs against sandbox on x86_64, 16 CPUs.",
    )


def test_what_differs_beside_that_is_said_and_no_hindrance() -> None:
    """Goal: versions, file and seed are told. Method: two manifests that differ in them."""
    first = subject(PLAIN, versions={"locust": "2.1", "envoy": "1"}, experiment_sha256="a" * 64)
    second = subject(PLAIN, versions={"locust": "2.2", "envoy": "1"}, git_revision="abc")
    made = compare(first, second)
    assert made.comparable
    differ = {one.name: (one.first, one.second) for one in made.conditions if not one.same}
    assert differ == {
        "experiment file": ("a" * 12, "0" * 12),
        "version of locust": ("2.1", "2.2"),
        "git revision": ("none", "abc"),
    }


def test_better_and_worse_go_by_the_objective() -> None:
    """Goal: less latency is better. Method: beyond the noise, both ways, and within it."""
    assert of(PLAIN, replace(PLAIN, p95_s=0.13)).objectives[0].judgement == "better"
    assert of(PLAIN, replace(PLAIN, p95_s=0.3)).objectives[0].judgement == "worse"
    assert of(PLAIN, replace(PLAIN, p95_s=0.24)).objectives[0].judgement == "same"
    missing = of(PLAIN, replace(PLAIN, p95_s=None, verdict=Verdict.INCONCLUSIVE)).objectives[0]
    assert (missing.judgement, missing.noise) == ("unknown", None)


def test_what_one_run_differs_by_itself_says_nothing() -> None:
    """Goal: a figure that jumps about within a run proves little. Method: windows far apart."""
    windows = [
        Part(label=label, start_s=0.0, end_s=1.0, verdict=Verdict.PASS, observed=p95_s)
        for label, p95_s in (("a", 0.1), ("b", 0.25))
    ]
    calm, other = subject(PLAIN), subject(replace(PLAIN, p95_s=0.3))
    first, second = calm.evaluation.findings
    jumpy = first.model_copy(update={"parts": tuple(windows)})
    findings = {"findings": (jumpy, second)}
    unsteady = replace(calm, evaluation=calm.evaluation.model_copy(update=findings))
    assert compare(calm, other).objectives[0].judgement == "worse"
    assert compare(unsteady, other).objectives[0].judgement == "same"
    assert compare(unsteady, other).objectives[0].noise == pytest.approx(0.15)


def test_few_failures_are_not_told_apart() -> None:
    """Goal: counting alone makes rare failures uncertain. Method: 5 and 9 of 5,000; then 50."""
    five = replace(PLAIN, errors=5 / 5000)
    nine, fifty = replace(PLAIN, errors=9 / 5000), replace(PLAIN, errors=50 / 5000)
    assert of(five, nine).objectives[1].judgement == "same"
    assert of(five, fifty).objectives[1].judgement == "worse"
    none = replace(PLAIN, errors=0.0)
    assert of(none, replace(PLAIN, errors=1 / 5000)).objectives[1].judgement == "same"


def test_an_objective_of_one_run_alone_is_listed() -> None:
    made = of(PLAIN, replace(PLAIN, title="latency.p95 < 400ms"))
    rows = {one.title: (one.verdict_first, one.verdict_second) for one in made.objectives}
    assert rows["latency.p95 < 300ms"] == (Verdict.PASS, None)
    assert rows["latency.p95 < 400ms"] == (None, Verdict.PASS)


MANIFEST, PLAN = manifest_of(PLAIN), plan_of_ship(PLAIN)
figures = st.none() | st.floats(0, 1e6, allow_nan=False)


@given(figures, figures, st.floats(0, 1), st.floats(0, 1))
def test_never_are_both_better(
    one_s: float | None, two_s: float | None, one: float, two: float
) -> None:
    """Goal: the order of the runs favours none. Method: any figures, compared both ways."""
    first, second = (
        Subject(MANIFEST, PLAN, evaluation_of(replace(PLAIN, p95_s=p95_s, errors=errors)))
        for p95_s, errors in ((one_s, one), (two_s, two))
    )
    opposite = {"better": "worse", "worse": "better", "same": "same", "unknown": "unknown"}
    there, back = compare(first, second).objectives, compare(second, first).objectives
    assert [opposite[o.judgement] for o in there] == [o.judgement for o in back]
    assert [o.noise for o in there] == [o.noise for o in back]


def test_a_comparison_reads_back() -> None:
    made = of(PLAIN, replace(PLAIN, p95_s=None))
    assert Comparison.model_validate_json(made.model_dump_json()) == made


def test_another_reference_is_no_other_objective() -> None:
    """Goal: 'baseline + 10%' twice is the same, whatever the baselines were; 100 ms twice is not.

    Method: the first objective's bound is another; once it came from a reference, once not.
    """
    later = replace(PLAIN, days_ago=1)

    def judged_by_others(bound: float, reference: Reference | None) -> bool:
        sides = []
        for ship, value in ((PLAIN, 0.1), (later, bound)):
            whole = subject(ship)
            first, *rest = whole.evaluation.findings
            first = first.model_copy(update={"bound": value, "reference": reference})
            findings = {"findings": (first, *rest)}
            sides.append(replace(whole, evaluation=whole.evaluation.model_copy(update=findings)))
        (one,) = [c for c in compare(*sides).conditions if c.name == "objectives"]
        return not one.same

    assert not judged_by_others(0.2, Reference(name="baseline", observed=0.1))
    assert judged_by_others(0.2, None)
