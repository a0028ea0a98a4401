"""Which endpoints ``of`` means: one, those of a pattern, those of a group; or none at all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from builders import ABORT, ORDERS, PRODUCTS, plan_of, recording_of, row
from judging import last_judged

from runner.analysis.endpoints import endpoints_meant
from runner.analysis.evaluate import evaluate
from runner.model.evaluation import Finding, Verdict
from runner.model.recording import LoadRow

CALLED = ("GET /a", "GET /b/1", "GET /b/2", "GET /c/*", "POST /a?x=[1]")
GROUPS = {"reads": ["GET /a", "GET /b/*"], "half": ["GET /a", "GET /z"], "GET /a": ["GET /b/1"]}


@pytest.mark.parametrize(
    ("of", "names"),
    [
        (None, None),
        ("GET /b/1", ("GET /b/1",)),
        ("GET /b/*", ("GET /b/1", "GET /b/2")),
        ("*/*", CALLED),
        ("GET /c/*", ("GET /c/*",)),  # An endpoint may be called so.
        ("POST /a?x=[1]*", ("POST /a?x=[1]",)),  # No other signs are patterns.
        ("reads", ("GET /a", "GET /b/1", "GET /b/2")),
        ("GET /a", ("GET /b/1",)),  # A group goes before an endpoint.
    ],
)
def test_what_is_meant(of: str | None, names: tuple[str, ...] | None) -> None:
    assert endpoints_meant(of, GROUPS, CALLED).names == names


@pytest.mark.parametrize(
    ("of", "said"),
    [
        ("GET /bb/1", "there were no requests to GET /bb/1; did you mean GET /b/1?"),
        ("redas", "there were no requests to redas; did you mean reads?"),
        ("half", "there were no requests to GET /z (in the group half); did you mean GET /a?"),
        ("PUT *", "there were no requests to PUT *, only to others: GET /a, GET /b/1, GET /b/2"),
    ],
)
def test_what_was_never_called_is_missing(of: str, said: str) -> None:
    found = endpoints_meant(of, GROUPS, CALLED)
    assert found.names == ()
    assert found.missing.startswith(said)


def judged_of(of: str, **keys: Any) -> Finding:
    """Orders fail by half, products not at all."""
    plan = plan_of({"objective": "errors < 30%", "of": of, **keys}, faults=[ABORT])
    grouped = plan.experiment.model_copy(update={"groups": {"shop": (ORDERS, "GET /api/*")}})
    plan = plan.model_copy(update={"experiment": grouped})

    def rows(at: int) -> Sequence[LoadRow]:
        return (row(at, 30), row(at, 30, outcome="timeout"), row(at, 60, endpoint=PRODUCTS))

    return last_judged(evaluate(recording_of(plan, rows)))


def test_requests_of_a_group_count_together() -> None:
    """60 orders of which half fail, and 60 products: a quarter of all."""
    finding = judged_of("shop")
    assert (finding.verdict, finding.observed, finding.where) == (
        Verdict.PASS,
        0.25,
        "baseline, shop",
    )
    assert judged_of("POST *").verdict is Verdict.FAIL
    assert judged_of("* /api/v1/*").observed == 0.25


def test_a_pattern_of_nothing_is_no_pass() -> None:
    finding = judged_of("GET /apo/*")
    assert (finding.verdict, finding.observed) == (Verdict.INCONCLUSIVE, None)
    assert judged_of("GET /apo/*", on_missing="fail").verdict is Verdict.FAIL
