"""The journal of a run: what is about to be done, then what became of it.

It is the record; the log is for humans. A line is on disk before the effect that it announces.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from typing import TypeVar

from runner.errors import SeatrialError
from runner.model.recording import Event, EventKind
from runner.ports import Clock
from runner.store import RunDir

log = logging.getLogger(__name__)
T = TypeVar("T")


class Journal:
    """Writes what is about to happen, then what became of it."""

    def __init__(self, run: RunDir, clock: Clock) -> None:
        self._run = run
        self._clock = clock
        self.anchor_wall_s: float | None = None

    def write(self, source: str, action: str, kind: EventKind, detail: str = "") -> None:
        wall_s = self._clock.wall_s()
        offset_s = None if self.anchor_wall_s is None else wall_s - self.anchor_wall_s
        self._run.append_event(
            Event(
                wall_s=wall_s,
                offset_s=offset_s,
                source=source,
                action=action,
                kind=kind,
                detail=detail,
            )
        )

    def act(self, source: str, action: str, effect: Callable[[], T]) -> T:
        """Run ``effect`` between its ``begin`` and its ``ok``; ``unknown`` when it raises."""
        self.write(source, action, "begin")
        return self._carry_out(source, action, effect)

    def make_good(self, source: str, action: str, effect: Callable[[], T]) -> T:
        """Run an effect that undoes another, as :meth:`act` does.

        It is run even where the journal cannot be written, which is raised afterwards: on a full
        disk, too, a fault is healed.
        """
        unwritten = self.announce(source, action)
        result = self._carry_out(source, action, effect)
        if unwritten is not None:
            raise unwritten
        return result

    def announce(self, source: str, action: str) -> SeatrialError | None:
        """Write that an effect begins which undoes another; why that is not written, if it is not.

        What it returns is to be raised when the effect is over.
        """
        try:
            self.write(source, action, "begin")
        except SeatrialError as error:
            return error
        return None

    def step(self, source: str, action: str, effect: Callable[[], T | None]) -> T | None:
        """A step of an effect that takes its time, and was announced.

        It is over when the step returns something, which is written down, or raises.
        """
        try:
            result = effect()
        except BaseException as error:
            self._unknown(source, action, error)
            raise
        if result is not None:
            self.write(source, action, "ok")
        return result

    def undo(self, source: str, action: str, effect: Callable[[], object]) -> None:
        """Run an undo. Its failure is journaled, not raised: the root cause must surface.

        An undo that is interrupted, as by Ctrl-C, is carried out again before the interrupt goes
        on its way.
        """
        interrupt: BaseException | None = None
        for _ in range(2):
            try:
                self.make_good(source, action, effect)
            except Exception as error:
                log.error("%s: %s failed: %s", source, action, error)  # noqa: TRY400 - for everybody
                log.debug("%s: %s", source, action, exc_info=error)
            except BaseException as error:  # noqa: BLE001 - raised below
                interrupt = error
                continue
            break
        if interrupt is not None:
            raise interrupt

    def _carry_out(self, source: str, action: str, effect: Callable[[], T]) -> T:
        try:
            result = effect()
        except BaseException as error:
            self._unknown(source, action, error)
            raise
        self.write(source, action, "ok")
        return result

    def _unknown(self, source: str, action: str, error: BaseException) -> None:
        with contextlib.suppress(SeatrialError):  # The root cause must surface.
            self.write(source, action, "unknown", str(error) or type(error).__name__)
