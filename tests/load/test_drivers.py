"""What moves the load, by itself: a clock that only work moves, and users that do nothing."""

from __future__ import annotations

from typing import Any

import gevent
import gevent.event
from hall import Hall, opened, quick

from runner.load.drivers import RateDriver
from runner.load.population import AT_ONCE, Population
from runner.load.recorder import Recorder
from runner.model.experiment import Experiment
from runner.model.plan import make_plan


class SlowClock:
    """Every user that is started takes 10 ms; else no time passes."""

    now_s = 1.0

    def offset_s(self) -> float:
        return self.now_s


class SlowPopulation:
    interrupted = 0

    def __init__(self, clock: SlowClock) -> None:
        self._clock = clock
        self.sizes: dict[str, int] = {}

    @property
    def size(self) -> int:
        return sum(self.sizes.values())

    def start(self, name: str) -> None:
        self._clock.now_s += 0.01
        self.sizes[name] = self.sizes.get(name, 0) + 1

    def sweep(self) -> None:
        pass

    def dismiss(self, grace_s: float) -> None:
        pass


def test_more_than_can_be_started_does_not_keep_a_stop_from_being_heard() -> None:
    """Goal: nobody waits for seconds. Method: 100 users are due at once; the first pause stops."""
    plan = make_plan(
        Experiment.model_validate(
            {
                "name": "rush",
                "description": "A rush.",
                "load": {"locustfile": "x.py", "stages": [{"duration": "9s", "rate": "100/s"}]},
                "objectives": ["errors < 1%"],
            }
        )
    )
    clock = SlowClock()
    population: Any = SlowPopulation(clock)
    with opened(quick) as hall:
        driver = driver_of(plan, hall, clock, population)
        stop = gevent.event.Event()
        gevent.spawn(stop.set)
        assert driver.follow(stop) is False
        driver.dismiss(0.0)
    # 50 ms without giving way are five starts of 10 ms, and one that was begun before.
    assert 5 <= population.size <= 6


def driver_of(plan: Any, hall: Hall, clock: Any, population: Any) -> RateDriver:
    class Runner:
        user_classes = [hall.kind]  # noqa: RUF012 - as Locust has it

    return RateDriver(plan, Runner(), clock, population, Recorder())


class Crowd:
    """A runner whose users are nobody."""

    def __init__(self) -> None:
        self.user_classes = [type("Buyer", (), {}), type("Looker", (), {})]

    def spawn_users(self, wanted: dict[str, int]) -> list[Any]:
        return [object() for number in wanted.values() for _ in range(number)]


def test_a_crowd_is_started_in_turns() -> None:
    """Goal: a huge ramp keeps nothing else from running. Method: more users than at once."""
    population = Population(Crowd(), 5.0)
    wanted = {"Buyer": AT_ONCE + 10, "Looker": AT_ONCE}
    sizes = []
    while not population.follow(wanted):
        sizes.append(population.size)
    assert sizes == [AT_ONCE, 2 * AT_ONCE]
    assert population.sizes == wanted
    assert population.follow(wanted)
