"""Which signals a run takes for a wish to end it."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from runner.cli.run import _signals_set


@dataclass
class Said:
    """What of a view a signal handler uses."""

    over: bool = False
    texts: list[str] = field(default_factory=list)

    def say(self, text: str) -> None:
        self.texts.append(text)


@pytest.mark.parametrize(
    ("number", "before", "reason"),
    [
        (signal.SIGINT, signal.SIG_DFL, "interrupted"),
        (signal.SIGTERM, signal.SIG_DFL, "terminated"),
        (signal.SIGHUP, signal.SIG_DFL, "terminated"),
        (signal.SIGHUP, signal.SIG_IGN, None),
    ],
)
def test_who_is_told_to_go_on_without_a_terminal_goes_on(
    number: signal.Signals, before: signal.Handlers, reason: str | None
) -> None:
    """Goal: nohup is heard. Method: each signal, with what the shell had set for it."""
    kept = signal.signal(number, before)
    try:
        with _signals_set(cast("Any", Said())) as stop:
            os.kill(os.getpid(), number)
            assert stop.reason == reason
        assert signal.getsignal(number) is before
    finally:
        signal.signal(number, kept)
