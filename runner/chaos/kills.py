"""Kills of pods: one, or a series of them at given moments. What the activities do, no activity.

Whoever was killed is on record before anything else can go wrong. What may not be killed is left
out, with the reason. What is kept in memory does not grow with the length of a series.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from runner.chaos import pods as choice
from runner.chaos.client import ApiRefusalError, Cluster, one_line, patiently
from runner.chaos.effects import log, record
from runner.chaos.objects import BUDGETS, PODS, SERVICES, Object
from runner.chaos.recovery import Kill, Watch
from runner.errors import FaultError, SeatrialError
from runner.model.killtimes import kill_seed
from runner.model.target import UNBOUNDED, Bounds

PATIENCE_S = 5.0
"""For how long an API server that does not answer is asked again, for each request of a kill."""

LATEST_S = 10.0
"""A kill that could only happen later than this after its moment, or when the next one is due
already, is left out."""

STEP_S = 0.2
MOST_TOLD = 1000
"""Entries of a result; the record of effects has them all."""

MOST_NAMES = 20


@dataclass(frozen=True, slots=True)
class Wish:
    """Which pods are to be killed each time, and how.

    Attributes:
        namespace: Where.
        selector: Label selector of the candidates; never empty.
        count: A number of pods, a share such as ``50%``, or ``all``.
        min_healthy: Ready pods that must be left.
        grace_s: Grace of each pod, in whole seconds.
        effects: File for the record of effects.
        bounds: The target's, on how many pods may be killed at a time.
    """

    namespace: str
    selector: str
    count: int | str = 1
    min_healthy: int = 1
    grace_s: float = 0.0
    effects: str = ""
    bounds: Bounds = UNBOUNDED

    @property
    def subject(self) -> str:
        """How the candidates are called in records."""
        return f"pods/{self.selector}"


@dataclass(frozen=True, slots=True)
class Killed:
    """What one kill did.

    Attributes:
        candidates: Names of the pods that could have been drawn.
        victims: Who was killed.
        missed: Why others that were drawn were not.
    """

    candidates: list[str]
    victims: list[choice.Victim]
    missed: list[str]


def at_most(max_pods: int | None, max_percent: float | None, min_healthy: int = 0) -> Bounds:
    """Bounds on the pods that are hit at a time; None is no bound.

    Raises:
        FaultError: When they are no numbers that could bound anything.
    """
    try:
        return Bounds(max_pods=max_pods, max_percent=max_percent, min_healthy=min_healthy)
    except ValueError as error:
        raise FaultError(
            f"max_pods {max_pods!r}, max_percent {max_percent!r} and min_healthy {min_healthy!r} "
            "bound nothing",
            accepted="numbers of pods from 0, and a percentage from 0 to 100",
        ) from error


def service_selector(cluster: Cluster, namespace: str, service: str) -> str:
    """The label selector of a Service.

    Raises:
        FaultError: When neither a selector nor a Service was named, or it selects nothing.
    """
    if not service:
        raise FaultError(
            "a pod kill needs to know its candidates", accepted="a label selector, or a Service"
        )
    return choice.service_selector(patiently(lambda: cluster.read(SERVICES, namespace, service)))


def budgets_of(cluster: Cluster, namespace: str, *, patience_s: float = PATIENCE_S) -> list[Object]:
    """The PodDisruptionBudgets of a namespace; none where reading them is not allowed."""
    try:
        found: list[Object] = patiently(
            lambda: cluster.items(BUDGETS, namespace), deadline_s=patience_s
        )
    except ApiRefusalError as error:
        if error.status not in (403, 404):
            raise
        log.warning("PodDisruptionBudgets are not honoured: %s", error.message)
        return []
    return found


def draw(
    cluster: Cluster, wish: Wish, *, seed: int, patience_s: float = PATIENCE_S
) -> tuple[list[Object], list[choice.Victim]]:
    """All pods that the selector finds, and those of them that are to be killed.

    Raises:
        FaultError: When none may be killed.
        ApiRefusalError: When nobody says which pods there are.
    """
    before = patiently(
        lambda: cluster.items(PODS, wish.namespace, wish.selector), deadline_s=patience_s
    )
    victims = choice.choose(
        before,
        selector=wish.selector,
        count=wish.count,
        min_healthy=wish.min_healthy,
        seed=seed,
        budgets=budgets_of(cluster, wish.namespace, patience_s=patience_s),
        bounds=wish.bounds,
    )
    return before, victims


class Killer:
    """Kills pods of one wish, and watches until they are back.

    Args:
        cluster: Where.
        wish: Which pods, and how.
        patience_s: For how long a request that gets no answer is repeated.
        now: The Unix time.
        pause: Waits.
    """

    def __init__(
        self,
        cluster: Cluster,
        wish: Wish,
        *,
        patience_s: float = PATIENCE_S,
        now: Callable[[], float] = time.time,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self.wish = wish
        self.now = now
        self.pause = pause
        self._cluster = cluster
        self._patience_s = patience_s
        self.watch = Watch(
            lambda: cluster.items(PODS, wish.namespace, wish.selector),
            effects=wish.effects,
            now=now,
            pause=pause,
        )

    def kill(self, seed: int, title: str) -> Killed:
        """Kill once, drawing with ``seed``; ``title`` is how this kill is called in records.

        Raises:
            FaultError: When nobody was killed.
            ApiRefusalError: When nobody was killed because the API server refused, or was away.
        """
        before, victims = draw(self._cluster, self.wish, seed=seed, patience_s=self._patience_s)
        names = [str(pod["metadata"]["name"]) for pod in choice.candidates(before)]
        drawn = f"{title}, drawn with seed {seed} from {_named(names)}"
        log.info("%s: %s", drawn, [victim.name for victim in victims])
        done = Killed(names, [], [])
        refused: SeatrialError | None = None
        at_s = self.now()
        for victim in victims:
            try:
                lost = self._delete(victim)
            except SeatrialError as error:
                refused = refused or error
                done.missed.append(one_line(error))
                continue
            grace = f"grace {self.wish.grace_s:g} s"
            detail = f"uid {victim.uid}, node {victim.node or 'unknown'}, {grace}{lost}; {drawn}"
            record("killed", f"pod/{victim.name}", detail, self.wish.effects)
            done.victims.append(victim)
        if refused is not None and not done.victims:
            raise refused
        for reason in done.missed:
            self.skipped(title, reason)
        self.watch.killed(Kill(tuple(done.victims), at_s, title), before)
        return done

    def skipped(self, title: str, reason: str) -> None:
        """Write down that a kill, or one pod of it, was left out."""
        record("skipped", self.wish.subject, f"{title}: {reason}", self.wish.effects)

    def _delete(self, victim: choice.Victim) -> str:
        """Kill this very pod; again when the answer is lost. What is to be said about that.

        Raises:
            FaultError: When another pod has its name, or it is gone without our doing.
            ApiRefusalError: When it was refused for good, or for too long.
        """
        name, namespace = victim.name, self.wish.namespace
        pod = {"metadata": {"name": name, "namespace": namespace, "uid": victim.uid}}
        until_s, wait_s, lost = self.now() + self._patience_s, 0.1, ""
        while True:
            try:
                self._cluster.delete(PODS, pod, self.wish.grace_s)
            except ApiRefusalError as error:
                if error.status in (404, 409):
                    if lost:
                        return lost
                    raise FaultError(
                        f"pod/{name} was replaced by somebody else before it was killed"
                    ) from error
                if not error.transient or self.now() + wait_s > until_s:
                    raise
                if error.status != 429:
                    lost = ", an answer was lost"
            else:
                return lost
            self.pause(wait_s)
            wait_s = min(2 * wait_s, 1.0)


class Series:
    """Kills at given moments.

    Args:
        killer: Who kills.
        seed: Seed of the first choice; the others follow from it.
        while_recovering: Kill again although the pods of an earlier kill are not back.
    """

    def __init__(self, killer: Killer, seed: int, *, while_recovering: bool) -> None:
        self._killer = killer
        self._seed = seed
        self._while_recovering = while_recovering
        self._kills = 0
        self._killed: list[dict[str, Any]] = []
        self._skipped: list[str] = []

    def run(self, moments: Sequence[float], follow_until_s: float) -> dict[str, Any]:
        """Kill at each of the Unix times ``moments``, and watch until ``follow_until_s``.

        Raises:
            FaultError: When the first kill may not happen.
        """
        for number, due_s in enumerate(moments):
            self._follow(due_s)
            while (left_s := due_s - self._killer.now()) > 0:
                self._killer.pause(min(left_s, STEP_S))
            late_s = self._killer.now() - due_s
            # What was missed is not made up for: of several that are due, only the last one.
            is_past = late_s > LATEST_S or self._killer.now() >= _next(moments, number)
            self._attempt(
                number, f"kill {number + 1} of {len(moments)}", late_s if is_past else 0.0
            )
        self._follow(follow_until_s)
        return {
            "kills": self._kills,
            "skipped": self._skipped,
            "killed": self._killed,
            "recovered_after_s": self._killer.watch.took_s,
        }

    def _follow(self, until_s: float) -> None:
        try:
            self._killer.watch.follow(until_s)
        except ApiRefusalError as error:
            log.warning("the pods are not watched: %s", error.message)

    def _attempt(self, number: int, title: str, late_s: float) -> None:
        """Kill, unless there is a reason not to; ``late_s`` is 0 while it is not too late."""
        if number and (reason := self._obstacle(late_s)):
            self._skip(title, reason)
            return
        try:
            done = self._killer.kill(kill_seed(self._seed, number), title)
        except SeatrialError as error:
            self._skip(title, one_line(error))
            if number == 0:
                raise
            return
        self._kills += 1
        self._killed += [asdict(one) for one in done.victims][: MOST_TOLD - len(self._killed)]
        self._skipped += done.missed[: MOST_TOLD - len(self._skipped)]

    def _obstacle(self, late_s: float) -> str:
        if late_s:
            return f"it would have come {late_s:.1f} s late"
        waits_for = self._killer.watch.waits_for
        if waits_for and not self._while_recovering:
            return f"the pods of {waits_for} were not seen to be back"
        return ""

    def _skip(self, title: str, reason: str) -> None:
        self._killer.skipped(title, reason)
        if len(self._skipped) < MOST_TOLD:
            self._skipped.append(f"{title}: {reason}")


def _next(moments: Sequence[float], number: int) -> float:
    """When the kill after ``number`` is due; never, after the last one."""
    return moments[number + 1] if number + 1 < len(moments) else math.inf


def _named(names: Sequence[str]) -> str:
    more = len(names) - MOST_NAMES
    return ", ".join(names[:MOST_NAMES]) + (f" and {more} more" if more > 0 else "")
