"""What one question came to: a value, or why there is none. Nothing is asked here."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeVar

from runner.errors import SignalError
from runner.model.plan import Phase
from runner.model.recording import PhaseSignal, SignalState
from runner.signals.client import UnreachableError

T = TypeVar("T")
Unit = Literal["s", "per_s", "ratio", "count"]

UNITS: dict[str, Unit] = {
    "traffic": "per_s",
    "errors": "ratio",
    "overflow": "count",
    "saturation.cpu": "ratio",
    "saturation.memory": "ratio",
}
"""Unit by indicator; latencies, which have a statistic in their names, are seconds."""


@dataclass(frozen=True, slots=True)
class PhaseWindow:
    """One phase, or one plateau of the load, in Prometheus' time: Unix seconds."""

    phase: Phase
    start_s: float
    end_s: float

    @property
    def seconds(self) -> float:
        return self.end_s - self.start_s


@dataclass(frozen=True, slots=True)
class Figure:
    """A value with what it rests on; see :class:`runner.model.recording.PhaseSignal`."""

    value: float | None
    samples: float | None
    query: str
    state: SignalState = "ok"
    message: str = ""
    warnings: tuple[str, ...] = ()

    def of(
        self, window: PhaseWindow, sli: str, service: str, unit: Unit | None = None
    ) -> PhaseSignal:
        """The figure as a signal; a value that is no number is none.

        Args:
            window: Where.
            sli: Name of the indicator.
            service: Whom it is about.
            unit: Its unit; None for that of ``sli``.
        """
        value, state, message = self.value, self.state, self.message
        if value is not None and not math.isfinite(value):
            value, state, message = None, "gaps", "the figure is not a number"
        return PhaseSignal(
            phase=window.phase.index,
            sli=sli,
            service=service,
            unit=unit or UNITS.get(sli, "s"),
            query=self.query,
            value=value,
            samples=self.samples,
            state=state,
            message=message,
            warnings=tuple(dict.fromkeys(self.warnings)),
        )


def nothing(query: str, message: str, warnings: tuple[str, ...] = ()) -> Figure:
    """There is no data."""
    return Figure(None, 0.0, query, "empty", message, warnings)


def failed(query: str, error: SignalError) -> Figure:
    """The question was refused."""
    return Figure(None, None, query, "error", error.message)


def attempt(ask: Callable[[], T]) -> T | SignalError:
    """What ``ask`` returns, or why it could not.

    Raises:
        UnreachableError: When nobody answers: then there is no point in going on.
    """
    try:
        return ask()
    except UnreachableError:
        raise
    except SignalError as error:
        return error
