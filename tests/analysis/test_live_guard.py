"""Guards over a live load: when they act, and what they say."""

from __future__ import annotations

import pytest

from runner.analysis.live import GuardWatch, LiveLoad
from runner.model.experiment import Guard
from runner.model.histogram import bucket_of
from runner.model.recording import LoadRow


def watch(text: str) -> GuardWatch:
    return GuardWatch(Guard.model_validate({"abort_when": text, "for": "3s", "grace": "2s"}))


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("traffic < 20/s", "17.2/s"),
        ("errors > 10%", "23.3 %"),
        ("latency.max > 10ms", "50 ms"),
    ],
)
def test_a_guard_says_what_it_saw_in_units(text: str, seen: str) -> None:
    """Goal: a reason that can be read. Method: 86 requests in 5 s, 20 of them refused."""
    load = LiveLoad()
    for second, (good, bad) in enumerate([(13, 4), (13, 4), (13, 4), (13, 4), (14, 4)] * 3):
        rows = [LoadRow(second, "GET /", "success", {bucket_of(50_000): good})]
        load.add(
            [*rows, LoadRow(second, "GET /", "http_5xx", {bucket_of(900): bad})], [(second, 9)]
        )
    guard = watch(text)
    assert guard.tripped(load, 7.9) is None  # grace 2 s, window 5 s, settling 1 s
    assert guard.tripped(load, 8.0) is None
    assert guard.tripped(load, 10.9) is None
    reason = guard.tripped(load, 11.0)
    assert reason == f"{text} held for 3 s (last seen {seen})"
