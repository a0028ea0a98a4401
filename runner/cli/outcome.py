"""From the way a run ended to its exit code: a pure function with the table of the house."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from runner.errors import ExitCode, SeatrialError
from runner.model.evaluation import Verdict
from runner.model.recording import RunState
from runner.progress import StopReason

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
