"""Guards over what Prometheus says: when it is asked, what counts, and what no answer means."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest
from guarding import guard, guards, paused

from runner.analysis.guards import Guards, Look, reading_look
from runner.analysis.live import LiveLoad
from runner.model.guard import Guard, Reading, parse_threshold


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


def test_a_guard_that_waits_for_its_next_answer_is_not_over_time() -> None:
    """Goal: no "4 of 3 s". Method: a breach at 2 s, and the next question only at 4.2 s."""
    source = Source(lambda _: number(9.0), takes_s=1.0)
    watched = guards(query("a", **{"for": "1s"}), query("b", **{"for": "1s"}))
    assert source.follow(watched, 4.1) is None
    assert watched.near(source.now_s)[0] == "a > 5: 1 of 1 s"


def test_what_held_before_a_pause_does_not_go_on_after_it() -> None:
    """Goal: a break is a break. Method: beyond the bound from 18 s to 20 s and from 40 s on, with a
    guard of 4 s; in between nobody sends, and the answer is empty.
    """

    def say(_: str) -> Reading:
        bad = 18 <= source.now_s < 20 or source.now_s >= 40
        paused_now = 20 <= source.now_s < 40
        return Reading("empty", why="nothing") if paused_now else number(9.0 if bad else 1.0)

    source = Source(say)
    reason = source.follow(guards(query("m", **{"for": "4s"}), plan=paused()), 60)
    assert reason is not None
    assert reason.endswith("held for 4 s (last seen 9), at 44.0 s")
