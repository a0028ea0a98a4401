"""Guards at work: what each one sees, for how long it has held, and when it trips. No I/O.

Queries are asked through a function that is handed in. A guard that has no figure follows its
``on_missing``: ``abort`` takes it for a breach, because whoever asks for a guard wants to be
stopped when nobody can tell how the service is; ``ignore`` passes over it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from runner.analysis.live import LiveLoad
from runner.analysis.words import compared, count, listed
from runner.mistakes import closest
from runner.model.guard import Guard, Reading, Threshold
from runner.model.plan import Plan

ASK_EVERY_S = 2.0
"""A query is asked no more often than that."""

SETTLE_S = 1.0
"""What ends is written with its second's others: a window is looked at that much later."""

HEARD_S = 2.5
"""The generator writes each second. One that has not for so long says nothing of the target."""

ANSWER_LATE_S = 1.5
"""An answer is written with its second's others, and read a moment later."""

LOOK_EVERY_S = 1.0
"""Where nothing new has come in, a figure is good for that long: a minute of load is a lot."""

_NEAR_TITLE = 48

Ask = Callable[[str], Reading]


@dataclass(frozen=True, slots=True)
class Look:
    """What a guard saw at one moment.

    Attributes:
        breached: Whether its condition held; None when there was nothing to tell it by.
        saw: The figure that was seen, or why there was none, in words.
    """

    breached: bool | None
    saw: str = ""


@dataclass(slots=True)
class GuardWatch:
    """One guard, and how long its condition has held.

    Attributes:
        since_s: Offset since which it has held without a break; None while it does not.
        breached_s: Offset at which it was last seen to hold.
        saw: The last figure that was seen while it held; empty when there was none.
        ask_at_s: Offset from which on its query may be asked again.
    """

    guard: Guard
    since_s: float | None = None
    breached_s: float = 0.0
    saw: str = ""
    ask_at_s: float = 0.0
    _look: Look = field(default_factory=lambda: Look(None))
    _look_of: tuple[float, float] = (-1.0, -1.0)

    def look(self, load: LiveLoad, now_s: float) -> Look:
        """What the guard sees in ``load`` now."""
        heard_s, looked_s = self._look_of
        if heard_s != load.heard_s or now_s - looked_s >= LOOK_EVERY_S:
            self._look = load_look(self.guard, load, now_s)
            self._look_of = (load.heard_s, now_s)
        return self._look

    def rest(self) -> None:
        """Begin anew: the condition does not hold, or nothing is to be expected."""
        self.since_s, self.saw = None, ""

    def tripped(self, look: Look, now_s: float) -> str | None:
        """Take in ``look``: why the run must stop now, or None."""
        guard = self.guard
        if look.breached is False:
            self.rest()
            return None
        if look.breached is None and guard.on_missing == "ignore":
            if now_s - self.breached_s > guard.for_:  # Nobody can say that it held meanwhile.
                self.rest()
            return None
        if self.since_s is None:
            self.since_s = now_s
        self.breached_s = now_s
        missing = "" if look.breached else look.saw
        self.saw = look.saw if look.breached else self.saw
        if now_s - self.since_s < guard.for_:
            return None
        if not self.saw:
            said = f"counts as breached, with no figure at all for {guard.for_:g} s ({missing})"
        elif missing:
            said = f"held for {guard.for_:g} s ({self.saw}; since then no figure: {missing})"
        else:
            said = f"held for {guard.for_:g} s ({self.saw})"
        return f"{guard.title} {said}, at {now_s:.1f} s"


@dataclass(slots=True)
class Guards:
    """All guards of a run."""

    plan: Plan
    watches: list[GuardWatch] = field(default_factory=list)
    _asked_s: float | None = None
    _free_at_s: float = 0.0

    @classmethod
    def of(cls, plan: Plan) -> Guards:
        return cls(plan, [GuardWatch(guard) for guard in plan.experiment.guards])

    def tripped(self, load: LiveLoad, now_s: float, ask: Ask) -> str | None:
        """Why the run must stop now, or None; asks at most one question.

        Args:
            load: The load so far.
            now_s: Offset of this moment.
            ask: Gives the answer of Prometheus to a query, in bounded time.
        """
        for watch in self.watches:
            guard = watch.guard
            if guard.kind == "promql" or now_s < guard.grace:
                continue
            if guard.kind == "silent":
                expected = self.plan.expects_load(now_s)
                look = load_look(guard, load, now_s)
            else:
                if now_s < guard.grace + guard.window + SETTLE_S:
                    continue
                expected = _figure_expected(self.plan, guard, now_s)
                look = watch.look(load, now_s)
            if not expected:
                watch.rest()
            elif reason := watch.tripped(look, now_s):
                return reason
        return self._ask(now_s, ask)

    def near(self, now_s: float) -> tuple[str, ...]:
        """Guards whose condition holds now, each such as ``errors > 60%: 12 of 30 s``."""
        holding = [(w.guard, w.since_s) for w in self.watches if w.since_s is not None]
        return tuple(
            f"{_shortened(guard.title)}: {min(now_s - since_s, guard.for_):.0f} of {guard.for_:g} s"
            for guard, since_s in holding
        )

    def _ask(self, now_s: float, ask: Ask) -> str | None:
        """Ask the query that has waited longest.

        After a question, none is asked for as long as it took: of a Prometheus that hangs, the
        loop is held up for half of its time at most, however many guards there are.
        """
        if self._asked_s is not None:  # This is the first moment after a question.
            self._free_at_s = now_s + (now_s - self._asked_s)
            self._asked_s = None
        due = [
            watch
            for watch in self.watches
            if watch.guard.kind == "promql" and now_s >= max(watch.guard.grace, watch.ask_at_s)
        ]
        if not due or now_s < self._free_at_s:
            return None
        watch = min(due, key=lambda one: one.ask_at_s)
        watch.ask_at_s = now_s + ASK_EVERY_S
        self._asked_s = now_s
        look = reading_look(watch.guard.threshold, ask(watch.guard.promql or ""))
        if look.breached is None and not self.plan.expects_load(now_s):
            watch.rest()  # Nobody sends, so nothing is counted.
            return None
        return watch.tripped(look, now_s)


def reading_look(threshold: Threshold, reading: Reading) -> Look:
    """What a guard sees in the answer to its query: of several series, the worst."""
    if not reading.values:
        return Look(None, reading.why or reading.state)
    worst = min if threshold.upper else max
    labels, value = worst(reading.values, key=lambda one: one[1])
    saw = f"last seen {compared(value, threshold.value, threshold.unit)[0]}"
    if len(reading.values) > 1:
        saw += f", the worst of {len(reading.values)}, of {labels or 'no label'}"
    return Look(threshold.holds(value), saw)


def load_look(guard: Guard, load: LiveLoad, now_s: float) -> Look:
    """What a guard that watches the load sees now."""
    if now_s - load.heard_s > HEARD_S:
        return Look(None, f"the load generator has written nothing since {load.heard_s:.1f} s")
    return _silence(load, now_s) if guard.kind == "silent" else _figure(guard, load, now_s)


def _silence(load: LiveLoad, now_s: float) -> Look:
    if load.answered_s is not None and now_s - load.answered_s <= ANSWER_LATE_S:
        return Look(False)
    last = "no answer at all"
    if load.answered_s is not None:
        last = f"the last answer came at {load.answered_s:.1f} s"
    ended = "no request has ended since"
    if load.unanswered:
        ended = f"{count(load.unanswered, 'request')} ended without one since"
    return Look(True, f"{last}; {ended}")


def _figure(guard: Guard, load: LiveLoad, now_s: float) -> Look:
    bound = guard.bound
    window = load.window(now_s, guard.window, guard.of)
    observed = window.observed(bound)
    if observed is None:
        return Look(None, _no_figure(guard, load, window.requests))
    seen = compared(observed, bound.value, bound.unit)[0]
    return Look(bound.holds(observed), f"last seen {seen}")


def _no_figure(guard: Guard, load: LiveLoad, requests: int) -> str:
    last = f"in the last {guard.window:g} s"
    if requests:
        return f"no request has succeeded {last}, to have a latency"
    if guard.of is None:
        return f"no request has ended {last}"
    text = f"no request to {guard.of} has ended {last}"
    known = load.endpoints
    if guard.of in known or not known:
        return text
    guess = closest(guard.of, known)
    return f"{text}; " + (f"did you mean {guess}?" if guess else f"only to {listed(known)}")


def _figure_expected(plan: Plan, guard: Guard, now_s: float) -> bool:
    """Whether the plan has load in the window: in all of it, where its amount is watched."""
    last = int(now_s - SETTLE_S)
    seconds = range(max(0, last - int(guard.window)), last)
    expected = [plan.expects_load(second + 0.5) for second in seconds]
    return all(expected) if guard.bound.sli == "traffic" else any(expected)


def _shortened(title: str) -> str:
    return title if len(title) <= _NEAR_TITLE else f"…{title[1 - _NEAR_TITLE :]}"
