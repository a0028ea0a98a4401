"""Guards over a live load: when they act, what they say, and what they do without a figure."""

from __future__ import annotations

import pytest
from guarding import come, feed, guard, guards, nobody, paused, row

from runner.analysis.guards import GuardWatch, Look, load_look
from runner.analysis.live import LiveLoad
from runner.model.recording import LoadRow


def mixed(second: int) -> list[LoadRow]:
    """Of 86 requests in each 5 s, 20 are refused."""
    return [row(second, "success", 14 if second % 5 == 4 else 13), row(second, "http_5xx", 4)]


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("traffic < 20/s", "17.2/s"),
        ("errors > 10%", "23.3 %"),
        ("errors > 23.251%", "23.26 %"),  # With 23.3 % it would not look like more.
        ("latency.max > 10ms", "50 ms"),
    ],
)
def test_a_guard_says_what_it_saw_in_units_and_when(text: str, seen: str) -> None:
    """Goal: a reason that can be read. Method: 86 requests in 5 s, 20 of them refused."""
    watched, load = guards(guard(text)), LiveLoad()
    near: dict[int, tuple[str, ...]] = {}
    reasons: list[str | None] = []
    for tenth in range(111):
        if tenth % 10 == 0:
            feed(load, tenth / 10, *mixed(tenth // 10))
        reasons.append(watched.tripped(load, tenth / 10, nobody))
        near[tenth] = watched.near(tenth / 10)
    assert near[79] == ()  # grace 2 s, window 5 s, settling 1 s
    assert near[80] == (f"{text}: 0 of 3 s",)
    assert near[109] == (f"{text}: 3 of 3 s",)
    assert reasons[:-1] == [None] * 110
    assert reasons[-1] == f"{text} held for 3 s (last seen {seen}), at 11.0 s"


def test_a_break_starts_the_clock_anew() -> None:
    """Goal: 'for' is without a break. Method: breaches at 0, 2 and 4 s, well again at 1 s."""
    watch = GuardWatch(guard("errors > 10%"))
    breach = Look(True, "x")
    assert watch.tripped(breach, 0.0) is None
    assert watch.tripped(Look(False), 1.0) is None
    assert watch.tripped(breach, 2.0) is None
    assert watch.tripped(breach, 4.0) is None
    assert watch.tripped(breach, 5.0) == "errors > 10% held for 3 s (x), at 5.0 s"


def test_nothing_to_tell_counts_as_a_breach_by_default() -> None:
    watch = GuardWatch(guard("errors > 10%"))
    nothing = Look(None, "nobody knows")
    assert watch.tripped(nothing, 10.0) is None
    assert watch.tripped(nothing, 13.0) == (
        "errors > 10% counts as breached, with no figure at all for 3 s (nobody knows), at 13.0 s"
    )
    watch.rest()
    assert watch.tripped(nothing, 20.0) is None
    assert watch.tripped(Look(True, "last seen 20 %"), 21.0) is None
    assert watch.tripped(nothing, 23.0) == (
        "errors > 10% held for 3 s (last seen 20 %; since then no figure: nobody knows), at 23.0 s"
    )
    watch.rest()
    assert watch.tripped(nothing, 30.0) is None
    assert watch.tripped(Look(True, "last seen 20 %"), 33.0) == (
        "errors > 10% held for 3 s (last seen 20 %), at 33.0 s"
    )


def test_what_is_ignored_neither_trips_nor_ends_a_breach() -> None:
    """Goal: `ignore` passes over gaps. Method: a breach with a short gap in it, then a long one."""
    watch = GuardWatch(guard("errors > 10%", on_missing="ignore"))
    nothing, breach = Look(None, "away"), Look(True, "20 %")
    for now_s in range(10):
        assert watch.tripped(nothing, float(now_s)) is None
    assert watch.tripped(breach, 10.0) is None
    assert watch.tripped(nothing, 12.5) is None
    reason = watch.tripped(breach, 13.0)
    assert reason == "errors > 10% held for 3 s (20 %), at 13.0 s"
    assert watch.tripped(nothing, 16.5) is None  # Longer than 3 s: nobody knows of the time before.
    assert watch.tripped(breach, 17.0) is None
    assert watch.tripped(breach, 20.0) is not None


ENDPOINTS = ("POST /o", "GET /p", None, "POST /order", "DELETE /z")


def test_a_guard_of_one_endpoint_looks_at_it_alone() -> None:
    """Goal: `of`. Method: one endpoint fails in half of all cases, the other never."""

    def rows(second: int) -> list[LoadRow]:
        bad = [row(second, "success", 5, "POST /o"), row(second, "http_5xx", 5, "POST /o")]
        return [*bad, row(second, "success", 90, "GET /p")]

    load = come(10, rows)
    saw = {of: load_look(guard("errors > 10%", of=of), load, 10.0) for of in ENDPOINTS}
    assert saw == {
        "POST /o": Look(True, "last seen 50 %"),
        "GET /p": Look(False, "last seen 0 %"),
        None: Look(False, "last seen 5 %"),
        "POST /order": Look(
            None, "no request to POST /order has ended in the last 5 s; did you mean POST /o?"
        ),
        "DELETE /z": Look(
            None,
            "no request to DELETE /z has ended in the last 5 s; only to GET /p, POST /o",
        ),
    }


def test_a_window_is_as_long_as_the_guard_says() -> None:
    """Goal: `window`. Method: of ten seconds, all fails in the last two."""
    load = come(10, lambda s: [row(s, "http_5xx" if s >= 8 else "success", 10)])
    for window, seen in {"2s": "100 %", "5s": "40 %", "10s": "20 %"}.items():
        look = load_look(guard("errors > 10%", window=window), load, 10.5)
        assert look == Look(True, f"last seen {seen}")
    watched, load = guards(guard("errors > 10%", window="2s")), LiveLoad()
    for tenth in range(53):
        if tenth % 10 == 0:
            feed(load, tenth / 10, row(tenth // 10, "timeout", 9))
        watched.tripped(load, tenth / 10, nobody)
        if tenth < 50:
            assert watched.near(tenth / 10) == ()  # grace 2 s, window 2 s, settling 1 s
    assert watched.near(5.2) == ("errors > 10%: 0 of 3 s",)


def test_a_window_without_a_success_has_no_latency() -> None:
    load = come(10, lambda s: [row(s, "timeout", 10)])
    assert load_look(guard("latency.p95 > 1s"), load, 10.0) == Look(
        None, "no request has succeeded in the last 5 s, to have a latency"
    )
    assert load_look(guard("errors > 1%"), come(10, lambda _: []), 10.0) == Look(
        None, "no request has ended in the last 5 s"
    )


@pytest.mark.parametrize("text", ["errors > 1%", "latency.p95 > 1s", "traffic < 5/s", "silent"])
def test_a_generator_that_is_not_heard_has_no_figure(text: str) -> None:
    load = come(10, lambda s: [row(s, "success", 10)])
    assert load_look(guard(text), load, 12.5).breached is not None
    assert load_look(guard(text), load, 12.6) == Look(
        None, "the load generator has written nothing since 10.0 s"
    )


def test_what_takes_longer_than_the_window_is_seen_when_it_ends() -> None:
    """Goal: slow failures are failures. Method: half of all requests time out after 10 s.

    By the second of its sending, none of them would ever be in a window of the last 5 s.
    """

    def rows(second: int) -> list[LoadRow]:
        late = [row(second - 10, "timeout", 10)] if second >= 10 else []
        return [row(second, "success", 10), *late]

    load = come(20, rows)
    assert load_look(guard("errors > 20%"), load, 20.0) == Look(True, "last seen 50 %")
    assert load_look(guard("traffic < 30/s"), load, 20.0) == Look(True, "last seen 20/s")


@pytest.mark.parametrize("now_s", [18.05, 18.14, 18.2, 18.35, 18.9, 19.2])
def test_traffic_does_not_depend_on_when_one_looks(now_s: float) -> None:
    """Goal: no trip by jitter. Method: 10/s, in bursts that come 0.1 s to 0.4 s late."""
    load = LiveLoad()
    for second in range(int(now_s - 0.3)):
        at_s = second + 1 + (0.1, 0.4, 0.2)[second % 3]
        since_s = max(0.0, second + (0.1, 0.4, 0.2)[(second - 1) % 3]) if second else 0.0
        feed(load, at_s, row(second, "success", round(1000 * (at_s - since_s))))
    window = load.window(now_s, 5.0)
    assert window.rate_per_s == pytest.approx(1000.0)


def test_a_minute_is_kept_and_no_more() -> None:
    """Goal: flat memory. Method: ten minutes of rows; what is left of them."""
    load = come(600, lambda s: [row(s, "success", 1)])
    assert load.window(600.0, 60.0).requests == 60
    assert (len(load._came), len(load._heard)) == (62, 63)


@pytest.mark.parametrize(("text", "left_s"), [("errors > 10%", 27.0), ("traffic < 1/s", 23.0)])
def test_guards_rest_where_no_load_is_planned(text: str, left_s: float) -> None:
    """Goal: a planned silence is no breach, and its end is not, either.

    Method: nobody runs from 21 to 40 s, and nothing is recorded at all. The errors of the last
    users' requests are told until 27 s; how much traffic there is, only of windows full of load.
    """
    plan = paused()
    watched = guards(guard(text, **{"for": "60s"}), plan=plan)
    for tenth in range(80, int(left_s * 10)):
        assert watched.tripped(LiveLoad(), tenth / 10, nobody) is None
        assert watched.near(tenth / 10) != (), tenth
    for tenth in range(int(left_s * 10), 410):
        assert watched.tripped(LiveLoad(), tenth / 10, nobody) is None
        assert watched.near(tenth / 10) == (), tenth


def test_a_figure_is_worked_out_when_something_is_new() -> None:
    """Goal: ten looks in a second cost one. Method: the very same look, or another."""
    load, watch = come(10, lambda s: [row(s, "success", 10)]), GuardWatch(guard("errors > 1%"))
    first = watch.look(load, 10.0)
    assert watch.look(load, 10.9) is first
    assert watch.look(load, 11.0) is not first
    before = watch.look(load, 11.1)
    feed(load, 11.2, row(11, "http_5xx", 40))
    assert before == Look(False, "last seen 0 %")
    assert watch.look(load, 11.2) == Look(True, "last seen 50 %")
