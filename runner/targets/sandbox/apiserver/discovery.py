"""What the server tells clients about itself: version, groups, kinds. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runner.targets.sandbox.apiobjects import Obj
from runner.targets.sandbox.apiserver import openapi
from runner.targets.sandbox.apiserver.kinds import (
    GROUPS,
    Kind,
    kinds_of,
    versions_of,
)

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"

VERSION: Obj = {
    "major": "1",
    "minor": "32",
    "gitVersion": openapi.RELEASE,
    "gitCommit": "",
    "gitTreeState": "clean",
    "buildDate": "1970-01-01T00:00:00Z",
    "goVersion": "none",
    "compiler": "none",
    "platform": "any",
}

_SUBRESOURCES: dict[str, tuple[str, str, str, tuple[str, ...]]] = {
    "status": ("", "", "", ("get", "patch", "update")),
    "scale": ("autoscaling", "v1", "Scale", ("get", "patch", "update")),
    "eviction": ("policy", "v1", "Eviction", ("create",)),
    "binding": ("", "v1", "Binding", ("create",)),
    "log": ("", "", "", ("get",)),
    "finalize": ("", "", "", ("update",)),
}
"""Subresource → group, version and kind of its body (empty: the object's own) and its verbs."""


def group_list() -> Obj:
    """``/apis``: all groups but the core one."""
    groups = [_group(group) for group in GROUPS if group]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}


def _group(group: str) -> Obj:
    versions = [
        {"groupVersion": f"{group}/{version}", "version": version} for version in versions_of(group)
    ]
    return {"name": group, "versions": versions, "preferredVersion": versions[0]}


def group(name: str) -> Obj | None:
    """``/apis/{group}``, or ``None`` when there is no such group."""
    if not versions_of(name):
        return None
    return {"kind": "APIGroup", "apiVersion": "v1"} | _group(name)


def core_versions(address: str) -> Obj:
    """``/api``."""
    return {
        "kind": "APIVersions",
        "versions": ["v1"],
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": address}],
    }


def resource_list(group_name: str, version: str) -> Obj | None:
    """``/api/v1`` and ``/apis/{group}/{version}``; ``None`` when not served."""
    kinds = kinds_of(group_name, version)
    if not kinds:
        return None
    resources: list[Obj] = []
    for kind in kinds:
        entry: Obj = {
            "name": kind.plural,
            "singularName": kind.kind.lower(),
            "namespaced": kind.namespaced,
            "kind": kind.kind,
            "verbs": list(kind.verbs),
        }
        if kind.short:
            entry["shortNames"] = list(kind.short)
        if kind.categories:
            entry["categories"] = list(kind.categories)
        resources.append(entry)
        resources += [_subresource(kind, name) for name in kind.subresources]
    group_version = f"{group_name}/{version}" if group_name else version
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": group_version,
        "resources": resources,
    }


def _subresource(kind: Kind, name: str) -> Obj:
    group_name, version, body_kind, verbs = _SUBRESOURCES[name]
    entry: Obj = {
        "name": f"{kind.plural}/{name}",
        "singularName": "",
        "namespaced": kind.namespaced,
        "kind": body_kind or kind.kind,
        "verbs": list(verbs),
    }
    if group_name:
        entry |= {"group": group_name, "version": version}
    return entry


def aggregated(core: bool) -> Obj:
    """``/api`` or ``/apis`` with everything in one answer (apidiscovery.k8s.io/v2)."""
    names = [name for name in GROUPS if (name == "") is core]
    items = [
        {
            "metadata": {"name": name} if name else {"creationTimestamp": None},
            "versions": [
                {
                    "version": version,
                    "freshness": "Current",
                    "resources": [
                        _aggregated_kind(kind, version) for kind in kinds_of(name, version)
                    ],
                }
                for version in versions_of(name)
            ],
        }
        for name in names
    ]
    return {
        "kind": "APIGroupDiscoveryList",
        "apiVersion": "apidiscovery.k8s.io/v2",
        "metadata": {},
        "items": items,
    }


def _aggregated_kind(kind: Kind, version: str) -> Obj:
    entry: dict[str, Any] = {
        "resource": kind.plural,
        "responseKind": {"group": kind.group, "version": version, "kind": kind.kind},
        "scope": "Namespaced" if kind.namespaced else "Cluster",
        "singularResource": kind.kind.lower(),
        "verbs": list(kind.verbs),
    }
    if kind.short:
        entry["shortNames"] = list(kind.short)
    if kind.categories:
        entry["categories"] = list(kind.categories)
    subresources = []
    for name in kind.subresources:
        group_name, body_version, body_kind, verbs = _SUBRESOURCES[name]
        response = {
            "group": group_name or kind.group,
            "version": body_version or version,
            "kind": body_kind or kind.kind,
        }
        subresources.append({"subresource": name, "responseKind": response, "verbs": list(verbs)})
    if subresources:
        entry["subresources"] = subresources
    return entry


def document(path: str, headers: Mapping[str, str]) -> Obj | None:
    """The document about the server at a path; ``None`` when the path names objects.

    Raises:
        StatusError: 404 for a document that does not exist.
    """
    parts = path.strip("/").split("/")
    if path == "/version":
        return VERSION
    if parts[:2] == ["openapi", "v3"]:
        return openapi.find(parts[2:])
    if parts[0] not in {"api", "apis"}:
        return None
    if len(parts) == 1:
        core = path == "/api"
        if "as=APIGroupDiscoveryList" in headers.get("Accept", ""):
            return aggregated(core)
        return core_versions(headers.get("Host", "")) if core else group_list()
    if parts[0] == "api":
        return resource_list("", parts[1]) if len(parts) == 2 else None
    if len(parts) == 2:
        return group(parts[1])
    return resource_list(parts[1], parts[2]) if len(parts) == 3 else None
