"""Scenarios that take long and need nobody: they sail in the background, several at once.

    @background
    def terminated(folder: Path) -> Ending: ...          # a function of an empty folder

    def test_it_healed(terminated: Ending) -> None: ...  # waits for it, if it is still under way

The first test that asks for ``crew`` sets off every scenario that any collected test wants, in the
order of these tests. A scenario must use nothing that is shared, such as ``sandbox_info``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar, cast

import pytest

AT_ONCE = 2
"""Each Envoy watches some twenty files, and a user has 128 inotify instances by default."""
BOUND_S = 280.0

T = TypeVar("T")
Scenario = Callable[[Path], Any]
_scenarios: dict[str, Scenario] = {}
_first: set[str] = set()


class Crew:
    """The scenarios that are under way.

    Args:
        root: An empty folder.
        names: What is wanted, in this order.
    """

    def __init__(self, root: Path, names: list[str]) -> None:
        self._pool = ThreadPoolExecutor(AT_ONCE)
        self._results: dict[str, Future[Any]] = {}
        for name in names:
            folder = root / name
            folder.mkdir()
            self._results[name] = self._pool.submit(_scenarios[name], folder)

    def result(self, name: str) -> Any:
        """What the scenario returned, or the exception that it raised."""
        return self._results[name].result(BOUND_S)

    def ashore(self) -> None:
        """Start nothing more, and wait for those that are under way."""
        self._pool.shutdown(cancel_futures=True)


def background(scenario: Callable[[Path], T], *, first: bool = False) -> Callable[[Path], T]:
    """Make of ``scenario`` a fixture of the same name that gives its result.

    Args:
        scenario: What to do in an empty folder.
        first: Whether it takes so long that it sets off before the others.
    """
    name = scenario.__name__
    assert name not in _scenarios, f"two scenarios are called {name}"
    _scenarios[name] = scenario
    if first:
        _first.add(name)

    @pytest.fixture(scope="session", name=name)
    def result(crew: Crew) -> Any:
        return crew.result(name)

    return cast("Callable[[Path], T]", result)


@pytest.fixture(scope="session")
def crew(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Crew]:
    """Everybody who is under way."""
    wanted = [name for item in request.session.items for name in getattr(item, "fixturenames", ())]
    names = [name for name in dict.fromkeys(wanted) if name in _scenarios]
    names.sort(key=lambda name: name not in _first)
    crew = Crew(tmp_path_factory.mktemp("underway"), names)
    yield crew
    crew.ashore()
