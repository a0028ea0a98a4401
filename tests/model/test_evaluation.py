"""The verdict over findings: what wins, and that nothing checked is never a pass."""

from __future__ import annotations

import pytest

from runner.model.evaluation import Finding, Verdict, overall, worst

PASS, WARN, INCONCLUSIVE, FAIL = Verdict


def finding(kind: str, verdict: Verdict) -> Finding:
    return Finding.model_validate(
        {"kind": kind, "check": "c", "title": "t", "verdict": verdict, "reason": "r"}
    )


@pytest.mark.parametrize(
    ("validity", "objectives", "verdict", "valid"),
    [
        ([PASS], [PASS], PASS, True),
        ([PASS, WARN], [PASS], WARN, True),
        ([PASS], [PASS, WARN], WARN, True),
        ([PASS], [WARN, INCONCLUSIVE], INCONCLUSIVE, True),
        ([WARN], [INCONCLUSIVE, FAIL], FAIL, True),
        ([PASS, INCONCLUSIVE], [PASS], INCONCLUSIVE, False),
        ([INCONCLUSIVE], [FAIL], INCONCLUSIVE, False),
        ([FAIL], [PASS], INCONCLUSIVE, False),
        ([PASS], [], INCONCLUSIVE, True),
        ([], [PASS], INCONCLUSIVE, False),
        ([], [], INCONCLUSIVE, False),
    ],
)
def test_the_verdict_over_findings(
    validity: list[Verdict], objectives: list[Verdict], verdict: Verdict, valid: bool
) -> None:
    findings = [finding("validity", one) for one in validity]
    findings += [finding("objective", one) for one in objectives]
    assert overall(findings) == (verdict, valid)


def test_the_worst_of_nothing_is_not_a_pass() -> None:
    assert worst([]) is INCONCLUSIVE
    assert worst([PASS, FAIL, WARN]) is FAIL
