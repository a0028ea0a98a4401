"""Objectives with ``for``: only a break that goes on for so long is a miss."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from builders import ORDERS, PRODUCTS, row
from hypothesis import example, given
from hypothesis import strategies as st
from judging import judged

from runner.analysis.sustained import sustained
from runner.analysis.windows import Slice
from runner.model.bound import parse_bound
from runner.model.evaluation import Finding, Verdict
from runner.model.histogram import bucket_of
from runner.model.recording import LoadRow

ERRORS = parse_bound("errors < 10%")


def second(failed: int | None) -> Slice:
    """A second with 10 requests, of which some failed; None for a second without any."""
    if failed is None:
        return Slice(1.0, {}, {})
    outcomes = {"success": 10 - failed, "http_5xx": failed}
    return Slice(1.0, {name: n for name, n in outcomes.items() if n}, {})


def seconds(text: str) -> list[Slice]:
    """``.`` is well, a digit is so many failures of ten, ``_`` is a second without requests."""
    return [second({".": 0, "_": None}[one] if one in "._" else int(one)) for one in text]


@pytest.mark.parametrize(
    ("text", "length", "missed", "longest", "hole"),
    [
        ("..22..", 3, None, 2, None),
        ("..222..", 3, (2, 5, 3), 3, None),
        ("22.22", 3, None, 2, None),
        ("22_2..", 3, (0, 4, 3), 3, None),  # An empty second is passed over.
        ("22__2.", 3, (0, 5, 3), 3, None),
        ("2_2...", 3, None, 2, None),
        ("22___2", 3, None, 2, (2, 5)),  # Across a hole nothing can be said.
        ("222___", 3, (0, 3, 3), 3, (3, 6)),
        ("333..222", 3, (0, 3, 3), 3, None),  # The worse of two.
        ("222..333", 3, (5, 8, 3), 3, None),
        ("......", 3, None, 0, None),
    ],
)
def test_a_break_counts_from_its_length_on(
    text: str,
    length: int,
    missed: tuple[int, int, int] | None,
    longest: int,
    hole: tuple[int, int] | None,
) -> None:
    found = sustained(seconds(text), ERRORS, length)
    worst = found.missed
    assert (worst and (worst.start, worst.stop, worst.broken)) == missed
    assert (found.longest, found.hole) == (longest, hole)


def test_the_worst_stretch_is_found_where_nothing_was_missed() -> None:
    """2 of 10, then 3 of 10, then none: the two seconds with most failures, 25 %."""
    found = sustained(seconds("..23.."), ERRORS, 2).nearest
    assert found is not None
    assert (found.start, found.stop, found.broken, found.observed) == (2, 4, 2, 0.25)


def test_seconds_without_requests_make_no_stretch_better_or_worse() -> None:
    """A second with 3 of 10 and two empty ones: 30 %, where the others come to 17 % at most."""
    found = sustained(seconds("22.3__.."), ERRORS, 3).nearest
    assert found is not None
    assert (found.start, found.stop, found.broken, found.observed) == (3, 6, 1, 0.3)


@given(st.lists(st.integers(0, 10), max_size=30), st.integers(1, 8))
def test_what_holds_in_each_second_is_never_missed(failed: list[int], length: int) -> None:
    """Also: a miss is as long as asked for, and beyond the bound over all of its requests."""
    found = sustained([second(one) for one in failed], ERRORS, length)
    broken = [one for one in failed if one >= 1]
    if not broken:
        assert found.missed is None
    if found.missed is not None:
        assert found.missed.broken >= length
        assert found.missed.observed is not None
        assert not ERRORS.holds(found.missed.observed)


@given(st.lists(st.one_of(st.none(), st.integers(0, 10)), max_size=30), st.integers(1, 8))
@example([1, 1, 1, 1, None, None, None, None, None, 1, 1], 5)  # The gap is a hole of 5 s, not of 6.
def test_a_longer_time_is_never_missed_sooner(failed: list[int | None], length: int) -> None:
    """Where it is missed, a shorter one is missed, too, or has a hole: it is never passed."""
    whole = [second(one) for one in failed]
    if sustained(whole, ERRORS, length + 1).missed is not None:
        shorter = sustained(whole, ERRORS, length)
        assert shorter.missed is not None or shorter.hole is not None


@given(st.lists(st.integers(1, 400), min_size=1, max_size=12))
def test_a_sustained_quantile_is_beyond_the_bound_as_a_whole(latencies: list[int]) -> None:
    """Goal: observed never contradicts the verdict. Method: latencies of one request a second."""
    bound = parse_bound("latency.p95 < 100ms")
    whole = [Slice(1.0, {"success": 1}, {bucket_of(ms * 1000): 1}) for ms in latencies]
    missed = sustained(whole, bound, 3).missed
    if missed is not None:
        assert missed.observed is not None
        assert not bound.holds(missed.observed)


# -- the finding -----------------------------------------------------------------------------------


def found(bad: range, *, silent: range = range(0), **keys: Any) -> Finding:
    """An objective for 5 s, when half of the orders fail in some seconds; a fault from 20 to 30."""

    def rows(at: int) -> Sequence[LoadRow]:
        good = row(at, endpoint=PRODUCTS)
        if at in silent:
            return (good,)
        failed = [row(at, 50, outcome="http_5xx")] if at in bad else []
        return (good, row(at), *failed)

    objective = {"objective": "errors < 10%", "for": "5s", "during": "fault", "of": ORDERS}
    return judged({**objective, **keys}, rows)


def test_a_break_of_so_long_is_a_miss() -> None:
    finding = found(range(22, 28))
    assert (finding.verdict, finding.observed, finding.samples) == (Verdict.FAIL, 0.5, 800.0)
    assert finding.margin_ratio == pytest.approx(-4.0)
    assert finding.reason == (
        "The share of failed requests was 50 % over the 6 s from 22s on (fault 01-http-abort, "
        f"{ORDERS}), and in every second of them beyond the bound of 10 %; less than 5 s of that "
        "was allowed."
    )


def test_a_shorter_break_is_none_and_is_told() -> None:
    """Three seconds of 50 % are 37.5 % over the worst 5 s: beyond the bound, and no miss."""
    finding = found(range(22, 25))
    assert (finding.verdict, finding.margin_ratio) == (Verdict.PASS, None)
    assert finding.observed == pytest.approx(150 / 400)
    assert "beyond the bound of 10 % for at most 3 s on end" in finding.reason
    assert "less than the 5 s that are a miss" in finding.reason
    calm = found(range(0))
    assert (calm.verdict, calm.observed) == (Verdict.PASS, 0.0)
    assert "never beyond the bound of 10 %, not for a second" in calm.reason


def test_a_hole_proves_nothing_unless_it_was_missed_beside_it() -> None:
    finding = found(range(0), silent=range(24, 29))
    assert finding.verdict is Verdict.INCONCLUSIVE
    assert "no request succeeded for 5 s from 24s on" in finding.reason
    assert found(range(0), silent=range(24, 28)).verdict is Verdict.PASS
    assert found(range(20, 25), silent=range(25, 30)).verdict is Verdict.FAIL
    assert found(range(0), silent=range(24, 29), on_missing="fail").verdict is Verdict.FAIL


def test_a_phase_shorter_than_that_proves_nothing() -> None:
    longer: dict[str, Any] = {"for": "11s"}
    finding = found(range(0), **longer)
    assert finding.verdict is Verdict.INCONCLUSIVE
    assert "it lasts 10 s, shorter than the 11 s" in finding.reason
    as_long: dict[str, Any] = {"for": "10s"}
    assert found(range(0), **as_long).verdict is Verdict.PASS
    assert found(range(20, 30), **as_long).verdict is Verdict.FAIL


def test_a_sustained_bound_may_be_relative() -> None:
    """The baseline has no failure: 10 points more are 10 %, and the sentence says of what."""
    finding = found(range(22, 28), objective="errors <= baseline + 10pp")
    assert (finding.verdict, finding.observed, finding.bound) == (Verdict.FAIL, 0.5, 0.1)
    assert "beyond the bound of 10 % (the baseline's was 0 %); less than 5 s" in finding.reason
    calm = found(range(0), objective="errors <= baseline + 10pp")
    assert calm.verdict is Verdict.PASS
    assert "never beyond the bound of 10 % (the baseline's was 0 %), not for" in calm.reason


def test_a_sustained_warning() -> None:
    finding = found(range(22, 28), objective="errors < 60%", warn="40%")
    assert (finding.verdict, finding.observed) == (Verdict.WARN, 0.5)
    assert "in every second of them past the warning at 40 %" in finding.reason


def test_too_few_requests_are_no_evidence() -> None:
    assert found(range(0), at_least=501).verdict is Verdict.INCONCLUSIVE
    assert found(range(0), at_least=500).verdict is Verdict.PASS
