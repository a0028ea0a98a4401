"""What a URL path names. Pure functions."""

from __future__ import annotations

from dataclasses import dataclass

from runner.targets.sandbox.apiserver.errors import StatusError
from runner.targets.sandbox.apiserver.kinds import find_kind
from runner.targets.sandbox.apiserver.lifecycle import Place

UNKNOWN = "the server could not find the requested resource"


@dataclass(frozen=True, slots=True)
class Route:
    """A collection (no name), an object, or a subresource of one."""

    place: Place
    subresource: str = ""


def parse_route(path: str) -> Route:
    """The route of ``/api/v1/…`` or ``/apis/{group}/{version}/…``.

    Raises:
        StatusError: 404 when the path names nothing that is served.
    """
    parts = path.strip("/").split("/")
    if parts[0] == "api" and len(parts) > 2:
        group, version, rest = "", parts[1], parts[2:]
    elif parts[0] == "apis" and len(parts) > 3:
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        raise StatusError(404, UNKNOWN)
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 2:
        whole = find_kind(group, version, "namespaces")
        if whole is None or rest[2] not in whole.subresources:
            namespace, rest = rest[1], rest[2:]
    if not all(rest) or len(rest) > 3:
        raise StatusError(404, UNKNOWN)
    kind = find_kind(group, version, rest[0])
    if kind is None or (namespace and not kind.namespaced):
        raise StatusError(404, UNKNOWN)
    name = rest[1] if len(rest) > 1 else ""
    subresource = rest[2] if len(rest) > 2 else ""
    if subresource and subresource not in kind.subresources:
        raise StatusError(404, UNKNOWN)
    if name and kind.namespaced and not namespace:
        raise StatusError(404, UNKNOWN)
    return Route(Place(kind, version, namespace, name), subresource)


def truthy(text: str | None) -> bool:
    """A boolean of a query, as clients of several languages write it."""
    return (text or "").lower() in {"true", "1"}
