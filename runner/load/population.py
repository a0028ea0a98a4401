"""The users that run inside Locust, kept at a wanted number. Runs in Locust's process only.

Locust's own dispatcher starts users in one-second batches, and waits for a user that is to stop
before it looks at the next one. Here users are started and asked to stop one by one, at once; who
does not leave within the grace is ended by force, and counted when that cut his work short.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gevent.pool import Group
from locust import User
from locust.user.task import LOCUST_STATE_STOPPING

from runner.load.shape import class_to_start, class_to_stop

FORCE_WAIT_S = 2.0
"""Bound for a user's ``on_stop`` after it was ended by force."""


class Population:
    """Starts and stops users of a runner.

    Args:
        runner: A Locust runner of one process, already started with zero users.
        stop_timeout_s: Grace for a user's current task.
        equip: Called with each new user, before it does anything.
    """

    def __init__(
        self,
        runner: Any,
        stop_timeout_s: float,
        equip: Callable[[User], object] = lambda user: None,
    ) -> None:
        self._runner = runner
        self._stop_timeout_s = stop_timeout_s
        self._equip = equip
        classes: Sequence[type[User]] = runner.user_classes
        self._running: dict[str, list[User]] = {kind.__name__: [] for kind in classes}
        self._fixed: Mapping[str, int] = {
            kind.__name__: kind.fixed_count for kind in classes if kind.fixed_count
        }
        self._weights: Mapping[str, float] = {
            kind.__name__: kind.weight for kind in classes if not kind.fixed_count
        }
        self._leaving = Group()
        self.interrupted = 0
        """Users that were ended by force in the middle of a task."""

    @property
    def size(self) -> int:
        """Users that run and were not asked to stop."""
        return sum(map(len, self._running.values()))

    def follow(self, users: int) -> None:
        """Start or stop users until ``users`` run. Does not wait for those that leave."""
        while self.size < users:
            name = class_to_start(self._counts(), self._weights, self._fixed)
            if name is None:
                return
            arrived = self._runner.spawn_users({name: 1})
            for user in arrived:  # Their greenlets have not run yet: nobody gave way.
                self._equip(user)
            self._running[name] += arrived
        while self.size > users:
            name = class_to_stop(self._counts(), self._weights, self._fixed)
            if name is None:
                return
            self._leaving.spawn(self._retire, self._running[name].pop())

    def sweep(self) -> None:
        """Forget users that ended by themselves; :meth:`follow` replaces them."""
        for name, users in self._running.items():
            self._running[name] = [user for user in users if not user.greenlet.dead]

    def dismiss(self, stop_timeout_s: float) -> None:
        """Stop everybody, and return when they are gone or can be waited for no longer."""
        self._stop_timeout_s = stop_timeout_s
        self.follow(0)
        self._leaving.join(timeout=stop_timeout_s + FORCE_WAIT_S)

    def _counts(self) -> dict[str, int]:
        return {name: len(users) for name, users in self._running.items()}

    def _retire(self, user: User) -> None:
        greenlet = user.greenlet
        if self._stop_timeout_s > 0 and not greenlet.dead:
            # Ends a waiting user now, and lets a working one finish its task.
            user.stop(force=False)
            greenlet.join(timeout=self._stop_timeout_s)
        if not greenlet.dead:
            self.interrupted += user._state == LOCUST_STATE_STOPPING  # noqa: SLF001
            user.stop(force=True)
