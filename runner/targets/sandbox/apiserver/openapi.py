"""The server's OpenAPI v3 documents: as much as kubectl reads before it applies or explains.

The fields of built-in kinds are those that ``wire`` knows; of the others, only the outline is told.
"""

from __future__ import annotations

from runner.targets.sandbox.apiobjects import Obj
from runner.targets.sandbox.apiserver.errors import StatusError
from runner.targets.sandbox.apiserver.kinds import GROUPS, Kind, kinds_of, versions_of
from runner.targets.sandbox.apiserver.wire import Field, message

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
        reference = f"{group or 'core'}.{version}.{kind.kind}"
        schemas[reference] = _schema(kind, version, schemas)
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


def _schema(kind: Kind, version: str, schemas: Obj) -> Obj:
    """The schema of a kind; the messages that it is made of are added to ``schemas``."""
    fields = message(f"{kind.api_version(version)}/{kind.kind}") or {}
    properties: Obj = {
        "apiVersion": _STRING | {"description": "The group and version of this object."},
        "kind": _STRING | {"description": "The kind of this object."},
        "metadata": _reference("ObjectMeta", schemas),
        "spec": _ANYTHING | {"description": f"What is wanted of this {kind.kind}."},
    }
    for field in fields.values():
        if field.type != "-":
            properties[field.name] = _property(field, schemas)
    if fields and "spec" not in {field.name for field in fields.values()}:
        del properties["spec"]
    if "status" in kind.subresources:
        properties["status"] = _ANYTHING | {
            "description": f"What was observed of this {kind.kind}."
        }
    return {
        "type": "object",
        "description": f"{kind.kind} as the sandbox's API server stores it.",
        "properties": properties,
        "x-kubernetes-group-version-kind": [_gvk(kind, version)],
    }


_STRING: Obj = {"type": "string"}
_ANYTHING: Obj = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
_SCALARS: dict[str, Obj] = {
    "s": _STRING,
    "q": _STRING,
    "y": _STRING | {"format": "byte"},
    "t": _STRING | {"format": "date-time"},
    "i": {"type": "integer"},
    "b": {"type": "boolean"},
    "x": _STRING | {"format": "int-or-string"},
}


def _property(field: Field, schemas: Obj) -> Obj:
    inner = _SCALARS.get(field.type) or _reference(field.type, schemas)
    if field.many:
        return {"type": "array", "items": inner}
    return {"type": "object", "additionalProperties": inner} if field.mapped else inner


def _reference(name: str, schemas: Obj) -> Obj:
    if name not in schemas:
        properties: Obj = {}
        schemas[name] = {"type": "object", "properties": properties}
        for field in (message(name) or {}).values():
            if field.inline:
                _reference(field.type, schemas)
                properties |= schemas[field.type]["properties"]
            elif field.type != "-":
                properties[field.name] = _property(field, schemas)
    return {"$ref": f"#/components/schemas/{name}"}
