"""Telling people that a run has ended, through Apprise: the only door to it.

Delivery happens in a child (``python -P -m runner.notify``), which is killed when the time is over:
no service, resolver or socket can hold a run up. The addresses are secrets. They go to the child
through its standard input, and nothing that is returned, logged or raised holds more of one than
its scheme.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,30}(?=://)")

_REAPED_S = 1.0
"""How long the output of a sender that was killed is waited for."""

INSTALL = "python -m pip install 'seatrial[notify]'"


@dataclass(frozen=True, slots=True)
class Letter:
    """What is told.

    Attributes:
        title: One line.
        text: Plain text.
        kind: How services colour it.
    """

    title: str
    text: str
    kind: Literal["success", "warning", "failure", "info"]


@dataclass(frozen=True, slots=True)
class Delivery:
    """What became of one letter.

    Attributes:
        service: Scheme of the address, such as ``slack://…``.
        problem: Why it did not arrive; empty when the service took it.
    """

    service: str
    problem: str = ""


def is_installed() -> bool:
    """Whether Apprise is here, without importing it."""
    return importlib.util.find_spec("apprise") is not None


def parse_addresses(text: str) -> tuple[str, ...]:
    """The addresses in ``text``: between white space, without comments, each once."""
    lines = (line for line in text.splitlines() if not line.lstrip().startswith("#"))
    return tuple(dict.fromkeys(word for line in lines for word in line.split()))


def scheme_of(address: str) -> str:
    """What may be said of an address."""
    found = _SCHEME.match(address)
    return f"{found[0].lower()}://…" if found else "an address without a scheme"


def deliver(letter: Letter, addresses: Sequence[str], timeout_s: float) -> tuple[Delivery, ...]:
    """Send ``letter`` to all of ``addresses`` at once; returns after ``timeout_s`` at the latest.

    (A second later where what a sender started outlives it.)

    Never raises because of a service. The order is that of the addresses.
    """
    if not is_installed():
        problem = f"Apprise is not installed; to install it: {INSTALL}"
        return tuple(Delivery(scheme_of(address), problem) for address in addresses)
    order = {"letter": asdict(letter), "addresses": list(addresses)}
    child = subprocess.Popen(
        [sys.executable, "-P", "-m", "runner.notify"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # Apprise's own words may hold an address.
        start_new_session=True,  # A Ctrl-C is the run's affair.
    )
    missing = "the sender ended without an answer"
    try:
        out, _ = child.communicate(json.dumps(order).encode(), timeout=timeout_s)
    except subprocess.TimeoutExpired:
        out = _killed(child)
        missing = f"no answer within {timeout_s:g} s"
    except BaseException:
        child.kill()
        child.wait()
        raise
    problems = _answers(out)
    return tuple(
        Delivery(scheme_of(address), problems.get(number, missing))
        for number, address in enumerate(addresses)
    )


def _killed(child: subprocess.Popen[bytes]) -> bytes:
    """End ``child`` and whatever it started; what it had said by then."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)  # It leads a session of its own.
    with contextlib.suppress(subprocess.TimeoutExpired):  # Who left the session may hold the pipe.
        return child.communicate(timeout=_REAPED_S)[0]
    return b""


def _answers(out: bytes) -> dict[int, str]:
    """Number of each address that was tried to what went wrong; the last line may be torn."""
    found: dict[int, str] = {}
    for line in out.splitlines():
        with contextlib.suppress(ValueError, TypeError, KeyError):
            answer = json.loads(line)
            found[int(answer["number"])] = str(answer["problem"])
    return found


# -- the child -------------------------------------------------------------------------------------


def _main() -> None:
    order = json.load(sys.stdin)
    threads = [
        threading.Thread(target=_send, args=(number, address, order["letter"]), daemon=True)
        for number, address in enumerate(order["addresses"])
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()  # The parent's clock bounds it.


def _send(number: int, address: str, letter: dict[str, Any]) -> None:
    try:
        problem = _problem(address, letter)
    except Exception as error:  # noqa: BLE001 - a plug-in's bug is one service that was not told
        problem = f"Apprise failed: {type(error).__name__}"
    line = json.dumps({"number": number, "problem": problem}) + "\n"
    sys.stdout.write(line)
    sys.stdout.flush()


def _problem(address: str, letter: dict[str, Any]) -> str:
    from apprise import Apprise, NotifyFormat, NotifyType

    services = Apprise()
    if not services.add(address):
        return "Apprise does not understand this address"
    kind = NotifyType(letter["kind"])
    sent = services.notify(
        body=letter["text"], title=letter["title"], notify_type=kind, body_format=NotifyFormat.TEXT
    )
    return "" if sent else "the service refused it, or cannot be reached"


if __name__ == "__main__":
    _main()
