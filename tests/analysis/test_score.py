"""How weights add up: halves, keys, what has no evidence, and that none of it makes a pass."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.analysis.score import by_score, score_figures, score_said
from runner.model.evaluation import Finding, Verdict
from runner.model.score import ScoreRule

PASS, WARN, INCONCLUSIVE, FAIL = Verdict
RULE = ScoreRule.model_validate({"pass": 90.0, "warn": 75.0})
Judged = tuple[Verdict, float] | tuple[Verdict, float, bool]


def finding(verdict: Verdict, weight: float = 1.0, key: bool = False) -> Finding:
    return Finding(
        kind="objective",
        check="objective",
        title="t",
        verdict=verdict,
        reason="r",
        weight=weight,
        key=key,
    )


def verdict_of(*judged: Judged) -> tuple[Verdict, float]:
    findings = [finding(*one) for one in judged]
    score = score_figures(findings, RULE)
    return by_score(findings, score), score.share_ratio


@pytest.mark.parametrize(
    ("judged", "verdict", "share"),
    [
        ([(PASS, 9.0), (FAIL, 1.0)], PASS, 0.9),  # as much as is asked for is enough
        ([(PASS, 0.1)] * 9 + [(FAIL, 0.1)], PASS, 0.9),  # and floats do not say otherwise
        ([(PASS, 8.0), (WARN, 2.0)], PASS, 0.9),  # a warning counts half
        ([(PASS, 8.0), (FAIL, 2.0)], WARN, 0.8),
        ([(PASS, 7.5), (FAIL, 2.5)], WARN, 0.75),
        ([(PASS, 7.0), (FAIL, 3.0)], FAIL, 0.7),
        ([(WARN, 1.0)], FAIL, 0.5),
        ([(PASS, 99.0), (FAIL, 1.0, True)], FAIL, 0.99),  # whatever the score is
        ([(PASS, 1.0), (FAIL, 0.0, True)], FAIL, 1.0),  # a key one needs no weight
        ([(PASS, 1.0), (WARN, 0.0, True)], PASS, 1.0),
        ([(PASS, 1.0), (FAIL, 0.0)], PASS, 1.0),  # told and not counted
        ([(PASS, 1.0), (INCONCLUSIVE, 0.0)], PASS, 1.0),
        ([(PASS, 1.0), (INCONCLUSIVE, 0.0, True)], INCONCLUSIVE, 1.0),
        ([(PASS, 99.0), (INCONCLUSIVE, 1.0)], INCONCLUSIVE, 0.99),  # nothing passes beside it
        ([(PASS, 7.0), (INCONCLUSIVE, 1.0), (FAIL, 2.0)], INCONCLUSIVE, 0.7),
        ([(PASS, 6.0), (INCONCLUSIVE, 1.0), (FAIL, 3.0)], FAIL, 0.6),  # even if it were met
        ([(INCONCLUSIVE, 1.0), (FAIL, 1.0, True)], FAIL, 0.0),
        ([(PASS, 0.0)], INCONCLUSIVE, 0.0),  # nothing counts
    ],
)
def test_the_verdict_by_score(judged: list[Judged], verdict: Verdict, share: float) -> None:
    found, found_share = verdict_of(*judged)
    assert found is verdict
    assert found_share == pytest.approx(share)


def test_figures_hold_the_sums_and_the_limits() -> None:
    score = score_figures([finding(PASS, 3.0), finding(WARN, 2.0), finding(FAIL, 1.0)], RULE)
    assert score.model_dump() == {
        "reached": 4.0,
        "possible": 6.0,
        "share_ratio": pytest.approx(2 / 3),
        "pass_ratio": 0.9,
        "warn_ratio": 0.75,
    }


@pytest.mark.parametrize(
    ("judged", "said"),
    [
        ([(PASS, 1.0)], "the score is 100 % (pass from 90 % on)."),
        (
            [(PASS, 9.0), (FAIL, 1.0)],
            "the score is 90 % (pass from 90 % on); 1 of 2 objectives was missed.",
        ),
        (
            [(PASS, 7.0), (FAIL, 3.0)],
            "the score is 70 % (warn from 75 % on); 1 of 2 objectives was missed.",
        ),
        (
            [(PASS, 9.0), (FAIL, 1.0, True)],
            "1 key objective was missed; the score is 90 %.",
        ),
        (
            [(PASS, 9.0), (INCONCLUSIVE, 1.0)],
            "1 of 2 objectives was not proven; the score is at least 90 % (pass from 90 % on).",
        ),
        (
            [(PASS, 8.0), (FAIL, 1.0), (INCONCLUSIVE, 1.0)],
            "1 of 3 objectives was not proven; the score is at least 80 % (pass from 90 % on).",
        ),
        (
            [(PASS, 7.0), (FAIL, 1.5), (FAIL, 1.5)],
            "the score is 70 % (warn from 75 % on); 2 of 3 objectives were missed.",
        ),
        ([(PASS, 0.0)], "no objective has a weight, so there is no score."),
    ],
)
def test_the_score_in_a_sentence(judged: list[Judged], said: str) -> None:
    findings = [finding(*one) for one in judged]
    score = score_figures(findings, RULE)
    assert score_said(findings, score, by_score(findings, score)) == said


JUDGED = st.lists(
    st.builds(
        finding,
        st.sampled_from(list(Verdict)),
        st.floats(0, 10, allow_subnormal=False),
        st.booleans(),
    ),
    min_size=1,
    max_size=6,
)


@given(JUDGED, st.data())
def test_less_evidence_is_never_better(findings: list[Finding], data: st.DataObject) -> None:
    """Goal: missing data helps nobody. Method: one finding after the other loses its evidence."""
    before = by_score(findings, score_figures(findings, RULE))
    at = data.draw(st.integers(0, len(findings) - 1))
    if findings[at].weight or findings[at].key:
        blind = findings[at].model_copy(update={"verdict": INCONCLUSIVE})
        less = [*findings[:at], blind, *findings[at + 1 :]]
        after = by_score(less, score_figures(less, RULE))
        assert after in (FAIL, INCONCLUSIVE)
        assert not (before is INCONCLUSIVE and after in (PASS, WARN))


@given(JUDGED, st.randoms(use_true_random=False))
def test_order_does_not_matter(findings: list[Finding], random: object) -> None:
    shuffled = list(findings)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    one, other = score_figures(findings, RULE), score_figures(shuffled, RULE)
    assert one == other
    assert by_score(findings, one) is by_score(shuffled, other)
