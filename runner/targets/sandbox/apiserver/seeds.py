"""What a new API server already holds: the usual namespaces, and definitions of Istio's kinds."""

from __future__ import annotations

from runner.targets.sandbox.apiobjects import Obj
from runner.targets.sandbox.apiserver.kinds import DEFINITIONS, KINDS, NAMESPACES, Kind
from runner.targets.sandbox.apiserver.lifecycle import Place, WriteOptions, create
from runner.targets.sandbox.apiserver.store import Store

INITIAL_NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease")
MANAGER = WriteOptions(manager="seatrial-apiserver")


def plant(store: Store) -> None:
    """Put the initial objects into an empty store."""
    for name in INITIAL_NAMESPACES:
        create(store, Place(NAMESPACES, "v1"), {"metadata": {"name": name}}, MANAGER)
    for kind in KINDS:
        if kind.custom:
            create(store, Place(DEFINITIONS, "v1"), definition(kind), MANAGER)


def definition(kind: Kind) -> Obj:
    """The CustomResourceDefinition of a kind; any content of ``spec`` is allowed."""
    names: Obj = {
        "plural": kind.plural,
        "singular": kind.kind.lower(),
        "kind": kind.kind,
        "listKind": f"{kind.kind}List",
        "categories": list(kind.categories),
    }
    if kind.short:
        names["shortNames"] = list(kind.short)
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    versions = [
        {
            "name": version,
            "served": True,
            "storage": version == kind.versions[0],
            "schema": {"openAPIV3Schema": anything},
            "subresources": {"status": {}},
        }
        for version in kind.versions
    ]
    conditions = [
        {"type": name, "status": "True", "reason": "BuiltIn", "message": ""}
        for name in ("NamesAccepted", "Established")
    ]
    return {
        "metadata": {"name": f"{kind.plural}.{kind.group}"},
        "spec": {
            "group": kind.group,
            "names": names,
            "scope": "Namespaced" if kind.namespaced else "Cluster",
            "versions": versions,
        },
        "status": {
            "conditions": conditions,
            "acceptedNames": names,
            "storedVersions": [kind.versions[0]],
        },
    }
