"""A heal in a thread: nobody waits, and what it raises is raised where it is looked at."""

from __future__ import annotations

import threading

import pytest

from runner.chaos.healthread import HealThread
from runner.errors import LeftBrokenError
from runner.ports import HealReport

BOUND_S = 20.0


def test_it_is_under_way_until_it_is_over() -> None:
    may_end = threading.Event()
    report = HealReport(removed=("virtualservice/x",))

    def heal() -> HealReport:
        assert may_end.wait(BOUND_S)
        return report

    job = HealThread(heal)
    assert job.poll() is None
    may_end.set()
    job._thread.join(BOUND_S)
    assert job.poll() is report


def test_what_it_raises_is_raised_each_time() -> None:
    def heal() -> HealReport:
        raise LeftBrokenError("the API server is away")

    job = HealThread(heal)
    job._thread.join(BOUND_S)
    for _ in range(2):
        with pytest.raises(LeftBrokenError, match="is away"):
            job.poll()
