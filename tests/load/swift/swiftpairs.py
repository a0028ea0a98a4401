"""The fast client and Locust's own, side by side: what each sees, made comparable."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from swiftpeers import Peer, Reports, fast, fields_of, swift


def both(server: Peer, use: Callable[[Any], Any], path: str = "", **kwargs: Any) -> list[Any]:
    """What ``use`` gives with either client, and what they report."""
    seen = []
    for make in (fast, swift):
        client, reports = make(server.url + path, **kwargs)
        try:
            seen.append((use(client), reports))
        finally:
            close(client)
    return seen


def close(client: Any) -> None:
    """Close the connections of either client."""
    getattr(client, "client", client).close()


def shown(response: Any) -> dict[str, Any]:
    """What an author can see of a response, made comparable."""
    content = response.content
    try:
        told = json.loads(content)
        seen: Any = {**told, "fields": fields_of(told)}
    except (TypeError, ValueError):
        seen = content
    headers = None if response.headers is None else dict(response.headers.itermerged())
    return {
        "status": response.status_code,
        "seen": seen,
        "headers": headers,
        "text": response.text if seen is content else None,
        "url": response.url,
        "asked": (response.request.method, response.request.url),
        "error": type(getattr(response, "error", None)).__name__,
        "history": [each.status_code for each in response.history],
    }


def reported(reports: Reports) -> list[dict[str, Any]]:
    """The events, without what is a measurement."""
    events = []
    for event in reports.events:
        assert isinstance(event["response_time"], float)
        assert isinstance(event["start_time"], float)
        kept = {
            name: value
            for name, value in event.items()
            if name not in {"response", "response_time", "start_time"}
        }
        kept["exception"] = repr(event["exception"])
        kept["fields"] = sorted(event)
        kept["outcome"] = reports.outcome
        events.append(kept)
    return events


def same(seen: list[Any], server: Peer | None = None) -> dict[str, Any]:
    """Assert that two clients saw and reported the same; what the fast one saw."""
    (old, old_reports), (new, new_reports) = seen
    assert shown(new) == shown(old)
    assert reported(new_reports) == reported(old_reports)
    return shown(new)
