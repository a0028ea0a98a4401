"""How long recovery takes: when the clock starts, what lasting means, what is unknown."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import pytest
from builders import (
    ABORT,
    KILL,
    ORDERS,
    PRODUCTS,
    WALL_S,
    healthy,
    load_of,
    plan_of,
    recording_of,
    row,
)
from hypothesis import given
from hypothesis import strategies as st

from runner.analysis.recovery import Recovery, Watched, recoveries_of, watched, worst_recovery
from runner.analysis.windows import LoadTable, Slice, joined
from runner.model.faultrecord import Effect, FaultRecord
from runner.model.objective import Objective, promises
from runner.model.recording import LoadRow

FAULT_END_S = 30


def recovery(
    bad: Collection[int],
    faults: Sequence[dict[str, Any]] = (ABORT,),
    objectives: Sequence[Any] = ("errors < 1%", "latency.p95 < 500ms"),
    until_s: int = 60,
    records: tuple[FaultRecord, ...] | None = None,
) -> Recovery:
    """Recovery from the first fault, when in the seconds ``bad`` half of the orders fail."""
    plan = plan_of(*objectives, faults=faults)

    def rows(second: int) -> Sequence[LoadRow]:
        if second not in bad:
            return healthy(second)
        return (*healthy(second), row(second, 50, outcome="http_5xx"))

    load = load_of(plan, rows, until_s)
    recording = recording_of(plan, load=load)
    if records is not None:
        recording = recording_of(plan, load=load, faults=records)
    table = LoadTable(recording.load, plan)
    kept = watched(promises(plan.experiment.objectives), table, {})
    return worst_recovery(recoveries_of(plan.faults[0], recording, table, kept))


def test_well_at_once_is_zero() -> None:
    """Trouble in the fault itself is not counted."""
    assert recovery(range(20, 30)).seconds == 0.0


def test_time_until_well_again() -> None:
    """Failures go on for 7 s after the end of the fault."""
    assert recovery(range(20, 37)).seconds == 7.0


def test_relapse_counts_to_its_end() -> None:
    """Well after 2 s, and ill again from 10 s to 12 s: it did not last before 12 s."""
    assert recovery([30, 31, *range(40, 42)]).seconds == 12.0


def test_single_bad_second_later_on_is_no_relapse() -> None:
    """It would be one at a bound of 0.1 %, whatever the system did."""
    assert recovery([30, 31, 45]).seconds == 2.0
    assert recovery([30, 31, 59]).seconds == 2.0
    # Nor is it well in between when it was not well for as long as a window.
    assert recovery([30, 34]).seconds == 5.0


def test_never_well_is_unknown_and_ill() -> None:
    """30 s were watched and all of them were bad."""
    found = recovery(range(20, 60))
    assert (found.seconds, found.watched_s, found.unwell) == (None, 30.0, True)
    assert "did not hold again within the 30 s" in found.reason


def test_too_short_a_view_is_unknown() -> None:
    """3 s are less than a window."""
    found = recovery((), until_s=33)
    assert (found.seconds, found.unwell) == (None, False)
    assert "only 3 s were seen" in found.reason


def test_view_ends_at_the_next_fault() -> None:
    """Another fault from 40 s on: what is bad then is not this one's."""
    later = {**ABORT, "at": "40s", "duration": "10s"}
    assert recovery(range(40, 50), faults=[ABORT, later]).seconds == 0.0
    found = recovery(range(20, 60), faults=[ABORT, later])
    assert (found.end_s, found.watched_s) == (40.0, 10.0)


def test_a_fault_that_ends_at_the_same_time_is_over() -> None:
    same = {**ABORT, "name": "same", "at": "25s", "duration": "5s"}
    assert recovery(range(20, 37), faults=[ABORT, same]).seconds == 7.0


def test_no_view_while_another_fault_is_active() -> None:
    """Two overlapping faults: the first one's end is in the other's time."""
    other = {**ABORT, "service": "order-api", "at": "25s", "duration": "15s"}
    found = recovery((), faults=[ABORT, other])
    assert (found.seconds, found.watched_s) == (None, 0.0)


def test_pod_kill_counts_from_the_kill() -> None:
    """The kill was at 21.5 s; failures until 26 s; the view does not end with the phase."""
    killed = Effect(wall_s=WALL_S + 21.5, what="killed", subject="pod/order-api-a")
    records = (FaultRecord(id="01-pod-kill", journal_status="completed", effects=(killed,)),)
    found = recovery(range(22, 26), faults=[KILL], records=records)
    assert (found.start_s, found.seconds) == (21.5, 4.5)


def test_pod_kill_without_a_record_counts_from_its_plan() -> None:
    assert recovery((), faults=[KILL], records=()).start_s == 20.0


def test_windows_without_requests_are_not_well() -> None:
    """The load of one endpoint pauses for 8 s: nobody can say that its objective held."""
    plan = plan_of({"objective": "errors < 1%", "of": ORDERS}, faults=[ABORT])

    def rows(second: int) -> Sequence[LoadRow]:
        orders = [] if 30 <= second < 38 else [row(second)]
        return [*orders, row(second, endpoint=PRODUCTS)]

    recording = recording_of(plan, rows)
    table = LoadTable(recording.load, plan)
    kept = watched(promises(plan.experiment.objectives), table, {})
    found = worst_recovery(recoveries_of(plan.faults[0], recording, table, kept))
    assert found.seconds == 4.0  # the window from 34 s to 39 s is the first with an order


def test_slow_is_not_well() -> None:
    """Latency counts as errors do: 1 s instead of 20 ms until 35 s."""
    plan = plan_of("latency.p95 < 500ms", faults=[ABORT])
    recording = recording_of(plan, lambda s: [row(s, latency_ms=1000.0 if 20 <= s < 35 else 20.0)])
    table = LoadTable(recording.load, plan)
    kept = watched(promises(plan.experiment.objectives), table, {})
    found = worst_recovery(recoveries_of(plan.faults[0], recording, table, kept))
    assert found.seconds == pytest.approx(5.0)


def test_promises_are_client_objectives_of_healthy_phases() -> None:
    """What is allowed during a fault says nothing about being well; nor do traffic and the mesh."""
    plan = plan_of(
        "errors < 1%",
        "traffic > 10/s",
        "saturation.cpu < 50%",
        "recovery < 30s",
        {"objective": "latency.p95 < 1s", "service": "order-api"},
        {"objective": "errors < 30%", "during": "fault"},
        {"objective": "latency.p99 < 1s", "during": "recovery"},
        faults=[ABORT],
    )
    kept = [one.objective for one in promises(plan.experiment.objectives)]
    assert kept == ["errors < 1%", "latency.p99 < 1s"]


def test_without_promises_nothing_is_known() -> None:
    found = recovery((), objectives=["traffic > 10/s"])
    assert (found.seconds, found.unwell) == (None, False)
    assert "no objective on latency or errors" in found.reason


SECONDS = st.lists(
    st.builds(
        lambda latency_us, failures: Slice(
            1.0, {"success": sum(latency_us.values()), "timeout": failures}, latency_us
        ),
        st.dictionaries(st.integers(0, 30), st.integers(1, 4), max_size=5),
        st.integers(0, 4),
    ),
    min_size=1,
    max_size=5,
)


@given(
    SECONDS,
    st.sampled_from(["p1", "p50", "p90", "p99.9", "avg", "min", "max", "errors"]),
    st.sampled_from(["<", "<="]),
    st.integers(0, 30),
)
def test_what_holds_in_each_second_holds_in_the_window(
    seconds: list[Slice], statistic: str, operator: str, value: int
) -> None:
    """The short cut over windows of good seconds is none at the cost of the truth."""
    text = f"{statistic} {operator} {value}us"
    if statistic == "errors":
        text = f"errors {operator} {value * 100 / 30:.3f}%"
    promise = Watched(text, Objective(objective=text).bound)
    if all(promise.holds(second) for second in seconds):
        assert promise.holds(joined(seconds))


# -- kills, again and again ------------------------------------------------------------------------

AGAIN = {**KILL, "duration": "24s", "every": "8s"}
"""Kills half a second after 20 s, 28 s and 36 s; the last one is watched to the end of the run."""


def test_of_many_kills_the_slowest_recovery_counts() -> None:
    """Goal: a later kill is no relapse of the first. Method: bad for 1, 2 and 1 s after each."""
    found = recovery([20, 21, 28, 29, 30, 36, 37], [AGAIN])
    assert (found.start_s, found.end_s) == pytest.approx((28.5, 36.5), abs=1e-3)
    assert found.seconds == pytest.approx(2.5, abs=1e-3)


def test_a_kill_before_whose_recovery_the_next_one_came_goes_on() -> None:
    """Goal: no outage is cut into short pieces. Method: bad from the second kill to 2 s after the
    third.
    """
    found = recovery([*range(28, 39)], [AGAIN])
    assert (found.start_s, found.end_s) == pytest.approx((28.5, 60.0), abs=1e-3)
    assert found.seconds == pytest.approx(10.5, abs=1e-3)


def test_a_service_that_never_recovers_is_unwell_from_the_first_kill() -> None:
    found = recovery(range(20, 60), [AGAIN])
    assert (found.seconds, found.unwell) == (None, True)
    assert (found.start_s, found.watched_s) == pytest.approx((20.5, 39.5), abs=1e-3)


def test_kills_too_close_to_be_seen_apart_are_one() -> None:
    """Goal: an answer in spite of them. Method: a kill every 4 s, ill until 2 s after the last."""
    often = {**KILL, "duration": "12s", "every": "4s"}
    found = recovery(range(20, 31), [often])
    assert found.start_s == pytest.approx(20.5, abs=1e-3)
    assert found.seconds == pytest.approx(10.5, abs=1e-3)


def test_a_kill_cut_off_by_another_fault_does_not_hide_the_others() -> None:
    """Goal: what can be seen is seen. Method: another fault two seconds after the first kill."""
    abort = {**ABORT, "at": "22s", "duration": "4s"}
    found = recovery([36, 37, 38], [AGAIN, abort])
    assert (found.start_s, found.seconds) == pytest.approx((36.5, 2.5), abs=1e-3)
