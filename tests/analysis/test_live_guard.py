"""Guards over a live load: when they act, what they say, and what they do without a figure."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest
from builders import plan_of

from runner.analysis.guards import Guards, GuardWatch, Look, load_look, reading_look
from runner.analysis.live import LiveLoad
from runner.model.experiment import Experiment
from runner.model.guard import Guard, Reading, parse_threshold
from runner.model.histogram import bucket_of
from runner.model.plan import Plan, make_plan
from runner.model.recording import LoadRow

QUICK = {"for": "3s", "grace": "2s"}


def guard(text: str, **more: object) -> Guard:
    return Guard.model_validate({"abort_when": text, **QUICK, **more})


def guards(*all_of_them: Guard, plan: Plan | None = None) -> Guards:
    plan = plan or plan_of("errors < 1%")
    experiment = plan.experiment.model_copy(update={"guards": all_of_them})
    return Guards.of(plan.model_copy(update={"experiment": experiment}))


def row(second: int, outcome: str, number: int, endpoint: str = "GET /") -> LoadRow:
    return LoadRow(second, endpoint, outcome, {bucket_of(50_000): number})


def nobody(promql: str) -> Reading:
    raise AssertionError(f"nobody should ask {promql}")


def feed(load: LiveLoad, at_s: float, *rows: LoadRow) -> None:
    """What the generator writes at once, with a line on its users."""
    load.add(rows, [(int(at_s), 9)], at_s)


def come(seconds: int, rows: Callable[[int], list[LoadRow]]) -> LiveLoad:
    """LiveLoad of so many seconds, each in a burst at its end."""
    load = LiveLoad()
    for second in range(seconds):
        feed(load, second + 1.0, *rows(second))
    return load


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


STAGES = [
    {"duration": "20s", "users": 10},
    {"duration": "20s", "users": 0},
    {"duration": "20s", "users": 10},
]


def paused() -> Plan:
    """20 s of load, 20 s without, 20 s of load."""
    load = {"locustfile": "shop.py", "stages": STAGES}
    asked = {"name": "x", "description": "?", "load": load, "objectives": ["errors < 1%"]}
    return make_plan(Experiment.model_validate(asked))


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


# -- silence ---------------------------------------------------------------------------------------


def silent(for_s: int = 3, grace: str = "2s", plan: Plan | None = None) -> Guards:
    return guards(guard("silent", **{"for": f"{for_s}s"}, grace=grace), plan=plan)


def follow(watched: Guards, until_s: float, rows: Callable[[int], list[LoadRow]]) -> str | None:
    """The reason of the first trip, when the generator writes ``rows`` at each whole second."""
    load = LiveLoad()
    for tenth in range(int(until_s * 10)):
        now_s = tenth / 10
        if tenth % 10 == 0:
            feed(load, now_s, *rows(tenth // 10))
        if reason := watched.tripped(load, now_s, nobody):
            return reason
    return None


def test_a_target_that_answers_nothing_is_silent() -> None:
    """Goal: errors without an answer are silence. Method: nothing but timeouts from 12 s on."""
    watched = silent()
    reason = follow(watched, 30, lambda s: [row(s, "success" if s < 12 else "timeout", 5)])
    # The last answer at 11 s, 1.5 s in which it may be under way to us, 3 s of silence.
    assert reason == (
        "silent held for 3 s (the last answer came at 11.0 s; 20 requests ended without one "
        "since), at 15.6 s"
    )


@pytest.mark.parametrize("outcome", ["success", "http_4xx", "http_5xx"])
def test_whoever_answers_is_not_silent(outcome: str) -> None:
    """Goal: a refusal is an answer. Method: one among a hundred that have none."""
    rows = ["timeout", "connection", outcome, "error"]
    assert follow(silent(), 30, lambda s: [row(s, one, 33) for one in rows]) is None


def test_an_answer_counts_when_it_comes_in() -> None:
    """Goal: slow is not silent. Method: each second's requests are answered 8 s later.

    Until the first answer, after 8 s, the target is silent as far as anybody knows.
    """

    def late(second: int) -> list[LoadRow]:
        return [row(second - 8, "success", 5)] if second >= 8 else []

    assert follow(silent(10, grace="0s"), 50, late) is None
    reason = follow(silent(3), 50, late)
    assert reason == (
        "silent held for 3 s (no answer at all; no request has ended since), at 5.0 s"
    )


def test_bursts_that_are_further_apart_than_the_patience_are_silence() -> None:
    """Goal: what 'for' must cover. Method: all users wait 8 s for answers that come together."""
    answers = lambda s: [row(s - 8, "success", 50)] if s % 8 == 0 else []  # noqa: E731
    assert follow(silent(8), 50, answers) is None
    assert follow(silent(5, grace="10s"), 50, answers) is not None


def test_nobody_is_silent_who_is_not_asked() -> None:
    """Goal: no false alarm in a planned pause, nor at its end; a true one after it."""
    plan = paused()
    reason = follow(silent(plan=plan), 60, lambda s: [row(s, "success", 5)] if s < 20 else [])
    # Users are planned again from 40 s on, and the first one is there 0.1 s later.
    assert reason == (
        "silent held for 3 s (the last answer came at 19.0 s; no request has ended since), "
        "at 43.1 s"
    )


def test_a_generator_that_writes_nothing_says_nothing_of_the_target() -> None:
    """Goal: the right culprit, and `ignore`. Method: its last line is of second 12."""
    load = LiveLoad()
    feed(load, 12.0, row(11, "success", 5))
    said: dict[str, str | None] = {}
    for on_missing in ("abort", "ignore"):
        watched = guards(guard("silent", on_missing=on_missing))
        reasons = [watched.tripped(load, 12 + tenth / 10, nobody) for tenth in range(90)]
        said[on_missing] = next(filter(None, reasons), None)
    assert said == {
        "abort": "silent held for 3 s (the last answer came at 12.0 s; no request has ended since; "
        "since then no figure: the load generator has written nothing since 12.0 s), at 16.6 s",
        "ignore": None,
    }


# -- queries ---------------------------------------------------------------------------------------


def query(promql: str, text: str = "> 5", **more: object) -> Guard:
    return guard(text, promql=promql, **more)


class Source:
    """A signal source that says what it is told to, and the loop that asks it each 0.1 s.

    Attributes:
        takes_s: How long it takes for an answer.
        asked: When it was asked what.
    """

    def __init__(self, say: Callable[[str], Reading], takes_s: float = 0.0) -> None:
        self.say = say
        self.takes_s = takes_s
        self.asked: list[tuple[float, str]] = []
        self.now_s = 0.0

    def __call__(self, promql: str) -> Reading:
        self.asked.append((round(self.now_s, 1), promql))
        self.now_s += self.takes_s
        return self.say(promql)

    def follow(self, watched: Guards, until_s: float) -> str | None:
        while self.now_s < until_s:
            if reason := watched.tripped(LiveLoad(), self.now_s, self):
                return reason
            self.now_s = round(self.now_s + 0.1, 3)
        return None


def number(value: float) -> Reading:
    return Reading("ok", (("", value),))


def test_a_query_is_asked_every_two_seconds_after_the_grace() -> None:
    """Goal: Prometheus is not flooded. Method: note each question in 10 s; grace is 2 s."""
    source = Source(lambda _: number(1.0))
    assert source.follow(guards(query("m")), 10) is None
    assert [now_s for now_s, _ in source.asked] == [2.0, 4.0, 6.0, 8.0]


def test_a_query_whose_answer_stays_beyond_the_bound_trips() -> None:
    source = Source(lambda _: number(7.25))
    reason = source.follow(guards(query("sum(\n  m\n)")), 30)
    assert reason == "sum( m ) > 5 held for 3 s (last seen 7.25), at 6.0 s"


def test_one_question_at_a_time() -> None:
    """Goal: the loop is held up once only. Method: three guards that are due at the same time."""
    source = Source(lambda _: number(1.0))
    source.follow(guards(query("a"), query("b"), query("c")), 4.95)
    times, asked = zip(*source.asked, strict=True)
    assert asked == ("a", "b", "c") * 2
    assert times == pytest.approx((2.0, 2.2, 2.4, 4.0, 4.2, 4.4), abs=0.21)
    assert len(set(times)) == 6


def test_a_slow_source_holds_the_loop_up_for_half_of_its_time() -> None:
    """Goal: bounded with any number of guards. Method: five of them, and a second per answer."""
    source = Source(lambda _: number(1.0), takes_s=1.0)
    source.follow(guards(*(query(name) for name in "abcde")), 62)
    times, asked = zip(*source.asked, strict=True)
    gaps = [after - before for before, after in pairwise(times)]
    assert min(gaps) >= 2.0
    assert max(gaps) <= 2.4
    assert asked[:10] == tuple("abcdeabcde")  # In turns.


def test_a_guard_is_blind_by_its_own_query_only() -> None:
    """Goal: no trip for another's slow query. Method: one of two never gets an answer."""

    def say(promql: str) -> Reading:
        return Reading("unreachable", why="late") if promql == "a" else number(1.0)

    source = Source(say, takes_s=1.0)
    assert source.follow(guards(query("a", on_missing="ignore"), query("b")), 60) is None
    reason = Source(say, takes_s=1.0).follow(guards(query("b"), query("a")), 60)
    assert reason is not None
    assert reason.startswith("a > 5 counts as breached, with no figure at all for 3 s (late), at ")


def test_no_figure_is_no_breach_where_nobody_sends() -> None:
    """Goal: rates of nothing are nothing. Method: no answer in a planned pause from 20 to 40 s."""
    plan = paused()
    for missing, at_s in (("empty", 43.0), ("ok", 23.0)):
        source = Source(lambda _: number(1.0))

        def say(_: str, source: Source = source, missing: str = missing) -> Reading:
            if source.now_s < 19:
                return number(1.0)
            return number(9.0) if missing == "ok" else Reading("empty", why="empty")

        source.say = say
        reason = source.follow(guards(query("a", grace="1s"), plan=plan), 60)
        assert reason is not None
        assert float(reason.removesuffix(" s").rsplit(" ", 1)[1]) == pytest.approx(at_s, abs=2.1)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("> 5", Look(True, "last seen 9, the worst of 3, of pod=b")),
        ("< 5", Look(True, "last seen 1, the worst of 3, of pod=a")),
        ("> 10", Look(False, "last seen 9, the worst of 3, of pod=b")),
    ],
)
def test_of_several_series_the_worst_counts(text: str, expected: Look) -> None:
    values = (("pod=a", 1.0), ("pod=b", 9.0), ("", 4.0))
    assert reading_look(parse_threshold(text), Reading("ok", values)) == expected


@pytest.mark.parametrize(
    ("text", "value", "saw"),
    [
        ("> 60%", 0.723, "last seen 72.3 %"),
        ("> 500ms", 1.25, "last seen 1.25 s"),
        ("> 10/s", 12.5, "last seen 12.5/s"),
        ("> 5", float("inf"), "last seen infinite"),
    ],
)
def test_a_query_is_told_in_the_unit_of_its_bound(text: str, value: float, saw: str) -> None:
    assert reading_look(parse_threshold(text), number(value)) == Look(True, saw)
