"""Objects in a store without a server: shorthands for the tests of its rules."""

from __future__ import annotations

from typing import Any

from api_rig import READY_STATUS, pod

from runner.targets.sandbox.apiserver import seeds
from runner.targets.sandbox.apiserver.kinds import BY_PLURAL, NAMESPACES, PODS, Kind
from runner.targets.sandbox.apiserver.lifecycle import Place, WriteOptions, change, create
from runner.targets.sandbox.apiserver.store import Store
from runner.targets.sandbox.apiserver.subresources import bind

Obj = dict[str, Any]
DEPLOYMENTS = BY_PLURAL["apps", "deployments"]
CONFIGMAPS = BY_PLURAL["", "configmaps"]
SERVICES = BY_PLURAL["", "services"]
ME = WriteOptions(manager="me")
STATUS = WriteOptions(manager="me", subresource="status")


def at(kind: Kind, name: str = "", namespace: str = "n") -> Place:
    return Place(kind, kind.versions[0], namespace if kind.namespaced else "", name)


def new_store() -> Store:
    """The initial objects, and a namespace ``n``."""
    store = Store()
    seeds.plant(store)
    create(store, at(NAMESPACES), {"metadata": {"name": "n"}}, ME)
    return store


def make(store: Store, kind: Kind, body: Obj) -> Obj:
    return create(store, at(kind), body, ME)


def update(store: Store, kind: Kind, name: str, options: WriteOptions = ME, **parts: Any) -> Obj:
    """Replace an object's parts; ``metadata`` is merged into the live one."""
    live = store.get(kind, "n" if kind.namespaced else "", name)
    assert live is not None
    wanted = live | parts | {"metadata": live["metadata"] | parts.get("metadata", {})}
    return change(store, at(kind, name), live, wanted, options)


def running(store: Store, name: str, **more: Any) -> Obj:
    """A pod that a node has, ready."""
    make(store, PODS, pod(name, **more))
    bind(store, at(PODS, name), {"target": {"name": "node"}}, dry_run=False)
    return update(store, PODS, name, STATUS, status=READY_STATUS)
