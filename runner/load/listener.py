"""Hears Locust's events and counts them into a recorder. Runs in Locust's process only."""

from __future__ import annotations

import logging
import time
from typing import Any

from runner.load.outcomes import classify
from runner.load.pool import intended
from runner.load.recorder import MAX_ENDPOINTS, Recorder, overflow_note
from runner.model.recording import USER_CODE

logger = logging.getLogger("seatrial.load")


class LoadClock:
    """Offsets from the start of the load, on a clock that never goes back."""

    def __init__(self) -> None:
        self.started_wall_s: float | None = None
        self._started_s = 0.0

    def start(self, in_s: float = 0.0) -> None:
        """Set offset 0 to ``in_s`` from now."""
        self.started_wall_s = time.time() + in_s
        self._started_s = time.monotonic() + in_s

    @property
    def started(self) -> bool:
        return self.started_wall_s is not None

    def offset_s(self) -> float:
        return time.monotonic() - self._started_s


class Listener:
    """Listens to a Locust environment.

    Args:
        recorder: Where requests are counted.
        clock: Of the load.
        open_model: Whether requests may have an intended start.
    """

    def __init__(self, recorder: Recorder, clock: LoadClock, *, open_model: bool) -> None:
        self._recorder = recorder
        self._clock = clock
        self._open = open_model
        self._said: set[str] = set()
        self._news: list[str] = []

    def listen(self, events: Any) -> None:
        events.request.add_listener(self.on_request)
        events.user_error.add_listener(self.on_user_error)

    def on_request(
        self,
        *,
        request_type: str,
        name: str,
        response_time: float | None,
        response: Any = None,
        exception: Any = None,
        start_time: Any = None,
        response_length: Any = None,
        context: Any = None,
        url: Any = None,
        **_: Any,
    ) -> None:
        """Listen to Locust's ``request`` event; on the hot path.

        What is named here and not used need not be gathered into a dictionary.
        """
        if response_time is None:
            self.note("requests without a response time (None) are not recorded")
            return
        outcome, text = "success", ""
        if exception is not None:
            outcome, text = classify(exception, response)
        service_us = None
        due = intended() if self._open else None
        try:
            latency_us = response_time * 1000
            if due is not None:
                service_us = latency_us
                latency_us += due[1]
                second = int(due[0])
            else:
                if self._open:
                    service_us = latency_us
                second = self._second_of(start_time, response_time)
            self._recorder.record(
                second,
                request_type,
                name,
                latency_us,
                outcome=outcome,
                text=text,
                service_us=service_us,
            )
        except (TypeError, ValueError, OverflowError):  # some client's own idea of a time
            self.note("requests whose response time is not a finite number are not recorded")

    def on_user_error(self, exception: BaseException, **_: Any) -> None:
        self._recorder.fail(USER_CODE, "error", classify(exception)[1])

    def note(self, text: str) -> None:
        """Put a sentence on record, once."""
        if text not in self._said and len(self._said) < MAX_ENDPOINTS:
            self._said.add(text)
            self._news.append(text)
            logger.warning(text)

    def news(self) -> tuple[str, ...]:
        """Sentences that are new since the last look."""
        if self._recorder.overflowed:
            self.note(overflow_note(MAX_ENDPOINTS))
        news, self._news = self._news, []
        return tuple(news)

    def _second_of(self, start_time: Any, response_time: float) -> int:
        started_wall_s = self._clock.started_wall_s
        if started_wall_s is None:
            return 0
        if not isinstance(start_time, float):
            start_time = time.time() - response_time / 1000
        return max(0, int(start_time - started_wall_s))
