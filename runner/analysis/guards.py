"""Guards at work: what each one sees, for how long it has held, and when it trips. No I/O.

Queries are asked through a function that is handed in. A guard that has no figure follows its
``on_missing``: ``abort`` takes it for a breach, because whoever asks for a guard wants to be
stopped when nobody can tell how the service is; ``ignore`` passes over it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from runner.analysis.live import SETTLE_S, LiveLoad, window_seconds
from runner.analysis.words import compared, count, listed
from runner.mistakes import closest
from runner.model.guard import Guard, Reading, Threshold
from runner.model.objective import Bound
from runner.model.plan import Plan
from runner.model.recording import LoadRow

ASK_EVERY_S = 2.0
"""A query is asked no more often; of a Prometheus that answers nothing, none is."""

HEARD_S = 2.5
"""The generator writes each second. One that has not for so long says nothing of the target."""

ANSWERED = ("success", "http_4xx", "http_5xx")
"""Outcomes that only a target that answers can give."""

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
class Answers:
    """When the target last answered, told by when its answers came in.

    Not by the seconds of the rows: these are the seconds in which requests were sent, and one that
    was sent long ago and is answered now is an answer now.

    Attributes:
        last_s: Offset at which an answer last came in; None before the first.
        heard_s: Offset at which the generator last wrote anything.
        unanswered: Requests that have ended without an answer since then.
    """

    last_s: float | None = None
    heard_s: float = 0.0
    unanswered: int = 0

    def add(self, rows: Iterable[LoadRow], users: Iterable[tuple[int, int]], now_s: float) -> None:
        """Take in what the generator has newly written."""
        for row in rows:
            self.heard_s = now_s
            if row.outcome in ANSWERED:
                self.last_s, self.unanswered = now_s, 0
            elif self.last_s != now_s:
                self.unanswered += row.count
        if any(True for _ in users):
            self.heard_s = now_s

    def look(self, now_s: float) -> Look:
        """Whether the target is silent now. An answer is known ``SETTLE_S`` late at most."""
        if now_s - self.heard_s > HEARD_S:
            return Look(None, f"the load generator has written nothing since {self.heard_s:.1f} s")
        if self.last_s is not None and now_s - self.last_s <= SETTLE_S:
            return Look(False)
        last = "no answer at all"
        if self.last_s is not None:
            last = f"the last answer came at {self.last_s:.1f} s"
        ended = "no request has ended since"
        if self.unanswered:
            ended = f"{count(self.unanswered, 'request')} ended without one since"
        return Look(True, f"{last}; {ended}")


@dataclass(slots=True)
class Guards:
    """All guards of a run."""

    plan: Plan
    watches: list[GuardWatch] = field(default_factory=list)
    answers: Answers = field(default_factory=Answers)

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
                look = self.answers.look(now_s)
            else:
                if now_s < guard.grace + guard.window + SETTLE_S:
                    continue
                expected = _figure_expected(self.plan, guard, now_s)
                look = load_look(guard, load, now_s)
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


def load_look(guard: Guard, load: LiveLoad, now_s: float) -> Look:
    """What a guard sees in the last seconds of load."""
    bound = guard.bound
    window = load.window(now_s, guard.window, guard.of)
    observed = window.observed(bound)
    if observed is None:
        return Look(None, _no_figure(bound, guard, load, window.requests))
    return Look(
        bound.holds(observed), f"last seen {compared(observed, bound.value, bound.unit)[0]}"
    )


def _no_figure(bound: Bound, guard: Guard, load: LiveLoad, requests: int) -> str:
    if requests:
        return f"no request of the last {guard.window:g} s succeeded, to have a {bound.sli}"
    if guard.of is None:
        return f"no request of the last {guard.window:g} s has ended"
    text = f"no request to {guard.of} in the last {guard.window:g} s"
    known = sorted({row.endpoint for rows in load.rows.values() for row in rows})
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
