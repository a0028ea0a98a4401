"""A guard's query to Prometheus while load runs: one answer, or none, in bounded time.

Timeouts of sockets do not bound everything (a name that is not resolved, an address after the
other), so a question is asked in a thread of its own that nobody waits for longer than agreed.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from runner.errors import SignalError
from runner.model.guard import Reading
from runner.signals.client import Answer, PromClient, RefusedError

_VECTORS = ("vector", "scalar")


@dataclass(slots=True)
class Asker:
    """Asks one question at a time."""

    _thread: threading.Thread | None = field(default=None, init=False)

    def ask(self, question: Callable[[], Reading], within_s: float) -> Reading:
        """The answer of ``question``, or that there was none within ``within_s`` seconds.

        While an older question hangs, no other is asked. Raises what the question raises.
        """
        if self._thread is not None and self._thread.is_alive():
            return _unreachable("Prometheus still owes the answer to an older question")
        answers: list[Reading] = []
        errors: list[Exception] = []

        def work() -> None:
            try:
                answers.append(question())
            except Exception as error:  # noqa: BLE001 - raised again by whoever asked
                errors.append(error)

        self._thread = threading.Thread(target=work, name="guard-query", daemon=True)
        self._thread.start()
        self._thread.join(within_s)
        if errors:
            raise errors[0]
        if answers:
            return answers[0]
        return _unreachable(f"Prometheus did not answer within {within_s:g} s")


def asked(make_client: Callable[[], PromClient], promql: str) -> Reading:
    """The answer to ``promql`` now; whatever is wrong is a state of it."""
    try:
        client = make_client()
    except (SignalError, ValueError) as error:
        return _unreachable(str(error))
    try:
        return reading_of(client.query("guard", promql))
    except RefusedError as error:
        return Reading("refused", why=error.message)
    except SignalError as error:
        return _unreachable(error.message)
    finally:
        client.close()


def reading_of(answer: Answer) -> Reading:
    """What a guard is told of ``answer``: each series but those that are not a number."""
    if answer.kind not in _VECTORS:
        why = f"the query gives a {answer.kind}; accepted: one value per series, as of rate()"
        return Reading("refused", why=why)
    numbers = [
        (", ".join(f"{name}={value}" for name, value in sorted(one.labels.items())), last)
        for one in answer.series
        if not math.isnan(last := one.points[-1][1])
    ]
    if numbers:
        return Reading("ok", tuple(numbers))
    if answer.series:
        return Reading("empty", why="the answer of Prometheus is not a number")
    return Reading("empty", why="the answer of Prometheus is empty: no series matches")


def _unreachable(why: str) -> Reading:
    return Reading("unreachable", why=why)
