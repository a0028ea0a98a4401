"""When a fault's flags are expected, and when they must not be seen any more."""

from __future__ import annotations

from history import plan_with_abort

from runner.signals.flags import grace_s, late_windows, planned_window

ABORT = {"kind": "http-abort", "service": "payment-api", "status": 503}
DELAY = {"kind": "http-delay", "service": "payment-api", "delay": "5s"}


def faults(*documents: dict[str, object]) -> list[dict[str, object]]:
    return list(documents)


def test_grace_includes_the_delay() -> None:
    """A request delayed at the last moment is counted when it ends."""
    plan = plan_with_abort(
        faults=faults(
            {**ABORT, "at": "20s", "duration": "10s"}, {**DELAY, "at": "40s", "duration": "10s"}
        )
    )
    assert [grace_s(fault) for fault in plan.faults] == [3.0, 8.0]
    assert planned_window(plan.faults[1], 120.0) == (40.0, 58.0)
    assert planned_window(plan.faults[1], 52.0) == (40.0, 52.0)
    assert planned_window(plan.faults[1], 30.0) is None


def test_late_windows_leave_out_faults_that_look_the_same() -> None:
    """Two aborts of one service share their flag; one of another service or kind does not."""
    plan = plan_with_abort(
        faults=faults(
            {**ABORT, "at": "20s", "duration": "10s"},
            {**ABORT, "at": "50s", "duration": "10s"},
            {**DELAY, "at": "70s", "duration": "10s"},
            {**ABORT, "at": "90s", "duration": "10s", "service": "order-api"},
        )
    )
    first, second, third, fourth = plan.faults
    assert late_windows(plan, first, 120.0) == ((33.0, 50.0), (63.0, 120.0))
    assert late_windows(plan, second, 120.0) == ((63.0, 120.0),)
    assert late_windows(plan, third, 120.0) == ((88.0, 120.0),)
    assert late_windows(plan, fourth, 120.0) == ((103.0, 120.0),)
    assert late_windows(plan, fourth, 102.0) == ()
