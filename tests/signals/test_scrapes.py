"""Gaps in scraping: what is one, what is none, and what is said about it."""

from __future__ import annotations

from runner.signals.client import Sampled
from runner.signals.scrapes import interval_of, scrape_gaps

START_S, END_S = 1000.0, 1060.0


def up(*seconds: range, down: range = range(0), instance: str = "envoy:1") -> Sampled:
    """``up`` at each of ``seconds`` after the start; 0 in those that are ``down``."""
    times = [second for part in seconds for second in part]
    points = tuple((START_S + at, 0.0 if at in down else 1.0) for at in times)
    return Sampled({"job": "mesh", "instance": instance}, points)


def gaps(*series: Sampled) -> tuple[str, ...]:
    return scrape_gaps(series, START_S, END_S, START_S, 1.0)


WHOLE = range(-1, 61)


def test_whole_run_has_no_gap() -> None:
    assert gaps(up(WHOLE)) == ()


def test_three_missed_scrapes_are_bridged_and_four_are_not() -> None:
    """From the last good scrape to the next: 3 s and 4 s."""
    assert gaps(up(range(-1, 21), range(23, 61)), up(WHOLE, instance="b")) == ()
    assert gaps(up(range(-1, 21), range(24, 61)), up(WHOLE, instance="b")) == (
        "The scrape target envoy:1 (mesh) was not scraped for 4 s, from 20 s after the start on",
    )


def test_failed_scrapes_count_as_missed() -> None:
    """up = 0 says that Prometheus tried; a single failure in between is bridged."""
    assert gaps(up(WHOLE, down=range(30, 31))) == ()
    (sentence,) = gaps(up(WHOLE, down=range(30, 40)))
    assert "was not scraped for 11 s, from 29 s" in sentence


def test_target_that_is_down_to_the_end() -> None:
    """It is still scraped in vain, so it is missed."""
    (sentence,) = gaps(up(WHOLE, down=range(50, 61)))
    assert "was not scraped for 11 s, from 49 s" in sentence


def test_target_that_has_gone_or_come_is_no_gap() -> None:
    """A killed pod's target disappears, after some failures; its successor's appears."""
    old = up(range(-1, 35), down=range(30, 35), instance="old")
    new = up(range(36, 61), instance="new")
    assert gaps(up(WHOLE), old, new) == ()


def test_nothing_at_all_is_said_once() -> None:
    """When Prometheus itself was away, no target is to blame."""
    series = [up(range(-1, 11), range(25, 61), instance=name) for name in ("a", "b")]
    assert gaps(*series) == (
        "Prometheus scraped nothing at all for 15 s, from 10 s after the start on",
    )


def test_late_start_and_early_end_are_gaps() -> None:
    """A run whose first or last seconds nobody scraped."""
    assert gaps(up(range(10, 61))) == (
        "Prometheus scraped nothing at all for 10 s, from 0 s after the start on",
    )
    assert gaps(up(range(-1, 50))) == (
        "Prometheus scraped nothing at all for 11 s, from 49 s after the start on",
    )


def test_no_target_is_said() -> None:
    assert gaps() == ("Prometheus has scraped nothing that tells about this target",)


def test_interval_is_the_median_step() -> None:
    """One hole does not move it; nothing to measure gives None."""
    assert interval_of([up(range(5), range(30, 36))]) == 1.0
    assert interval_of([up(range(1))]) is None
    assert interval_of([]) is None
