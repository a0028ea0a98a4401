"""Arrivals of a running load, as the terminal shows them."""

from __future__ import annotations

from runner.analysis.livearrivals import LiveArrivals
from runner.model.recording import ArrivalSecond


def test_totals_and_in_flight() -> None:
    live = LiveArrivals()
    live.add([(0, ArrivalSecond(10, 8, 2, 1, 3)), (1, ArrivalSecond(10, 9, 0, 2, 4))])
    live.add([(1, ArrivalSecond(completed=5))])
    assert (live.offered, live.started, live.dropped, live.completed) == (20, 17, 3, 12)
    assert live.in_flight == 5
    live.add([(2, ArrivalSecond(completed=9))])  # a worker's starts were lost
    assert live.in_flight == 0


def test_the_rate_is_that_of_whole_seconds_that_are_written() -> None:
    """Goal: no dip while the newest second is being written. Method: 100 a second, then 200."""
    live = LiveArrivals()
    live.add((second, ArrivalSecond(started=100)) for second in range(10))
    live.add([(10, ArrivalSecond(started=200))])
    assert live.rate_per_s(1.5) == 0
    assert live.rate_per_s(2.0) == 100
    assert live.rate_per_s(10.9) == 100
    assert live.rate_per_s(12.0) == 120
    assert live.rate_per_s(30.0) == 0


def test_what_is_old_is_forgotten() -> None:
    live = LiveArrivals()
    for second in range(500):
        live.add([(second, ArrivalSecond(started=1))])
    assert min(live._started) == 439
    assert live.started == 500
