"""What stands around every activity: arguments of experiments that were written by hand."""

from __future__ import annotations

from typing import Any

import pytest
from chaoslib.exceptions import ActivityFailed

from runner.chaos import actions
from runner.chaos.activities.around import activity

SCALE = {"namespace": "n", "deployment": "d"}
DELAY = {"namespace": "n", "service": "s"}


@activity
def numbers(*, some: float = 0.0, whole: int | None = None, pods: int | str = 1) -> list[Any]:
    return [some, whole, pods]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"some": "1"}, "the argument some is '1'; accepted: a number"),
        ({"some": None}, "the argument some is None; accepted: a number"),
        ({"some": True}, "the argument some is True; accepted: a number"),
        ({"whole": 1.5}, "the argument whole is 1.5; accepted: a whole number"),
        ({"pods": [1]}, r"the argument pods is \[1\]; accepted: a whole number or a text"),
    ],
)
def test_what_is_no_number_is_named(given: dict[str, Any], said: str) -> None:
    """Goal: no bare TypeError. Method: one wrong argument; nothing is carried out."""
    with pytest.raises(ActivityFailed, match=f"^{said}$"):
        numbers(**given)


def test_numbers_are_taken_as_they_are() -> None:
    assert numbers(some=1, whole=2, pods="50%") == [1, 2, "50%"]
    assert numbers(some=0.5, whole=None) == [0.5, None, 1]


def test_our_actions_say_which_argument_is_wrong() -> None:
    """Goal: also through the wrappers of what is exported. Method: two actions of users'; no
    cluster is asked."""
    with pytest.raises(ActivityFailed, match="the argument replicas is 'x'; accepted: a whole num"):
        actions.scale_deployment(**SCALE, replicas="x")  # type: ignore[arg-type]
    with pytest.raises(ActivityFailed, match="the argument delay_s is 'x'; accepted: a number"):
        actions.delay_requests(**DELAY, delay_s="x")  # type: ignore[arg-type]
