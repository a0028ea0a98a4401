"""Probes: is a pod ready, is it alive? One bounded HTTP GET at a time, to the pod's own address."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

Object = Mapping[str, Any]

MAX_ANSWER: Final = 16 * 1024


class Probe(NamedTuple):
    """An httpGet probe with Kubernetes' defaults."""

    path: str
    port: int
    initial_delay_s: float
    period_s: float
    timeout_s: float
    successes: int
    failures: int


def read_probe(container: Object, field: str) -> Probe | None:
    """The probe in that field of a container; None if it has none.

    ``httpGet.host`` is not read: a probe never leaves its pod.

    Raises:
        ValueError: The probe names a port that the container does not have.
    """
    given = container.get(field)
    if not given:
        return None
    get = given["httpGet"]
    port = get["port"]
    if isinstance(port, str) and not port.isdigit():
        named = {each.get("name"): each["containerPort"] for each in container.get("ports") or ()}
        if port not in named:
            raise ValueError(f"{field}: the container has no port named {port!r}")
        port = named[port]
    return Probe(
        path=get.get("path", "/"),
        port=int(port),
        initial_delay_s=float(given.get("initialDelaySeconds") or 0),
        period_s=float(given.get("periodSeconds") or 10),
        timeout_s=float(given.get("timeoutSeconds") or 1),
        successes=int(given.get("successThreshold") or 1),
        failures=int(given.get("failureThreshold") or 3),
    )


class ProbeVerdict:
    """Turns single answers into a lasting yes or no, by the probe's two thresholds."""

    def __init__(self, probe: Probe, *, initially: bool) -> None:
        self.holds = initially
        self._probe = probe
        self._run = 0

    def observe(self, good: bool) -> bool:
        """Take one answer in; returns what holds now."""
        self._run = 0 if good == self.holds else self._run + 1
        needed = self._probe.successes if good else self._probe.failures
        if self._run >= needed:
            self.holds, self._run = good, 0
        return self.holds


async def http_get(address: str, port: int, path: str, timeout_s: float) -> int:
    """The status of a GET; 0 for no connection, no answer in time or no HTTP."""
    lines = [f"GET {path} HTTP/1.1", f"host: {address}:{port}", "user-agent: kube-probe/1"]
    return await _exchange(address, port, lines, b"", timeout_s)


async def http_post(
    address: str, port: int, path: str, *, body: bytes, header: str, timeout_s: float
) -> int:
    """The status of a POST of JSON with one more header; 0 for no connection or answer."""
    lines = [f"POST {path} HTTP/1.1", f"host: {address}:{port}", header]
    lines += ["content-type: application/json", f"content-length: {len(body)}"]
    return await _exchange(address, port, lines, body, timeout_s)


async def _exchange(
    address: str, port: int, lines: list[str], body: bytes, timeout_s: float
) -> int:
    head = "\r\n".join([*lines, "connection: close", "", ""]).encode("latin-1", "replace")
    writer: asyncio.StreamWriter | None = None
    try:
        async with asyncio.timeout(timeout_s):
            reader, writer = await asyncio.open_connection(address, port, limit=MAX_ANSWER)
            writer.write(head + body)
            first = await reader.readline()
    except (OSError, TimeoutError, ValueError):
        return 0
    finally:
        if writer is not None:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
    words = first.split()
    is_http = len(words) > 1 and words[0].startswith(b"HTTP/1") and words[1].isdigit()
    return int(words[1]) if is_http else 0
