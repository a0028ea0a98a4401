"""Ctrl-C of a worker whose master has not come yet: an end, and no failure. In Locust only."""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

from runner.errors import ExitCode

_usual = signal.default_int_handler


def leave_quietly_until(init: Any) -> None:
    """Until Locust fires ``init``, Ctrl-C ends a worker at once and with a word.

    Locust would leave a traceback: it waits for its master where it hears no Ctrl-C.

    Args:
        init: Locust's event; with it, Ctrl-C is Locust's own.
    """
    if "--worker" not in sys.argv or signal.getsignal(signal.SIGINT) is not _usual:
        return  # a shell that runs it in the background has Ctrl-C ignored
    signal.signal(signal.SIGINT, _end)
    init.add_listener(lambda **_: signal.signal(signal.SIGINT, _usual))


def _end(*_: Any) -> None:
    os.write(2, b"\nCtrl-C was pressed before there was a run\n")
    os._exit(ExitCode.INTERRUPTED)  # nothing is under way
