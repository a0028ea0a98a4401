"""What an activity of Chaos Toolkit must look like; what it needs of the environment."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from runner.model.activity import activity_mistakes, plain_secrets, unset_variables
from runner.model.fault import ChaosToolkit

PROGRAM = {"type": "action", "name": "do", "provider": {"type": "process", "path": "true"}}


@pytest.mark.parametrize(
    ("change", "mistake"),
    [
        ({"type": "control"}, "is of type 'control'; accepted: action, probe"),
        ({"background": "yes"}, "has a 'background' that is neither true nor false"),
        ({"pauses": 5}, "has pauses that are not a mapping; accepted: before, after"),
        (
            {"pauses": {"after": float("inf")}},
            "has a pause after of inf; accepted: seconds, or ${variable}",
        ),
        (
            {"provider": {"type": "http", "url": "http://x/", "timeout": float("nan")}},
            "has a timeout of nan; accepted: seconds, more than 0, or ${variable}",
        ),
        (
            {"provider": {"type": "process", "path": "true", "timeout": 0}},
            "has a timeout of 0; accepted: seconds, more than 0, or ${variable}",
        ),
        ({"pauses": {"after": -1}}, "has a pause after of -1; accepted: seconds, or ${variable}"),
        (
            {"pauses": {"before": "5s"}},
            "has a pause before of '5s'; accepted: seconds, or ${variable}",
        ),
        ({"provider": {"type": "process"}}, "has a process provider without 'path'"),
        ({"provider": {"type": "http", "url": 7}}, "has a http provider without 'url'"),
        (
            {"provider": {"type": "python", "module": "m", "func": "f", "arguments": [1]}},
            "has arguments that are not a mapping",
        ),
        ({"provider": None}, "has no provider; accepted: python, process, http"),
        ({"controls": []}, "has controls; accepted: an activity without them"),
    ],
)
def test_each_mistake_is_told_with_its_place(change: dict[str, Any], mistake: str) -> None:
    """Goal: found before the run. Method: one mistake in the second of two activities."""
    assert activity_mistakes([PROGRAM, PROGRAM | change]) == [f"[1] ('do') {mistake}"]


@pytest.mark.parametrize(
    "right",
    [
        PROGRAM | {"pauses": {"before": 0, "after": "${hold}"}, "background": True},
        {"type": "probe", "name": "p", "provider": {"type": "http", "url": "http://x"}},
        {"type": "action", "name": "f", "provider": {"type": "python", "module": "m", "func": "f"}},
    ],
)
def test_what_the_tool_takes_is_taken(right: dict[str, Any]) -> None:
    assert activity_mistakes([right]) == []


@pytest.mark.parametrize("tolerance", [None, 0.5])
def test_a_tolerance_that_nothing_meets_is_refused(tolerance: Any) -> None:
    """Goal: no gate that is always missed. Method: values that the library never matches."""
    probe = PROGRAM | {"type": "probe", "tolerance": tolerance}
    (mistake,) = activity_mistakes([probe], hypothesis=True)
    assert f"has the tolerance {tolerance!r}, which nothing can meet" in mistake


def test_secrets_in_plain_text_are_found_by_their_places() -> None:
    """Goal: no secret in the run's folder. Method: both levels on which secrets may stand."""
    by_env = {"type": "env", "key": "K"}
    secrets = {"a": by_env, "b": {"c": by_env, "d": "plain"}, "e": 7, "f": {"type": "vault"}}
    assert plain_secrets(secrets) == ["b.d", "e"]
    fault = {
        "kind": "chaostoolkit",
        "service": "s",
        "at": "1s",
        "duration": "1s",
        "method": [PROGRAM],
        "secrets": secrets,
    }
    with pytest.raises(ValidationError, match=r"b\.d, e would stand in the run's folder in plain"):
        TypeAdapter(ChaosToolkit).validate_python(fault)


def test_variables_that_are_missing_are_named() -> None:
    """Goal: known before the load starts. Method: with and without a default, set and unset."""
    configuration = {
        "a": {"type": "env", "key": "A"},
        "b": {"type": "env", "key": "B", "default": ""},
        "c": "C",
    }
    secrets = {"s": {"t": {"type": "env", "key": "T"}, "u": {"type": "env", "key": "U"}}}
    assert unset_variables(configuration, secrets, {"U"}) == ["A", "T"]
