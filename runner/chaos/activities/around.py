"""What every action and probe has around it, so that Chaos Toolkit hears the truth.

* An error becomes ``ActivityFailed`` with one line.
* SIGTERM, which the library turns into an ordinary exception and takes for a failed activity before
  it goes on to the next one, ends the experiment instead, with its rollbacks.
* An argument that should be a number, and is none, is named, with what would be accepted.
* A rollback that is interrupted is carried out all the same, and ends the experiment after that.
"""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Callable, Mapping
from typing import Any, ParamSpec, TypeVar, Union, get_args, get_origin, get_type_hints

from chaoslib.exceptions import ActivityFailed, InterruptExecution

from runner.chaos.client import one_line
from runner.errors import FaultError, SeatrialError

P = ParamSpec("P")
R = TypeVar("R")

EXIT_WITH_ROLLBACKS = 20
"""The exit code that the library itself uses to end an experiment and play the rollbacks."""

_WORDS: dict[object, str] = {int: "a whole number", float: "a number", str: "a text"}


def activity(function: Callable[P, R]) -> Callable[P, R]:
    """Make ``function`` an activity of a method."""
    numbers = _numbers_of(function)

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            _check_numbers(numbers, kwargs)
            return function(*args, **kwargs)
        except InterruptExecution as error:
            raise SystemExit(EXIT_WITH_ROLLBACKS) from error
        except SeatrialError as error:
            raise ActivityFailed(one_line(error)) from error

    return run


def rollback(function: Callable[P, R]) -> Callable[P, R]:
    """Make ``function``, which must be idempotent, an activity that also serves as a rollback."""
    numbers = _numbers_of(function)

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            _check_numbers(numbers, kwargs)
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


def _numbers_of(function: Callable[..., object]) -> dict[str, tuple[object, ...]]:
    """The arguments of ``function`` that may be numbers, each with all that it may be."""
    hints = get_type_hints(function)
    found = {}
    for name in inspect.signature(function).parameters:
        hint = hints.get(name)
        union = get_origin(hint) in (Union, types.UnionType)
        kinds = get_args(hint) if union else (hint,)
        if {int, float} & set(kinds):
            found[name] = kinds
    return found


def _check_numbers(numbers: Mapping[str, tuple[object, ...]], given: Mapping[str, Any]) -> None:
    """See that what should be a number is one: an experiment by hand may hold anything.

    Raises:
        FaultError: Names the argument, and says what would be accepted.
    """
    for name, kinds in numbers.items():
        if name not in given:
            continue
        value = given[name]
        # True is a number to Python, and to nobody else; a whole number is a number, too.
        kind = float if float in kinds and type(value) is int else type(value)
        if kind not in kinds:
            accepted = " or ".join(_WORDS[one] for one in kinds if one in _WORDS)
            raise FaultError(f"the argument {name} is {value!r}", accepted=accepted)
