"""Activities such as somebody else might write, for tests: they are imported by real children."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any


def write(path: str, text: str) -> str:
    """Leave a trace, as an action that changes the world."""
    Path(path).write_text(text)
    return text


def remove(path: str) -> str:
    """Take the trace away; it may be gone already."""
    Path(path).unlink(missing_ok=True)
    return "gone"


def fail(reason: str = "the disk is full") -> None:
    raise OSError(reason)


def nap(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def swallow_sigterm(path: str) -> str:
    """Be told to terminate, and take it for a passing trouble, as many libraries do."""
    try:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)
    except Exception:  # noqa: BLE001 - that is what this one is about
        Path(path).write_text("swallowed")
    return "all is well"


def kill_the_tool() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def leave_without_rollbacks() -> None:
    """What the tool's own safeguards do when they give up."""
    os.kill(os.getpid(), signal.SIGUSR2)
    time.sleep(5)


def exists(path: str) -> bool:
    return Path(path).exists()


def echo(value: Any) -> Any:
    return value


def nothing() -> None:
    return None


def not_a_number() -> float:
    return float("nan")


def tell(secrets: dict[str, Any], configuration: dict[str, Any] | None = None) -> dict[str, Any]:
    """Answer, print and raise what is secret."""
    sys.stdout.write(f"the token is {secrets['token']}\n")
    return {"headers": {"x-token": secrets["token"]}, "about": f"Bearer {secrets['token']}"}


def cry(secrets: dict[str, Any]) -> None:
    raise RuntimeError(f"401 for {secrets['token']}")
