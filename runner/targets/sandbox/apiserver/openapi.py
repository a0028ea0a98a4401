"""The server's OpenAPI v3 documents: as much as kubectl reads before it applies or explains."""

from __future__ import annotations

from typing import Any

from runner.targets.sandbox.apiobjects import Obj
from runner.targets.sandbox.apiserver.errors import StatusError
from runner.targets.sandbox.apiserver.kinds import GROUPS, Kind, kinds_of, versions_of

RELEASE = "v1.32.0+seatrial"


def find(parts: list[str]) -> Obj:
    """The document at ``/openapi/v3/…``, given as the parts of what follows.

    Raises:
        StatusError: 404.
    """
    if not parts:
        return root()
    group, version = ("", parts[-1]) if parts[0] == "api" else (".".join(parts[1:-1]), parts[-1])
    found = document(group, version)
    if found is None:
        raise StatusError(404, "the server could not find the requested resource")
    return found


def root() -> Obj:
    """``/openapi/v3``: where the document of each group version is."""
    paths = {
        path: {"serverRelativeURL": f"/openapi/v3/{path}"}
        for path in (_path(group, version) for group in GROUPS for version in versions_of(group))
    }
    return {"paths": paths}


def _path(group: str, version: str) -> str:
    return f"apis/{group}/{version}" if group else f"api/{version}"


def document(group: str, version: str) -> Obj | None:
    """The document of one group version; ``None`` when it is not served."""
    kinds = kinds_of(group, version)
    if not kinds:
        return None
    paths: Obj = {}
    schemas: Obj = {}
    for kind in kinds:
        reference = f"{group or 'io.k8s.api.core'}.{version}.{kind.kind}"
        schemas[reference] = _schema(kind, version)
        scope = "/namespaces/{namespace}" if kind.namespaced else ""
        base = f"/{_path(group, version)}{scope}/{kind.plural}"
        paths[base] = {"post": _operation(kind, version, reference)}
        paths[f"{base}/{{name}}"] = {
            "put": _operation(kind, version, reference),
            "patch": _operation(kind, version, reference),
        }
    return {
        "openapi": "3.0.0",
        "info": {"title": "seatrial sandbox", "version": RELEASE},
        "paths": paths,
        "components": {"schemas": schemas},
    }


def _gvk(kind: Kind, version: str) -> Obj:
    return {"group": kind.group, "version": version, "kind": kind.kind}


def _operation(kind: Kind, version: str, reference: str) -> Obj:
    names = ("dryRun", "fieldManager", "fieldValidation")
    parameters = [{"name": name, "in": "query", "schema": {"type": "string"}} for name in names]
    content = {"schema": {"$ref": f"#/components/schemas/{reference}"}}
    return {
        "parameters": parameters,
        "requestBody": {"content": {"*/*": content}},
        "responses": {"200": {"description": "OK"}},
        "x-kubernetes-group-version-kind": _gvk(kind, version),
        "x-kubernetes-action": "patch",
    }


def _text(description: str) -> Obj:
    return {"type": "string", "description": description}


def _schema(kind: Kind, version: str) -> Obj:
    properties: dict[str, Any] = {
        "apiVersion": _text("The group and version of this object."),
        "kind": _text("The kind of this object."),
        "metadata": {
            "type": "object",
            "description": "Name, namespace, labels, annotations, owners and versions.",
            "x-kubernetes-preserve-unknown-fields": True,
        },
        "spec": {
            "type": "object",
            "description": f"What is wanted of this {kind.kind}.",
            "x-kubernetes-preserve-unknown-fields": True,
        },
    }
    if "status" in kind.subresources:
        properties["status"] = {
            "type": "object",
            "description": f"What was observed of this {kind.kind}.",
            "x-kubernetes-preserve-unknown-fields": True,
        }
    return {
        "type": "object",
        "description": f"{kind.kind} as the sandbox's API server stores it.",
        "properties": properties,
        "x-kubernetes-group-version-kind": [_gvk(kind, version)],
    }
