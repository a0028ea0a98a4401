"""Guards at work: what each one sees, for how long it has held, and when it trips. No I/O.

Queries are asked through a function that is handed in. A guard that has no figure follows its
``on_missing``: ``abort`` takes it for a breach, because whoever asks for a guard wants to be
stopped when nobody can tell how the service is; ``ignore`` passes over it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from runner.analysis.arrivals import Arrivals
from runner.analysis.live import SETTLE_S, window_seconds
from runner.analysis.words import compared, count, listed
from runner.mistakes import closest
from runner.model.guard import Guard, Reading, Threshold
from runner.model.plan import Plan

ASK_EVERY_S = 2.0
"""A query is asked no more often; of a Prometheus that answers nothing, none is."""

HEARD_S = 2.5
"""The generator writes each second. One that has not for so long says nothing of the target."""

ANSWER_LATE_S = 1.5
"""An answer is written with its second's others, and read a moment later."""

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
        ask_at_s: Offset from which on its query may be asked again.
    """

    guard: Guard
    since_s: float | None = None
    breached_s: float = 0.0
    ask_at_s: float = 0.0

    def rest(self) -> None:
        """Begin anew: the condition does not hold, or nothing is to be expected."""
        self.since_s = None

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
        if now_s - self.since_s < guard.for_:
            return None
        when = f"{guard.for_:g} s ({look.saw}), at {now_s:.1f} s"
        if look.breached is None:
            return f"{guard.title} counts as breached, with no figure at all for {when}"
        return f"{guard.title} held for {when}"


@dataclass(slots=True)
class Guards:
    """All guards of a run."""

    plan: Plan
    watches: list[GuardWatch] = field(default_factory=list)
    arrivals: Arrivals = field(default_factory=Arrivals)

    @classmethod
    def of(cls, plan: Plan) -> Guards:
        return cls(plan, [GuardWatch(guard) for guard in plan.experiment.guards])

    def tripped(self, now_s: float, ask: Ask) -> str | None:
        """Why the run must stop now, or None; asks at most one question.

        Args:
            now_s: Offset of this moment.
            ask: Gives the answer of Prometheus to a query, in bounded time.
        """
        for watch in self.watches:
            guard = watch.guard
            if guard.kind == "promql" or now_s < guard.grace:
                continue
            if guard.kind == "silent":
                expected = self.plan.expects_load(now_s)
            else:
                if now_s < guard.grace + guard.window + SETTLE_S:
                    continue
                expected = _figure_expected(self.plan, guard, now_s)
            look = load_look(guard, self.arrivals, now_s)
            if not expected:
                watch.rest()
            elif reason := watch.tripped(look, now_s):
                return reason
        return self._ask(now_s, ask)

    def near(self, now_s: float) -> tuple[str, ...]:
        """Guards whose condition holds now, each such as ``errors > 60%: 12 of 30 s``."""
        holding = [(w.guard, w.since_s) for w in self.watches if w.since_s is not None]
        return tuple(
            f"{_shortened(guard.title)}: {now_s - since_s:.0f} of {guard.for_:g} s"
            for guard, since_s in holding
        )

    def _ask(self, now_s: float, ask: Ask) -> str | None:
        """Ask the query that has waited longest."""
        asking = [w for w in self.watches if w.guard.kind == "promql" and now_s >= w.guard.grace]
        due = [watch for watch in asking if now_s >= watch.ask_at_s]
        if not due:
            return None
        first = min(due, key=lambda watch: watch.ask_at_s)
        reading = ask(first.guard.promql or "")
        # Whoever does not answer one question in time is spared the others, and so is the run.
        told = asking if reading.state == "unreachable" else [first]
        for watch in told:
            watch.ask_at_s = now_s + ASK_EVERY_S
        expected = self.plan.expects_load(now_s)
        for watch in told:
            look = reading_look(watch.guard.threshold, reading)
            if look.breached is None and not expected:  # Nobody sends, so nothing is counted.
                watch.rest()
            elif reason := watch.tripped(look, now_s):
                return reason
        return None


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


def load_look(guard: Guard, arrivals: Arrivals, now_s: float) -> Look:
    """What a guard that watches the load sees now."""
    if now_s - arrivals.heard_s > HEARD_S:
        return Look(None, f"the load generator has written nothing since {arrivals.heard_s:.1f} s")
    return _silence(arrivals, now_s) if guard.kind == "silent" else _figure(guard, arrivals, now_s)


def _silence(arrivals: Arrivals, now_s: float) -> Look:
    if arrivals.last_s is not None and now_s - arrivals.last_s <= ANSWER_LATE_S:
        return Look(False)
    last = "no answer at all"
    if arrivals.last_s is not None:
        last = f"the last answer came at {arrivals.last_s:.1f} s"
    ended = "no request has ended since"
    if arrivals.unanswered:
        ended = f"{count(arrivals.unanswered, 'request')} ended without one since"
    return Look(True, f"{last}; {ended}")


def _figure(guard: Guard, arrivals: Arrivals, now_s: float) -> Look:
    bound = guard.bound
    window = arrivals.window(now_s, guard.window, guard.of)
    observed = window.observed(bound)
    if observed is None:
        return Look(None, _no_figure(guard, arrivals, window.requests))
    seen = compared(observed, bound.value, bound.unit)[0]
    return Look(bound.holds(observed), f"last seen {seen}")


def _no_figure(guard: Guard, arrivals: Arrivals, requests: int) -> str:
    last = f"in the last {guard.window:g} s"
    if requests:
        return f"no request has succeeded {last}, to have a latency"
    if guard.of is None:
        return f"no request has ended {last}"
    text = f"no request to {guard.of} has ended {last}"
    known = arrivals.endpoints
    if guard.of in known or not known:
        return text
    guess = closest(guard.of, known)
    return f"{text}; " + (f"did you mean {guess}?" if guess else f"only to {listed(known)}")


def _figure_expected(plan: Plan, guard: Guard, now_s: float) -> bool:
    """Whether the plan has load in the window: in all of it, where its amount is watched."""
    seconds = window_seconds(now_s, guard.window)
    expected = [plan.expects_load(second + 0.5) for second in seconds]
    return all(expected) if guard.bound.sli == "traffic" else any(expected)


def _shortened(title: str) -> str:
    return title if len(title) <= _NEAR_TITLE else f"…{title[1 - _NEAR_TITLE :]}"
