"""Guards over a live load: when they act, what they say, and what they do without a figure."""

from __future__ import annotations

from collections.abc import Callable

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


def mixed() -> LiveLoad:
    """Of 86 requests in each 5 s, 20 are refused."""
    load = LiveLoad()
    for second, (good, bad) in enumerate([(13, 4), (13, 4), (13, 4), (13, 4), (14, 4)] * 3):
        load.add([row(second, "success", good), row(second, "http_5xx", bad)], [(second, 9)])
    return load


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("traffic < 20/s", "17.2/s"),
        ("errors > 10%", "23.3 %"),
        ("errors > 23.251%", "23.26 %"),  # Not 23.3: that would look like more than it is.
        ("latency.max > 10ms", "50 ms"),
    ],
)
def test_a_guard_says_what_it_saw_in_units_and_when(text: str, seen: str) -> None:
    """Goal: a reason that can be read. Method: 86 requests in 5 s, 20 of them refused."""
    load, watched = mixed(), guards(guard(text))
    assert watched.tripped(load, 7.9, nobody) is None  # grace 2 s, window 5 s, settling 1 s
    assert watched.near(7.9) == ()
    assert watched.tripped(load, 8.0, nobody) is None
    assert watched.tripped(load, 10.9, nobody) is None
    assert watched.near(10.9) == (f"{text}: 3 of 3 s",)
    reason = watched.tripped(load, 11.0, nobody)
    assert reason == f"{text} held for 3 s (last seen {seen}), at 11.0 s"


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
    assert watch.tripped(Look(None, "nobody knows"), 10.0) is None
    assert watch.tripped(Look(True, "20 %"), 12.0) is None
    assert watch.tripped(Look(None, "nobody knows"), 13.0) == (
        "errors > 10% counts as breached, with no figure at all for 3 s (nobody knows), at 13.0 s"
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


def test_a_guard_of_one_endpoint_looks_at_it_alone() -> None:
    """Goal: `of`. Method: one endpoint fails in half of all cases, the other never."""
    load = LiveLoad()
    for second in range(10):
        bad = [row(second, "success", 5, "POST /o"), row(second, "http_5xx", 5, "POST /o")]
        load.add([*bad, row(second, "success", 90, "GET /p")], [(second, 9)])
    saw = {of: load_look(guard("errors > 10%", of=of), load, 9.0) for of in ("POST /o", "GET /p")}
    assert saw["POST /o"] == Look(True, "last seen 50 %")
    assert saw["GET /p"] == Look(False, "last seen 0 %")
    assert load_look(guard("errors > 10%"), load, 9.0) == Look(False, "last seen 5 %")
    assert load_look(guard("errors > 10%", of="POST /order"), load, 9.0) == Look(
        None, "no request to POST /order in the last 5 s; did you mean POST /o?"
    )


def test_a_window_is_as_long_as_the_guard_says() -> None:
    """Goal: `window`. Method: all fails in seconds 8 and 9 of ten; it is told at 11 s."""
    load = LiveLoad()
    for second in range(10):
        load.add([row(second, "http_5xx" if second >= 8 else "success", 10)], [(second, 9)])
    windows = {"2s": "100 %", "5s": "40 %", "10s": "20 %"}
    for window, seen in windows.items():
        look = load_look(guard("errors > 10%", window=window), load, 11.0)
        assert look == Look(True, f"last seen {seen}")
    watched = guards(guard("errors > 10%", window="2s"))
    assert watched.tripped(load, 4.9, nobody) is None
    assert watched.near(4.9) == ()  # grace 2 s, window 2 s, settling 1 s


def test_a_window_without_a_success_has_no_latency() -> None:
    load = LiveLoad()
    for second in range(10):
        load.add([row(second, "timeout", 10)], [(second, 9)])
    assert load_look(guard("latency.p95 > 1s"), load, 8.0) == Look(
        None, "no request of the last 5 s succeeded, to have a latency"
    )
    assert load_look(guard("errors > 1%"), LiveLoad(), 8.0) == Look(
        None, "no request of the last 5 s has ended"
    )


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


def feed(watched: Guards, at_s: float, *rows: LoadRow) -> None:
    watched.answers.add(rows, [(int(at_s), 10)], at_s)


def follow(watched: Guards, until_s: float, rows: Callable[[int], list[LoadRow]]) -> str | None:
    """The reason of the first trip, when the generator writes ``rows`` at each whole second."""
    for tenth in range(int(until_s * 10)):
        now_s = tenth / 10
        if tenth % 10 == 0:
            feed(watched, now_s, *rows(tenth // 10))
        if reason := watched.tripped(LiveLoad(), now_s, nobody):
            return reason
    return None


def test_a_target_that_answers_nothing_is_silent() -> None:
    """Goal: errors without an answer are silence. Method: nothing but timeouts from 12 s on."""
    watched = silent()
    reason = follow(watched, 30, lambda s: [row(s, "success" if s < 12 else "timeout", 5)])
    # The last answer at 11 s, 1 s in which it may be under way to us, 3 s of silence.
    assert reason == (
        "silent held for 3 s (the last answer came at 11.0 s; 20 requests ended without one "
        "since), at 15.1 s"
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
    for on_missing, tripped in (("abort", True), ("ignore", False)):
        watched = guards(guard("silent", on_missing=on_missing))
        feed(watched, 12.0, row(11, "success", 5))
        reasons = [watched.tripped(LiveLoad(), 12 + tenth / 10, nobody) for tenth in range(90)]
        assert any(reasons) == tripped
    feed(watched := silent(), 12.0, row(11, "success", 5))
    reasons = [watched.tripped(LiveLoad(), 12 + tenth / 10, nobody) for tenth in range(90)]
    assert next(filter(None, reasons)) == (
        "silent counts as breached, with no figure at all for 3 s (the load generator has written "
        "nothing since 12.0 s), at 16.1 s"
    )


# -- queries ---------------------------------------------------------------------------------------


def query(promql: str, text: str = "> 5", **more: object) -> Guard:
    return guard(text, promql=promql, **more)


class Source:
    """A signal source that is asked and says what it is told to."""

    def __init__(self, say: Callable[[str], Reading]) -> None:
        self.say = say
        self.asked: list[tuple[float, str]] = []
        self.now_s = 0.0

    def __call__(self, promql: str) -> Reading:
        self.asked.append((self.now_s, promql))
        return self.say(promql)

    def follow(self, watched: Guards, until_s: float) -> str | None:
        for tenth in range(int(until_s * 10)):
            self.now_s = tenth / 10
            if reason := watched.tripped(LiveLoad(), self.now_s, self):
                return reason
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
    source.follow(guards(query("a"), query("b"), query("c")), 5)
    assert source.asked == [
        *((2.0, "a"), (2.1, "b"), (2.2, "c")),
        *((4.0, "a"), (4.1, "b"), (4.2, "c")),
    ]


def test_a_source_that_is_away_is_asked_once_for_all() -> None:
    """Goal: three guards wait no longer than one. Method: nobody answers; two of them mind."""
    source = Source(lambda _: Reading("unreachable", why="no answer within 1 s"))
    watched = guards(query("a", on_missing="ignore"), query("b"), query("c"))
    reason = source.follow(watched, 30)
    assert [now_s for now_s, _ in source.asked] == [2.0, 4.0, 6.0]
    assert reason == (
        "b > 5 counts as breached, with no figure at all for 3 s (no answer within 1 s), at 6.0 s"
    )


def test_an_empty_answer_is_told_of_one_query_only() -> None:
    """Goal: one blind guard blinds no other. Method: one of two queries finds nothing."""
    source = Source(lambda q: Reading("empty", why="empty") if q == "a" else number(1.0))
    watched = guards(query("a", on_missing="ignore"), query("b"))
    assert source.follow(watched, 30) is None
    assert {q for _, q in source.asked} == {"a", "b"}


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
