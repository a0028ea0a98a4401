"""Every error that seatrial raises on purpose, and the exit codes of the command line.

::

    SeatrialError
    ├── UsageError            2   a flag, a name or a file that cannot be what was meant
    │   └── InvalidFileError  2   a file with mistakes, each with its position
    ├── TargetError           3   the target, or a part of it, cannot be used
    │   ├── MissingPartError  3   a program that the sandbox needs is not on this machine
    │   └── TargetBusyError   3   another run holds the target
    ├── LoadError             3   the load generator did not do its work
    ├── FaultError            3   a fault could not be injected, or was not seen
    ├── SignalError           3   the signal source gave no usable answer
    ├── RecordingError        3   a run folder is torn, foreign or incomplete
    └── LeftBrokenError       5   a fault may still be in effect: a human must look

A message says what is wrong and where; ``accepted`` says what would have been right, and ``hint``
what to do about it; all are legible, whatever names and answers they tell of. Nothing here prints.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar

from runner.legible import legible


class ExitCode(IntEnum):
    """The exit codes of ``seatrial``. They are stable and never reused; 5 wins over all others."""

    PASS = 0
    FAIL = 1
    USAGE = 2
    INCONCLUSIVE = 3
    ABORTED = 4
    LEFT_BROKEN = 5
    BUG = 70
    INTERRUPTED = 130
    TERMINATED = 143


class SeatrialError(Exception):
    """Base of all errors that are raised on purpose.

    Args:
        message: What is wrong, and where, in one sentence.
        accepted: What would have been accepted instead; empty when that is obvious.
        hint: What the reader can do now; empty when there is nothing to say.
    """

    exit_code: ClassVar[ExitCode] = ExitCode.INCONCLUSIVE

    def __init__(self, message: str, *, accepted: str = "", hint: str = "") -> None:
        super().__init__(message)
        self.message = legible(message)
        self.accepted = legible(accepted)
        self.hint = legible(hint)

    def __str__(self) -> str:
        lines = [self.message]
        if self.accepted:
            lines.append(f"accepted: {self.accepted}")
        if self.hint:
            lines.append(f"hint: {self.hint}")
        return "\n".join(lines)


class UsageError(SeatrialError):
    exit_code = ExitCode.USAGE


@dataclass(frozen=True, slots=True)
class Located:
    """A mistake, or a remark, and its place in a file, both counted from 1."""

    line: int
    column: int
    message: str


class InvalidFileError(UsageError):
    """A file with mistakes; the message already lists each one with ``file:line:col``.

    Attributes:
        mistakes: The same, as data; empty where a file has no lines.
    """

    def __init__(self, message: str, *, mistakes: Sequence[Located] = ()) -> None:
        super().__init__(message)
        self.mistakes = tuple(mistakes)


class TargetError(SeatrialError):
    pass


class MissingPartError(TargetError):
    pass


class TargetBusyError(TargetError):
    pass


class LoadError(SeatrialError):
    pass


class FaultError(SeatrialError):
    pass


class SignalError(SeatrialError):
    pass


class RecordingError(SeatrialError):
    pass


class LeftBrokenError(SeatrialError):
    exit_code = ExitCode.LEFT_BROKEN
