"""When pods are killed: the moments of a series."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from runner.model.fault import Fault, PodKill
from runner.model.killtimes import MOST_KILLS, kill_moments, kill_seed

_FAULT: TypeAdapter[Fault] = TypeAdapter(Fault)


@given(
    every_s=st.floats(0.001, 600),
    periods=st.floats(0.01, 60),
    jitter_ratio=st.floats(0, 0.499),
    seed=st.integers(0, 2**40),
)
def test_moments_keep_their_order_their_time_and_their_seed(
    every_s: float, periods: float, jitter_ratio: float, seed: int
) -> None:
    """Goal: nothing is left to chance but the jitter. Method: any interval, length and seed."""
    duration_s, jitter_s = every_s * periods, every_s * jitter_ratio
    moments = kill_moments(duration_s, every_s, jitter_s, seed)
    assert moments[0] == 0.0
    assert all(a < b for a, b in pairwise(moments))
    assert all(0 <= moment < duration_s for moment in moments)
    assert all(abs(moment - n * every_s) <= jitter_s + 1e-9 for n, moment in enumerate(moments))
    due = [n for n in range(1, math.ceil(periods) + 2) if n * every_s < duration_s]
    assert len(moments) == 1 + len(due)
    assert kill_moments(duration_s, every_s, jitter_s, seed) == moments


def test_seed_decides_where_in_the_jitter_a_kill_falls() -> None:
    """Goal: chance that can be repeated. Method: two seeds, and moments that are known."""
    assert kill_moments(1500, 300) == (0.0, 300.0, 600.0, 900.0, 1200.0)
    assert kill_moments(1500, None) == (0.0,)
    one, other = (kill_moments(1500, 300, 60, seed) for seed in (1, 2))
    assert one != other
    assert len({round(moment % 300, 3) for moment in one}) == 5


def test_moments_scale_with_the_plan() -> None:
    """Goal: a rehearsal has the same kills. Method: all durations to a tenth."""
    long, short = kill_moments(1500, 300, 60, 5), kill_moments(150, 30, 6, 5)
    assert short == pytest.approx([moment / 10 for moment in long])


@pytest.mark.parametrize(
    ("duration_s", "every_s", "jitter_s"),
    [(10.0, 0.0, 0.0), (MOST_KILLS + 1.0, 1.0, 0.0), (10.0, 2.0, 1.0), (10.0, 2.0, -0.1)],
)
def test_impossible_series_are_refused(duration_s: float, every_s: float, jitter_s: float) -> None:
    """Goal: order and bounds. Method: no interval, too many, and a jitter that swaps kills."""
    with pytest.raises(ValueError, match="kill"):
        kill_moments(duration_s, every_s, jitter_s)


def test_each_kill_draws_with_a_seed_of_its_own() -> None:
    """Goal: not always the same place in the list. Method: seeds of kills of two faults."""
    seeds = [kill_seed(fault, number) for fault in (7, 8) for number in range(100)]
    assert seeds[0] == 7
    assert len(set(seeds)) == 200


def test_fault_knows_its_moments() -> None:
    """Goal: plan and experiment agree. Method: a fault as the file has it; too many kills."""
    wish: dict[str, Any] = {"kind": "pod-kill", "service": "a", "at": "5m", "duration": "25m"}
    fault = _FAULT.validate_python({**wish, "every": "5m", "jitter": "1m"})
    assert isinstance(fault, PodKill)
    assert fault.moments(3) == kill_moments(1500, 300, 60, 3)
    with pytest.raises(ValidationError, match="a longer 'every'"):
        _FAULT.validate_python({**wish, "every": "100ms"})
    with pytest.raises(ValidationError, match="longer than 'every'"):
        _FAULT.validate_python({**wish, "every": "25m"})
