"""How a pod misbehaves on request: slow, failing or leaky.

The wish is written in three pod annotations and read here; the pod's process is told the numbers.
This module is shared by the kubelet (which reads annotations) and the shop (which obeys).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

PREFIX: Final = "sandbox.seatrial.dev/"
SLOW: Final = PREFIX + "slow"
FAIL: Final = PREFIX + "fail"
LEAK: Final = PREFIX + "leak"
OUTBOUND: Final = PREFIX + "outbound"
"""Not a behaviour: whether the pod's calls go through a proxy of its own."""

MAX_SLOW_S: Final = 3600.0
DEFAULT_FAIL_STATUS: Final = 503  # seen both by consecutive5xxErrors and consecutiveGatewayErrors

_SECONDS: Final = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0}
_BYTES: Final = {
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "kB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "B": 1,
}


class Behaviour(NamedTuple):
    """What is wrong with a pod; the default is nothing.

    Attributes:
        slow_s: Seconds added to every answer, while its worker slot is held.
        fail_ratio: Share of the requests that are refused, 0-1.
        fail_status: The status of a refusal, 500-599.
        leak_bytes_per_s: Bytes of memory that are taken, touched and kept per second.
    """

    slow_s: float = 0.0
    fail_ratio: float = 0.0
    fail_status: int = DEFAULT_FAIL_STATUS
    leak_bytes_per_s: float = 0.0


def parse_behaviour(annotations: Mapping[str, str]) -> Behaviour:
    """Read a pod's annotations: ``slow: 200ms``, ``fail: 30%`` or ``30% 500``, ``leak: 1MiB/s``.

    Raises:
        ValueError: A value that cannot be read; the message names annotation, value and form.
    """
    slow, fail, leak = (annotations.get(key, "").strip() for key in (SLOW, FAIL, LEAK))
    ratio, status = _failure(fail) if fail else (0.0, DEFAULT_FAIL_STATUS)
    return Behaviour(
        slow_s=_duration(slow) if slow else 0.0,
        fail_ratio=ratio,
        fail_status=status,
        leak_bytes_per_s=_rate(leak) if leak else 0.0,
    )


def in_words(behaviour: Behaviour) -> str:
    """What is wrong with the pod, such as ``slower by 0.8 s, refuses 30 % with 503``."""
    wrongs = []
    if behaviour.slow_s:
        wrongs.append(f"slower by {behaviour.slow_s:g} s")
    if behaviour.fail_ratio:
        percent = round(behaviour.fail_ratio * 100, 6)
        wrongs.append(f"refuses {percent:g} % of the requests with {behaviour.fail_status}")
    if behaviour.leak_bytes_per_s:
        wrongs.append(f"leaks {behaviour.leak_bytes_per_s / 2**20:g} MiB/s")
    return ", ".join(wrongs) or "as it should be"


def unknown_wishes(annotations: Mapping[str, str]) -> list[str]:
    """The annotations with our prefix that mean nothing to anybody."""
    known = (SLOW, FAIL, LEAK, OUTBOUND)
    return sorted(key for key in annotations if key.startswith(PREFIX) and key not in known)


def from_json(data: Mapping[str, Any]) -> Behaviour:
    """Make a behaviour of decoded JSON with the attributes as keys.

    Raises:
        ValueError: An unknown key or a value outside of its range.
    """
    unknown = set(data) - set(Behaviour._fields)
    if unknown:
        raise ValueError(f"unknown behaviour {sorted(unknown)}")
    try:
        made = Behaviour(
            slow_s=float(data.get("slow_s", 0.0)),
            fail_ratio=float(data.get("fail_ratio", 0.0)),
            fail_status=int(data.get("fail_status", DEFAULT_FAIL_STATUS)),
            leak_bytes_per_s=float(data.get("leak_bytes_per_s", 0.0)),
        )
    except TypeError as error:
        raise ValueError(str(error)) from error
    # Comparisons are written so that NaN fails them.
    if not (0.0 <= made.slow_s <= MAX_SLOW_S and 0.0 <= made.fail_ratio <= 1.0):
        raise ValueError("slow_s must be 0-3600 and fail_ratio 0-1")
    if not (500 <= made.fail_status <= 599 and 0.0 <= made.leak_bytes_per_s <= 2**30):
        raise ValueError("fail_status must be 500-599 and leak_bytes_per_s 0-1073741824")
    return made


def _duration(text: str) -> float:
    value = _with_unit(text, _SECONDS)
    if value is None or not 0.0 <= value <= MAX_SLOW_S:
        raise ValueError(f"{SLOW}: {text!r} is not a duration such as 200ms or 1.5s")
    return value


def _failure(text: str) -> tuple[float, int]:
    head, _, tail = text.partition(" ")
    percent = _with_unit(head, {"%": 1.0})
    status = tail.strip() or str(DEFAULT_FAIL_STATUS)
    fits = percent is not None and 0.0 <= percent <= 100.0
    if percent is None or not fits or not _is_number(status) or not 500 <= int(status) <= 599:
        raise ValueError(f"{FAIL}: {text!r} is not a share such as 30% or 30% 500 (status 5xx)")
    return percent / 100.0, int(status)


def _rate(text: str) -> float:
    value = _with_unit(text.removesuffix("/s"), _BYTES) if text.endswith("/s") else None
    if value is None or not 0.0 <= value <= 2**30:
        raise ValueError(f"{LEAK}: {text!r} is not a rate such as 1MiB/s (at most 1GiB/s)")
    return value


def _with_unit(text: str, units: Mapping[str, float]) -> float | None:
    """The number before the longest unit that ends the text, times the unit; None if neither."""
    for unit in sorted(units, key=len, reverse=True):
        number = text.removesuffix(unit)
        if number != text and _is_number(number.replace(".", "", 1)):
            return float(number) * units[unit]
    return None


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()
