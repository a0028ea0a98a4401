"""Objectives on recovery: of which fault, of what, after a spike; and the series that shows it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

import pytest
from builders import (
    ABORT,
    KILL,
    ORDERS,
    PRODUCTS,
    Rows,
    healthy,
    load_of,
    plan_of,
    recording_of,
    row,
)
from judging import judge_by
from staged import SPIKE, recorded, staged_plan

from runner.analysis.evaluate import evaluate
from runner.analysis.recoveries import MOST_POINTS
from runner.model.evaluation import Evaluation, Finding, RecoveryFigure, Verdict
from runner.model.recording import LoadRow

EARLY = {**ABORT, "name": "early", "at": "10s", "duration": "10s"}
LATE = {**ABORT, "name": "late", "at": "40s", "duration": "10s"}
BACK_S = 90


def failing(bad: Collection[int], endpoint: str = ORDERS) -> Rows:
    """Half of the requests to an endpoint fail in the seconds ``bad``."""

    def rows(second: int) -> Sequence[LoadRow]:
        failed = [row(second, 50, endpoint=endpoint, outcome="http_5xx")] if second in bad else []
        return (*healthy(second), *failed)

    return rows


def evaluated(recovery: Any, rows: Rows, faults: Sequence[dict[str, Any]] = ()) -> Evaluation:
    plan = plan_of("errors < 1%", recovery, faults=faults, duration="80s")
    return evaluate(recording_of(plan, rows))


def last(evaluation: Evaluation) -> Finding:
    return [one for one in evaluation.findings if one.kind == "objective"][-1]


def test_each_fault_has_its_recovery_and_the_slowest_decides() -> None:
    """3 s after the first, 7 s after the second."""
    bad = {20, 21, 22, *range(50, 57)}
    finding = last(evaluated("recovery < 5s", failing(bad), [EARLY, LATE]))
    assert [(one.label, one.observed, one.verdict) for one in finding.parts] == [
        ("after 01-early", 3.0, Verdict.PASS),
        ("after 02-late", 7.0, Verdict.FAIL),
    ]
    assert (finding.verdict, finding.observed, finding.where) == (
        Verdict.FAIL,
        7.0,
        "after 02-late",
    )


def test_one_fault_alone_may_be_asked_for() -> None:
    bad = {20, 21, 22, *range(50, 57)}
    asked = {"objective": "recovery < 5s", "during": "fault:early"}
    finding = last(evaluated(asked, failing(bad), [EARLY, LATE]))
    assert [(one.label, one.observed) for one in finding.parts] == [("after 01-early", 3.0)]
    assert finding.verdict is Verdict.PASS


def test_a_fault_that_is_not_there_is_no_pass() -> None:
    asked = {"objective": "recovery < 5s", "during": ["fault:early", "fault:other"]}
    finding = last(evaluated(asked, failing(()), [EARLY, LATE]))
    assert finding.verdict is Verdict.INCONCLUSIVE
    assert "'other' is not the name of one fault of this run" in finding.reason


def test_until_says_what_must_hold_again() -> None:
    """Errors stop after 3 s; the latency that 'until' asks for is never so low."""
    bad = {20, 21, 22}
    strict = {"objective": "recovery < 5s", "until": ["errors < 1%", "latency.p95 < 10ms"]}
    assert last(evaluated("recovery < 5s", failing(bad), [EARLY])).verdict is Verdict.PASS
    finding = last(evaluated(strict, failing(bad), [EARLY]))
    assert finding.verdict is Verdict.FAIL
    assert finding.reason.startswith(
        "The objectives did not hold again within the 60 s that were seen, but "
        "'latency.p95 < 10ms' did not hold in the baseline either"
    )


def test_until_stands_for_itself() -> None:
    """Goal: no other objective is needed. Method: beside it, one on traffic."""
    plan = plan_of(
        "traffic > 1/s", {"objective": "recovery < 9s", "until": ["errors < 1%"]}, faults=[EARLY]
    )
    finding = last(evaluate(recording_of(plan, failing({20, 21}))))
    assert (finding.verdict, finding.observed) == (Verdict.PASS, 2.0)


def test_of_watches_one_endpoint() -> None:
    """Products fail for 9 s, orders for 2 s: each by itself, and both together."""

    def rows(second: int) -> Sequence[LoadRow]:
        orders = failing({20, 21})(second)
        return (*orders, *failing(range(20, 29), PRODUCTS)(second)[2:])

    for of, observed in ((ORDERS, 2.0), (PRODUCTS, 9.0), ("GET *", 9.0), (None, 9.0)):
        asked = {"objective": "recovery < 60s", **({"of": of} if of else {})}
        assert last(evaluated(asked, rows, [EARLY])).observed == observed


def test_of_two_endpoints_only_the_promises_of_one_are_asked_for() -> None:
    """Orders break for 9 s what was promised of products alone, and of everything for 2 s."""

    def rows(second: int) -> Sequence[LoadRow]:
        slow = [row(second, 50, latency_ms=2000.0)] if second in (20, 21) else []
        return (*failing(range(20, 29))(second), *slow)

    plan = plan_of(
        {"objective": "errors < 1%", "of": PRODUCTS},
        "latency.p95 < 1s",
        {"objective": "recovery < 60s", "of": ORDERS},
        faults=[EARLY],
    )
    evaluation = evaluate(recording_of(plan, rows))
    assert [one.titles for one in evaluation.recoveries][1:] == [
        (f"latency.p95 < 1s of {ORDERS}",),
    ]
    assert last(evaluation).observed == 2.0


def test_what_did_not_hold_before_the_fault_is_told_where_it_matters() -> None:
    """All requests of the baseline's last seconds fail; the recovery takes 7 s, or 3 s."""
    asked = {"objective": "recovery < 5s", "until": ["errors < 1%"]}
    missed = last(evaluated(asked, failing({*range(5, 10), *range(20, 27)}), [EARLY]))
    assert (missed.verdict, missed.observed) == (Verdict.FAIL, 7.0)
    assert (
        "it took 7 s until the objectives held again, but 'errors < 1%' did not hold in the "
        "baseline either"
    ) in missed.parts[0].reason
    met = last(evaluated(asked, failing({*range(5, 10), *range(20, 23)}), [EARLY]))
    assert (met.verdict, met.parts[0].reason) == (Verdict.PASS, "")


def test_an_endpoint_that_nobody_called_is_no_failure_and_no_pass() -> None:
    asked = {"objective": "recovery < 5s", "of": "GET /typo"}
    finding = last(evaluated(asked, failing(()), [EARLY]))
    assert finding.verdict is Verdict.INCONCLUSIVE
    assert "there were no requests to GET /typo" in finding.reason


# -- after a spike ---------------------------------------------------------------------------------


def after_spike(bad: Collection[int], **changes: Any) -> Evaluation:
    """A spike from 60 s to 90 s; all requests fail in the seconds ``bad``."""
    plan = staged_plan(*SPIKE, **{"objectives": ["errors < 1%", "recovery < 5s"], **changes})

    def rows(second: int) -> Sequence[LoadRow]:
        users = round(plan.users_at(second + 0.5))
        return (row(second, users, outcome="http_5xx" if second in bad else "success"),)

    return evaluate(recorded(plan, rows))


@pytest.mark.parametrize(
    ("bad_s", "verdict"), [(0, Verdict.PASS), (3, Verdict.PASS), (12, Verdict.FAIL)]
)
def test_the_recovery_after_a_spike(bad_s: int, verdict: Verdict) -> None:
    finding = last(after_spike(range(70, BACK_S + bad_s)))
    (part,) = finding.parts
    assert (part.label, part.verdict) == ("after the spike", verdict)
    assert part.observed == pytest.approx(bad_s, abs=1e-3)
    assert part.start_s == pytest.approx(BACK_S, abs=1e-3)


def test_a_fault_after_the_spike_ends_its_view() -> None:
    """Both are judged; what the fault breaks from 110 s on is not the spike's."""
    fault = {**ABORT, "at": "110s", "duration": "10s"}
    finding = last(after_spike([*range(70, 92), *range(110, 124)], faults=[fault]))
    assert [(one.label, round(one.observed or -1.0, 2)) for one in finding.parts] == [
        ("after 01-http-abort", 4.0),
        ("after the spike", 2.0),
    ]
    assert finding.parts[1].end_s == 110.0


def test_a_named_fault_leaves_the_spike_out() -> None:
    fault = {**ABORT, "at": "110s", "duration": "10s"}
    asked = {"objective": "recovery < 5s", "during": "fault:http-abort"}
    evaluation = after_spike((), faults=[fault], objectives=["errors < 1%", asked])
    assert [one.label for one in last(evaluation).parts] == ["after 01-http-abort"]


def test_an_even_load_without_a_fault_has_nothing_to_recover_from() -> None:
    plan = plan_of("errors < 1%", "recovery < 5s")
    assert last(evaluate(recording_of(plan))).verdict is Verdict.INCONCLUSIVE


# -- the series ------------------------------------------------------------------------------------


def test_the_series_shows_when_they_held_again() -> None:
    """Bad until 23 s: windows from 23 s on hold; those of the last seconds are cut by the end."""
    (shown,) = evaluated("recovery < 5s", failing({20, 21, 22}), [EARLY]).recoveries
    assert (shown.after, shown.start_s, shown.end_s, shown.seconds) == ("01-early", 20.0, 80.0, 3.0)
    assert (shown.window_s, shown.step_s) == (5.0, 1.0)
    assert shown.holds == (False, False, False, *[True] * 53)
    assert shown.titles == ("errors < 1%",)


def test_other_promises_have_a_series_of_their_own() -> None:
    asked = {"objective": "recovery < 5s", "until": ["latency.p95 < 1s"]}
    shown = evaluated(asked, failing({20, 21}), [EARLY]).recoveries
    assert [(one.titles, one.seconds) for one in shown] == [
        (("errors < 1%",), 2.0),
        (("latency.p95 < 1s",), 0.0),
    ]


def test_each_kill_has_its_series() -> None:
    again = {**KILL, "duration": "24s", "every": "8s"}
    shown = evaluated("recovery < 5s", failing(()), [again]).recoveries
    assert [round(one.start_s, 1) for one in shown] == [20.5, 28.5, 36.5]


def test_of_many_kills_the_first_ones_and_the_worst_have_theirs() -> None:
    """32 kills, all of them without harm but that at 270 s."""
    again = {**KILL, "duration": "320s", "every": "10s"}
    plan = plan_of("errors < 1%", "recovery < 9s", faults=[again], duration="360s")
    shown = evaluate(recording_of(plan, failing({271, 272}))).recoveries
    assert len(shown) == 20
    assert [one.start_s for one in shown] == sorted(one.start_s for one in shown)
    assert max(shown, key=lambda one: one.seconds or 0.0) is shown[-1]
    assert (shown[-1].start_s, shown[-1].seconds) == (270.5, 2.5)


def test_without_promises_there_is_nothing_to_show() -> None:
    plan = plan_of("traffic > 1/s", faults=[ABORT])
    assert evaluate(recording_of(plan)).recoveries == ()


def long_run(bad_s: int) -> RecoveryFigure:
    """Two hours after a fault; nothing holds for ``bad_s`` seconds."""
    plan = plan_of("errors < 1%", faults=[EARLY], duration="7220s")

    def rows(second: int) -> Sequence[LoadRow]:
        return (row(second, 1, outcome="http_5xx" if 20 <= second < 20 + bad_s else "success"),)

    recording = recording_of(plan, rows, load=load_of(plan, rows))
    (shown,) = evaluate(replace(recording, signals=None)).recoveries
    return shown


@pytest.mark.parametrize(
    ("bad_s", "points", "step_s", "first"), [(30, 120, 1.0, 30), (3600, 600, 12.0, 300)]
)
def test_a_long_view_is_cut_and_thinned(bad_s: int, points: int, step_s: float, first: int) -> None:
    """Goal: a day's run stays small. Method: twice the recovery is shown, at most 600 points."""
    shown = long_run(bad_s)
    assert shown.seconds == bad_s
    assert (len(shown.holds), shown.step_s) == (points, step_s)
    assert shown.holds.index(True) == first
    assert len(shown.holds) <= MOST_POINTS


def test_nothing_to_recover_from_is_no_recovery() -> None:
    """Goal: a run without a fault and a spike proves none. Method: its recovery is judged."""
    finding = judge_by("recovery < 30s", recording_of(plan_of(), healthy))
    assert finding.verdict is Verdict.INCONCLUSIVE
    assert finding.reason == (
        "There was no fault and no spike to recover from in this run, so nothing was judged."
    )
