"""HTTPMatchRequest → Envoy's RouteMatch, and whether a match concerns a client at all. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runner.targets.sandbox.mesh.model import Xds
from runner.targets.sandbox.mesh.registry import Client

MESH = "mesh"


def gateway_names(names: list[str] | None, namespace: str) -> frozenset[str]:
    """Full names of the gateways that an object of ``namespace`` lists; none means the mesh."""
    return frozenset(
        name if name == MESH or "/" in name else f"{namespace}/{name}"
        for name in (names or [MESH])
        if name
    )


def concerns(
    match: Mapping[str, Any],
    client: Client,
    own_gateways: frozenset[str],
    namespace: str,
    port: int,
) -> bool:
    """Whether a match can hold for what this client sends to this port.

    As in Istio: when a match names gateways, its source labels count for nothing. The client *is*
    ``own_gateways`` (``mesh``, or those that the ingress gateway serves); ``namespace`` is the
    VirtualService's, ``port`` the service port that the request is for.
    """
    if match.get("port") not in (None, 0, port):
        return False
    if match.get("gateways"):
        return bool(gateway_names(match["gateways"], namespace) & own_gateways)
    wanted = match.get("sourceLabels") or {}
    if any(client.labels.get(name) != value for name, value in wanted.items()):
        return False
    return match.get("sourceNamespace") in (None, "", client.workload.namespace)


def route_match(match: Mapping[str, Any]) -> Xds:
    """Envoy's match of one HTTPMatchRequest; an empty one matches everything."""
    result: Xds = _path(match.get("uri") or {})
    if match.get("ignoreUriCase"):
        result["case_sensitive"] = False
    headers = [_header(name, value) for name, value in (match.get("headers") or {}).items()]
    headers += [_absent(name, value) for name, value in (match.get("withoutHeaders") or {}).items()]
    headers.sort(key=lambda header: str(header["name"]))
    for field in ("method", "authority", "scheme"):
        if field in match:
            headers.append(_header(f":{field}", match[field]))
    if headers:
        result["headers"] = headers
    if match.get("queryParams"):
        result["query_parameters"] = [
            _query(name, value) for name, value in match["queryParams"].items()
        ]
    return result


def catches_all(match: Xds) -> bool:
    """Whether nothing can pass this Envoy match (Istio sorts such routes last)."""
    everything = match.get("prefix") == "/" or match.get("safe_regex", {}).get("regex") in {
        ".*",
        "/.*",
    }
    return everything and not match.get("headers") and not match.get("query_parameters")


def _path(uri: Mapping[str, str]) -> Xds:
    if "exact" in uri:
        return {"path": uri["exact"]}
    if "regex" in uri:
        return {"safe_regex": {"regex": uri["regex"]}}
    return {"prefix": uri.get("prefix") or "/"}


def _is_presence(value: Mapping[str, str]) -> bool:
    """An empty match, and the regex ``*`` that is none, ask only that the name is there."""
    return not value or value.get("regex") == "*"


def _string(value: Mapping[str, str]) -> Xds:
    if "exact" in value:
        return {"exact": value["exact"]}
    if "prefix" in value:
        return {"prefix": value["prefix"]}
    return {"safe_regex": {"regex": value["regex"]}}


def _header(name: str, value: Mapping[str, str]) -> Xds:
    if _is_presence(value):
        return {"name": name, "present_match": True}
    return {"name": name, "string_match": _string(value)}


def _absent(name: str, value: Mapping[str, str]) -> Xds:
    result = _header(name, value) | {"invert_match": True}
    if not _is_presence(value):
        result["treat_missing_header_as_empty"] = True
    return result


def _query(name: str, value: Mapping[str, str]) -> Xds:
    if _is_presence(value):
        return {"name": name, "present_match": True}
    return {"name": name, "string_match": _string(value)}
