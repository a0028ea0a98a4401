"""Answering a watch: one JSON line per event, until the client or the time is gone."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable

from aiohttp import web

from runner.targets.sandbox.apiobjects import Obj
from runner.targets.sandbox.apiserver.errors import bad_request
from runner.targets.sandbox.apiserver.lifecycle import Place, show
from runner.targets.sandbox.apiserver.routes import truthy
from runner.targets.sandbox.apiserver.selectors import ObjectTest
from runner.targets.sandbox.apiserver.store import Store
from runner.targets.sandbox.apiserver.tables import (
    metadata_only,
    table,
    wants_metadata,
    wants_table,
)
from runner.targets.sandbox.apiserver.watch import (
    WATCH_MAX_S,
    WatchOptions,
    follow,
    parse_version,
)


def watch_options(request: web.Request, place: Place, matches: ObjectTest) -> WatchOptions:
    """The options of a watch from its query.

    Raises:
        StatusError: 400 for a timeout or version that is none.
    """
    query = request.query
    version = query.get("resourceVersion") or "0"
    initial = truthy(query.get("sendInitialEvents"))
    start = None if version == "0" or initial else parse_version(version)
    try:
        timeout_s = float(query.get("timeoutSeconds") or WATCH_MAX_S)
    except ValueError as error:
        raise bad_request(f"invalid timeoutSeconds: {query['timeoutSeconds']!r}") from error
    return WatchOptions(
        kind=place.kind,
        namespace=place.namespace,
        matches=matches,
        version=start,
        timeout_s=min(max(timeout_s, 0.0), WATCH_MAX_S),
        bookmarks=truthy(query.get("allowWatchBookmarks")),
        initial_end=initial,
    )


async def stream_watch(
    request: web.Request, store: Store, place: Place, options: WatchOptions
) -> web.StreamResponse:
    """Answer a watch until it ends."""
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    response.enable_chunked_encoding()
    render = _renderer(request, place)
    with contextlib.suppress(ConnectionResetError):  # the client has gone: nothing is lost
        await response.prepare(request)
        async for change, obj in follow(store, options):
            line = {"type": change, "object": obj if change == "ERROR" else render(change, obj)}
            await response.write(json.dumps(line, separators=(",", ":")).encode() + b"\n")
        await response.write_eof()
    return response


def _renderer(request: web.Request, place: Place) -> Callable[[str, Obj], Obj]:
    accept = request.headers.get("Accept", "")
    if wants_table(accept):
        include = request.query.get("includeObject", "")
        first = True

        def as_table(change: str, obj: Obj) -> Obj:
            nonlocal first
            head, first = first, False
            shown = [] if change == "BOOKMARK" else [show(place, obj)]
            version = obj["metadata"]["resourceVersion"]
            return table(place.kind, shown, version, include, head=head)

        return as_table
    if wants_metadata(accept):
        return lambda _change, obj: metadata_only(obj)
    return lambda _change, obj: show(place, obj)
