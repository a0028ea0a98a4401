"""What is told before a run about places that are too short, and about keys that do nothing."""

from __future__ import annotations

from typing import Any

from builders import ABORT, SERVICE, plan_of

from runner.analysis.foresight import doubts_about


def doubts(objective: dict[str, Any] | str) -> list[tuple[Any, str]]:
    plan = plan_of(objective, "latency.p99 < 1s", faults=[ABORT])
    return [
        (one.loc, one.message) for one in doubts_about(plan) if one.loc[:2] == ("objectives", 0)
    ]


def test_a_place_that_is_shorter_than_for() -> None:
    """The fault lasts 10 s, the baseline 15 s and the recovery 30 s."""
    found = doubts({"objective": "errors < 1%", "for": "12s"})
    assert found == [
        (
            ("objectives", 0, "for"),
            "fault 01-http-abort lasts 10s, shorter than 'for' (12s): inconclusive there",
        )
    ]
    assert doubts({"objective": "errors < 1%", "for": "10s"}) == []


def test_a_window_that_is_too_short_for_the_mesh() -> None:
    short = {"objective": "errors < 1%", "during": "6s..10s"}
    ((loc, message),) = doubts({**short, "service": SERVICE})
    assert (loc, "6s..10s lasts 4s, but the mesh's figures need 5s" in message) == (
        ("objectives", 0, "during"),
        True,
    )
    assert doubts(short) == []


def test_a_share_of_no_errors() -> None:
    ((_, message),) = doubts("errors <= baseline + 10%")
    assert "a share of nothing is nothing" in message
    assert doubts("errors <= baseline + 0.5pp") == []
    assert doubts("latency.p95 <= baseline + 10%") == []


def test_weights_without_a_score() -> None:
    assert doubts({"objective": "errors < 1%", "weight": 2})[0][0] == ("objectives", 0, "weight")
    assert doubts({"objective": "errors < 1%", "key": True})[0][0] == ("objectives", 0, "key")
