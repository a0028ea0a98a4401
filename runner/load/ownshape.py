"""A locustfile's own load shape: what its ``tick()`` says, and who runs on the way there. Pure.

``tick()`` is asked once a second, as Locust does it. What it wants is approached in a straight line
at its spawn rate, user by user; a new wish bends the line where it is, without waiting for the old
one to be reached, as Locust would.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from runner.load.shape import Share, class_to_start

_SOON_S = 0.001
_PAIR, _TRIPLE = 2, 3


@dataclass(frozen=True, slots=True)
class Wish:
    """What a tick asked for.

    Attributes:
        users: Users in all.
        spawn_rate: Users to start or stop per second on the way there.
        classes: Names of the classes that new users are of; None for those of the wish before.
    """

    users: int
    spawn_rate: float
    classes: tuple[str, ...] | None = None


def read_tick(value: object, known: Iterable[str]) -> Wish | None:
    """The wish that a ``tick()`` returned; None when the shape is over.

    Args:
        value: ``(users, spawn_rate)`` or ``(users, spawn_rate, user_classes)``, or None.
        known: Names of the user classes that take part.

    Raises:
        ValueError: When it is something else; the message names the value and what is accepted.
    """
    if value is None:
        return None
    accepted = "accepted: (users, spawn_rate), the same with a list of user classes, or None"
    if not isinstance(value, tuple | list) or len(value) not in (_PAIR, _TRIPLE):
        raise ValueError(f"tick() returned {value!r}; {accepted}")
    users, spawn_rate = value[0], value[1]
    if not _finite(users) or users < 0:
        raise ValueError(f"tick() wants {users!r} users; accepted: a number from 0")
    if not _finite(spawn_rate) or spawn_rate <= 0:
        raise ValueError(f"tick() wants a spawn rate of {spawn_rate!r}; accepted: one above 0")
    classes = value[2] if len(value) == _TRIPLE else None
    if classes is None:
        return Wish(round(users), float(spawn_rate))
    names = tuple(sorted({getattr(kind, "__name__", str(kind)) for kind in classes}))
    strangers = sorted(set(names) - set(known))
    if strangers or not names:
        named = ", ".join(strangers) or "no user class"
        raise ValueError(f"tick() names {named}; accepted: {', '.join(sorted(known))}")
    return Wish(round(users), float(spawn_rate), names)


def _finite(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


class Approach:
    """The line of users on the way from wish to wish."""

    def __init__(self) -> None:
        self._wish = Wish(0, 1.0)
        self._from = 0.0
        self._since_s = 0.0

    def turn_to(self, wish: Wish, offset_s: float) -> None:
        """Approach ``wish`` from ``offset_s`` on; the same wish again changes nothing."""
        if wish != self._wish:
            self._from, self._since_s, self._wish = self._line_at(offset_s), offset_s, wish

    def due(self, offset_s: float) -> int:
        """Users that should run; on the half, the step is made, up or down."""
        line = self._line_at(offset_s)
        down = self._wish.users < self._from
        return math.ceil(line - 0.5) if down else math.floor(line + 0.5)

    def next_change_s(self, offset_s: float) -> float:
        """An offset after ``offset_s`` up to which :meth:`due` stays what it is; maybe infinite."""
        due = self.due(offset_s)
        if due == self._wish.users:
            return math.inf
        edge = due - 0.5 if self._wish.users < self._from else due + 0.5
        crossing_s = self._since_s + abs(edge - self._from) / self._wish.spawn_rate
        # Rounding may put the crossing just behind us: then look again soon.
        return crossing_s if crossing_s > offset_s else offset_s + _SOON_S

    def _line_at(self, offset_s: float) -> float:
        moved = self._wish.spawn_rate * max(0.0, offset_s - self._since_s)
        way = self._wish.users - self._from
        return self._from + math.copysign(min(moved, abs(way)), way)


class Roster:
    """Which class each user is of, in the order of their start; who came last leaves first.

    Args:
        weights: Class name to weight, of classes without a fixed count.
        fixed: Class name to fixed count.
    """

    def __init__(self, weights: Mapping[str, float], fixed: Mapping[str, int]) -> None:
        self._weights = weights
        self._fixed = fixed
        self._allowed = {*weights, *fixed}
        self._names: list[str] = []
        self._counts: Counter[str] = Counter()

    def allow(self, classes: Iterable[str] | None) -> None:
        """Let new users be of ``classes`` only; None leaves it as it is."""
        if classes is not None:
            self._allowed = set(classes)

    def wanted(self, users: int, share: Share) -> Counter[str]:
        """Class name to users that ``share`` has to run, of ``users`` in all."""
        while len(self._names) > users:
            self._counts[self._names.pop()] -= 1
        weights = {name: weight for name, weight in self._weights.items() if name in self._allowed}
        fixed = {name: count for name, count in self._fixed.items() if name in self._allowed}
        while len(self._names) < users:
            name = class_to_start(self._counts, weights, fixed)
            if name is None:
                break
            self._names.append(name)
            self._counts[name] += 1
        return Counter(self._names[share.index :: share.count])


def choose_shape(shapes: Mapping[str, Any], ours: Iterable[str]) -> Any:
    """The one shape of the locustfile's own.

    Args:
        shapes: Class name to instance, as Locust found them.
        ours: Names of those that are not the locustfile's.

    Raises:
        ValueError: When there is none, or several of which none is made out of the others.
    """
    own = {name: shape for name, shape in shapes.items() if name not in set(ours)}
    last = {  # What others are made out of was imported for that.
        name: shape
        for name, shape in own.items()
        if not any(isinstance(other, type(shape)) for other in own.values() if other is not shape)
    }
    if len(last) == 1:
        return next(iter(last.values()))
    if not last:
        raise ValueError("the locustfile has no load shape; accepted: one class of LoadTestShape")
    raise ValueError(
        f"the locustfile has several load shapes ({', '.join(sorted(last))}); accepted: one"
    )
