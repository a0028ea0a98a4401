"""From the way a run ended to its exit code, and to a line about it: pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from runner.errors import ExitCode, SeatrialError
from runner.model.evaluation import Verdict
from runner.model.plan import Plan
from runner.model.recording import Event, RunState, aborted_from_outside, unhealed
from runner.progress import StopReason
from runner.reports import format as fmt

_OF_VERDICT = {
    Verdict.PASS: ExitCode.PASS,
    Verdict.WARN: ExitCode.PASS,
    Verdict.FAIL: ExitCode.FAIL,
    Verdict.INCONCLUSIVE: ExitCode.INCONCLUSIVE,
}


@dataclass(frozen=True, slots=True)
class RunEnd:
    """How a run ended, apart from its verdict.

    Attributes:
        stop: Who asked it to stop, if anybody.
        error: What went wrong, if anything.
        left: Ids of faults that the journal does not show as healed.
    """

    stop: StopReason | None = None
    error: SeatrialError | None = None
    left: Sequence[str] = ()

    def with_error(self, error: SeatrialError) -> RunEnd:
        """This end with ``error``, unless an earlier one is known: the root cause stays."""
        return self if self.error is not None else replace(self, error=error)


def exit_code(end: RunEnd, state: RunState, verdict: Verdict | None) -> ExitCode:
    """The exit code of a run. Something left broken wins; then the way it ended; then the verdict.

    Args:
        end: How it ended.
        state: The state that its manifest was sealed with.
        verdict: None when nothing could be judged.
    """
    if end.left:
        return ExitCode.LEFT_BROKEN
    if state == "interrupted":
        return ExitCode.TERMINATED if end.stop == "terminated" else ExitCode.INTERRUPTED
    if state == "aborted":
        return ExitCode.ABORTED
    if end.error is not None:
        return end.error.exit_code
    return ExitCode.INCONCLUSIVE if verdict is None else of_verdict(verdict)


def of_verdict(verdict: Verdict) -> ExitCode:
    """The exit code of a verdict on a run that ended by itself."""
    return _OF_VERDICT[verdict]


def left_lines(events: Iterable[Event], left: Iterable[str]) -> list[str]:
    """For each fault in ``left`` that a heal has failed on: what its last heal had to say."""
    said = {
        e.source: e.detail for e in events if e.action == "heal" and e.kind != "ok" and e.detail
    }
    return [f"  {fault}: {said[fault].splitlines()[0]}" for fault in left if fault in said]


def left_to_guardian(events: Iterable[Event], log: Path) -> list[str]:
    """That the run's guardian goes on to heal without the runner, if it does."""
    ways = {e.action for e in events if (e.source, e.kind) == ("guardian", "ok")}
    if "leave" not in ways:
        return []
    return [f"the guardian of the run goes on trying for some minutes, and says so in {log}"]


def ending_line(state: RunState, events: Iterable[Event], plan: Plan) -> str:
    """How a run ended that did not come to its planned end, and what is left of it; else empty.

    Such as ``interrupted at 17s of 38s; healed: 01-rare; nothing is left in place``.
    """
    words = {"interrupted": "interrupted", "aborted": "aborted by a guard", "failed": "broke off"}
    if state not in words:
        return ""
    known = tuple(events)
    ends = [e for e in known if (e.source, e.kind) in (("run", "note"), ("guard", "note"))]
    if state == "aborted" and aborted_from_outside(known):
        ends = [e for e in known if (e.source, e.action) == ("guardian", "abort")]
        words["aborted"] = "aborted"
    offset_s = ends[-1].offset_s if ends and state != "failed" else None
    if offset_s is None:
        started = [e.offset_s for e in known if e.source == "load" and e.offset_s is not None]
        offset_s = min(started, default=None)
    when = "before the load started"
    if offset_s is not None:
        when = f"at {fmt.span(round(offset_s))} of {fmt.span(plan.duration_s)}"
    begun = list(dict.fromkeys(e.source for e in known if e.action == "inject"))
    left = unhealed(known)
    healed = [fault for fault in begun if fault not in left]
    what = f"healed: {', '.join(healed)}" if healed else "no fault had begun" if not begun else ""
    rest = f"NOT healed: {', '.join(sorted(left))}" if left else "nothing is left in place"
    return "; ".join(filter(None, (f"{words[state]} {when}", what, rest)))
