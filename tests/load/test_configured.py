"""What Locust's configuration files may say beside the plan."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from runner.load.configured import refused, told


def settings(**options: str) -> dict[str, tuple[Any, str]]:
    found = {}
    for key, value in options.items():
        name = key.replace("_", "-")
        found[name] = (SimpleNamespace(option_strings=[f"-{name[0].upper()}", f"--{name}"]), value)
    return found


def test_what_steers_the_load_is_told_by_name_only() -> None:
    """Goal: no secret, no value. Method: tags and an option of the locustfile's own, in a file."""
    sources: dict[str, dict[str, tuple[Any, Any]]] = {
        "command_line": {"": (None, ["-f", "x"])},
        "environment_variables": settings(my_option="secret"),
        "config_file|some/where/locust.conf": settings(tags="a", my_option="secret"),
        "defaults": settings(equal_weights="x"),
    }
    assert told(sources, "users") == ["locust.conf has told Locust --my-option, --tags"]


def test_what_the_plan_decides_is_put_aside_in_silence() -> None:
    decided = settings(users="5", run_time="1m", loglevel="DEBUG", html="x", stop_timeout="3")
    sources = {"config_file|pyproject.toml": decided}
    assert told(sources, "users") == []
    assert told(sources, "own") == ["pyproject.toml has told Locust --run-time, --users"]


@pytest.mark.parametrize(
    ("headless", "crew", "runner", "said"),
    [
        (True, False, "LocalRunner", ""),
        (True, True, "MasterRunner", ""),
        (False, True, "WorkerRunner", ""),
        (False, False, "LocalRunner", "Locust would wait for somebody at its web page"),
        (True, False, "MasterRunner", "Locust has become a MasterRunner"),
        (True, False, "WorkerRunner", "Locust has become a WorkerRunner"),
    ],
)
def test_what_cannot_be_put_aside_is_refused(
    headless: bool, crew: bool, runner: str, said: str
) -> None:
    found = refused(SimpleNamespace(headless=headless), crew=crew, runner=runner)
    assert found.startswith(said)
    assert bool(found) is bool(said)
