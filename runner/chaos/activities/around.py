"""What every action and probe has around it, so that Chaos Toolkit hears the truth.

* An error becomes ``ActivityFailed`` with one line.
* SIGTERM, which the library turns into an ordinary exception and takes for a failed activity before
  it goes on to the next one, ends the experiment instead, with its rollbacks.
* A rollback that is interrupted is carried out all the same, and ends the experiment after that.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from chaoslib.exceptions import ActivityFailed, InterruptExecution

from runner.chaos.client import one_line
from runner.errors import SeatrialError

P = ParamSpec("P")
R = TypeVar("R")

EXIT_WITH_ROLLBACKS = 20
"""The exit code that the library itself uses to end an experiment and play the rollbacks."""


def activity(function: Callable[P, R]) -> Callable[P, R]:
    """Make ``function`` an activity of a method."""

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except InterruptExecution as error:
            raise SystemExit(EXIT_WITH_ROLLBACKS) from error
        except SeatrialError as error:
            raise ActivityFailed(one_line(error)) from error

    return run


def rollback(function: Callable[P, R]) -> Callable[P, R]:
    """Make ``function``, which must be idempotent, an activity that also serves as a rollback."""

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except (InterruptExecution, SystemExit):
            _again(function, *args, **kwargs)
            raise SystemExit(EXIT_WITH_ROLLBACKS) from None
        except SeatrialError as error:
            raise ActivityFailed(one_line(error)) from error

    return run


def _again(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> None:
    try:
        function(*args, **kwargs)
    except SeatrialError as error:
        raise ActivityFailed(one_line(error)) from error
