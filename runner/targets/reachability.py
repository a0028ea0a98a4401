"""Do the ingress and Prometheus of a target answer? Bounded questions, one at a time.

Nothing here judges the answers beyond "somebody who speaks HTTP is there".
"""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from runner.errors import SignalError, TargetError
from runner.model.access import without_userinfo
from runner.model.recording import TargetInfo

BOUND_S = 5.0
_OK = 200
_NO_SIGNALS = "without it there are no signals, and so no verdict about the mesh"


@dataclass(frozen=True, slots=True)
class Answer:
    """What somebody answered over HTTP."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def ask(
    url: str, *, host: str = "", timeout_s: float = BOUND_S, most_bytes: int = 65_536
) -> Answer:
    """The answer to a GET, its body cut after ``most_bytes``, without following redirects.

    Raises:
        OSError: When there is no answer in time.
    """
    parts = urlsplit(url)
    address = parts.hostname or ""
    connection: http.client.HTTPConnection
    if parts.scheme == "https":
        context = ssl.create_default_context()
        connection = http.client.HTTPSConnection(
            address, parts.port, timeout=timeout_s, context=context
        )
    else:
        connection = http.client.HTTPConnection(address, parts.port, timeout=timeout_s)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        connection.request("GET", path, headers={"Host": host} if host else {})
        answer = connection.getresponse()
        return Answer(answer.status, dict(answer.getheaders()), answer.read(most_bytes))
    except http.client.HTTPException as error:
        raise OSError(f"{type(error).__name__} from {url}") from error
    finally:
        connection.close()


def get(url: str, *, host: str = "", timeout_s: float = BOUND_S) -> tuple[int, bytes]:
    """Status and the first 64 KiB of the body of :func:`ask`."""
    answer = ask(url, host=host, timeout_s=timeout_s)
    return answer.status, answer.body


def check_ingress(target: TargetInfo, path: str = "") -> int:
    """The status of the ingress's answer, whatever it is; ``path`` goes after its URL.

    Raises:
        TargetError: When there is no answer.
    """
    try:
        return get(f"{target.ingress_url.rstrip('/')}{path}", host=target.host)[0]
    except OSError as error:
        raise TargetError(
            f"the ingress of {target.name} at {without_userinfo(target.ingress_url)} does not "
            f"answer: {error}",
            hint="is the target up, and is the address right?",
        ) from error


def prometheus_says(target: TargetInfo, promql: str, most_bytes: int = 4_000_000) -> dict[str, Any]:
    """The data of Prometheus' answer to ``promql`` now.

    Raises:
        OSError: When there is no answer in time, or one with another status than 200.
        SignalError: When credentials are missing or refused, or a login is in the way.
    """
    from runner.access import get as ask_prometheus

    params = {"query": promql}
    reply = ask_prometheus(target.access, "/api/v1/query", params, most_bytes=most_bytes)
    try:
        said = json.loads(reply.body)
    except ValueError:
        said = None
    if reply.status != _OK or not isinstance(said, dict) or said.get("status") != "success":
        why = said.get("error") if isinstance(said, dict) else None
        raise OSError(f"HTTP {reply.status}: {why or 'no reason given'}")
    data: dict[str, Any] = said.get("data") or {}
    return data


def check_prometheus(target: TargetInfo) -> None:
    """Prometheus answers a query.

    Raises:
        TargetError: When it does not, or is something else, or wants to know who asks.
    """
    try:
        prometheus_says(target, "vector(1)")
    except SignalError as error:
        raise TargetError(error.message, hint=error.hint or _NO_SIGNALS) from None
    except OSError as error:
        raise TargetError(
            f"Prometheus of {target.name} at {target.prometheus_url} does not answer: {error}",
            hint=_NO_SIGNALS,
        ) from None
