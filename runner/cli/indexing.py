"""The page of all runs is written again whenever a run was recorded, judged or reported."""

from __future__ import annotations

import logging
from pathlib import Path

from runner.catalog import write_run_index
from runner.cli.hearing import may_be_unheard
from runner.cli.saying import say
from runner.process import SystemClock
from runner.store import Store

log = logging.getLogger(__name__)


def refresh_index(results: Path) -> None:
    """Write the page of all runs below ``results``; what hinders that is said, and is no failure.

    The page is a convenience, and whoever calls this has a verdict to give.
    """
    try:
        write_run_index(Store(results), SystemClock().wall_s())
    except Exception as error:  # Nothing here may change the verdict of a run.
        log.debug("the page of all runs", exc_info=error)
        with may_be_unheard():
            said = getattr(error, "message", None) or f"{type(error).__name__}: {error}"
            say(f"note: the page of all runs was not written: {said}")
