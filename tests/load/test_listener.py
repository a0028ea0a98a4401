"""What a request is booked as: in which second, from when on, and with how many figures."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hall import Listener, LoadClock, opened

from runner.load.recorder import Batch, Recorder
from runner.model.histogram import bucket_of

STARTED_WALL_S = 1_700_000_000.0


def listener(recorder: Recorder, *, open_model: bool) -> Listener:
    clock = LoadClock()
    clock.started_wall_s = STARTED_WALL_S
    return Listener(recorder, clock, open_model=open_model)


def ask(hears: Listener, at_s: float, took_ms: Any, **more: Any) -> None:
    more.setdefault("start_time", STARTED_WALL_S + at_s)
    hears.on_request(request_type="GET", name="/a", response_time=took_ms, **more)


def test_the_closed_model_books_a_request_when_it_was_sent() -> None:
    recorder = Recorder()
    hears = listener(recorder, open_model=False)
    ask(hears, 3.9, 250.0)
    ask(hears, -0.5, 1.0)  # on_start, before offset 0
    assert recorder.drain() == Batch(
        {
            (3, "GET /a", "success"): {bucket_of(250_000): 1},
            (0, "GET /a", "success"): {bucket_of(1000): 1},
        }
    )


def test_the_first_request_of_an_arrival_counts_from_when_it_was_due() -> None:
    """Goal: response and service time. Method: due at 1.9 s, started 0.2 s late; two requests."""

    def task(user: Any) -> None:
        ask(user.hears, 2.1, 50.0)
        ask(user.hears, 2.2, 70.0)

    with opened(task) as one:
        one.kind.hears = listener(one.recorder, open_model=True)
        one.warm(1)
        one.arrive(1.9, late_s=0.2)
        batch = one.recorder.drain()
    late, quick = bucket_of(250_000), bucket_of(50_000)
    assert batch.rows == {
        (1, "GET /a", "success"): {late: 1},
        (2, "GET /a", "success"): {bucket_of(70_000): 1},
    }
    assert batch.service == {
        (1, "GET /a", "success"): {quick: 1},
        (2, "GET /a", "success"): {bucket_of(70_000): 1},
    }


def test_a_request_outside_of_an_arrival_counts_from_its_send() -> None:
    recorder = Recorder()
    ask(listener(recorder, open_model=True), 2.5, 30.0)
    batch = recorder.drain()
    assert batch.rows == batch.service == {(2, "GET /a", "success"): {bucket_of(30_000): 1}}


def test_a_failure_keeps_its_time_and_says_why() -> None:
    """Goal: failures never sweeten latency. Method: it is a row of its own outcome."""
    recorder = Recorder()
    ask(listener(recorder, open_model=False), 0.0, 4000.0, exception=TimeoutError("too long"))
    batch = recorder.drain()
    assert batch.rows == {(0, "GET /a", "timeout"): {bucket_of(4_000_000): 1}}
    assert batch.failures == {("GET /a", "timeout", "TimeoutError: too long"): 1}


@pytest.mark.parametrize("odd", [None, math.nan, math.inf, "12"])
def test_a_request_without_a_time_is_told_once_and_breaks_nothing(odd: Any) -> None:
    """Clients of all kinds fire the event, with whatever they have."""
    recorder = Recorder()
    hears = listener(recorder, open_model=False)
    ask(hears, 0.0, odd)
    ask(hears, 0.0, odd)
    assert recorder.drain() == Batch()
    (note,) = hears.news()
    assert note == (
        "requests without a response time (None) are not recorded"
        if odd is None
        else "requests whose response time is not a finite number are not recorded"
    )
    assert hears.news() == ()


def test_the_authors_mistakes_are_failures_of_the_users_own_code() -> None:
    recorder = Recorder()
    hears = listener(recorder, open_model=False)
    hears.on_user_error(exception=KeyError("price of 12"))
    assert recorder.drain().failures == {("(user code)", "error", "KeyError: 'price of N'"): 1}
