"""The users that run inside Locust, kept at a wanted number. Runs in Locust's process only.

Locust's own dispatcher starts users in one-second batches, and waits for a user that is to stop
before it looks at the next one. Here users are started and asked to stop one by one, at once; who
does not leave within the grace is ended by force, and counted when that cut his work short.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from gevent.pool import Group
from locust import User
from locust.user.task import LOCUST_STATE_STOPPING

from runner.load.shape import Cast

AT_ONCE = 50
"""Users that are started without giving way; each takes up to a millisecond."""

FORCE_WAIT_S = 2.0
"""Bound for a user's ``on_stop`` after it was ended by force."""


def cast_of(runner: Any) -> Cast:
    """Which class each user is of, after the classes of a Locust runner."""
    classes = runner.user_classes
    return Cast(
        {kind.__name__: kind.weight for kind in classes if not kind.fixed_count},
        {kind.__name__: kind.fixed_count for kind in classes if kind.fixed_count},
    )


class Population:
    """Starts and stops users of a runner.

    Args:
        runner: A Locust runner that starts no users by itself.
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
        self._running: dict[str, list[User]] = {kind.__name__: [] for kind in runner.user_classes}
        self._leaving = Group()
        self.interrupted = 0
        """Users that were ended by force in the middle of a task."""

    @property
    def size(self) -> int:
        """Users that run and were not asked to stop."""
        return sum(map(len, self._running.values()))

    @property
    def sizes(self) -> dict[str, int]:
        """Class name to users of it that run and were not asked to stop."""
        return {name: len(users) for name, users in self._running.items()}

    def follow(self, wanted: Mapping[str, int]) -> bool:
        """Start or stop users until as many of each class run as are ``wanted``.

        Does not wait for those that leave. Gives way after :data:`AT_ONCE` starts: a thousand in
        one go would keep everything else from running for a second.

        Returns:
            Whether as many run; else it is to be called again.
        """
        left = AT_ONCE
        for name, users in self._running.items():
            while len(users) < wanted.get(name, 0):
                if not left:
                    return False
                left -= 1
                self.start(name)
            while len(users) > wanted.get(name, 0):
                self._leaving.spawn(self._retire, users.pop())
        return True

    def start(self, name: str) -> None:
        """Start one more user of a class."""
        arrived = self._runner.spawn_users({name: 1})
        for user in arrived:  # Their greenlets have not run yet: nobody gave way.
            self._equip(user)
        self._running[name] += arrived

    def sweep(self) -> None:
        """Forget users that ended by themselves; :meth:`follow` replaces them."""
        for users in self._running.values():
            users[:] = [user for user in users if not user.greenlet.dead]

    def dismiss(self, stop_timeout_s: float) -> None:
        """Stop everybody, and return when they are gone or can be waited for no longer."""
        self._stop_timeout_s = stop_timeout_s
        self.follow({})
        self._leaving.join(timeout=stop_timeout_s + FORCE_WAIT_S)

    def _retire(self, user: User) -> None:
        greenlet = user.greenlet
        if self._stop_timeout_s > 0 and not greenlet.dead:
            # Ends a waiting user now, and lets a working one finish its task.
            user.stop(force=False)
            greenlet.join(timeout=self._stop_timeout_s)
        if not greenlet.dead:
            self.interrupted += user._state == LOCUST_STATE_STOPPING  # noqa: SLF001
            user.stop(force=True)
