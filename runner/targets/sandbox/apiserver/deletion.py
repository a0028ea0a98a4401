"""Deleting objects: grace, preconditions, finalizers, and the garbage that depends on them.

The rules are Kubernetes': a pod that runs somewhere is only marked, and its kubelet deletes it for
good; objects whose last owner is gone follow it; a namespace goes when it is empty.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from runner.targets.sandbox.apiobjects import Obj
from runner.targets.sandbox.apiserver.errors import StatusError, bad_request, conflict
from runner.targets.sandbox.apiserver.kinds import NAMESPACES, PODS, Kind
from runner.targets.sandbox.apiserver.store import Store

FOREGROUND = "foregroundDeletion"
ORPHAN = "orphan"
PROTECTED_NAMESPACES = frozenset({"default", "kube-system", "kube-public"})
PROPAGATIONS = ("Background", "Foreground", "Orphan")
DEFAULT_GRACE_S = 2


@dataclass(frozen=True, slots=True)
class DeleteOptions:
    """A deletion as it was asked for.

    Attributes:
        grace_s: Seconds to end in; ``None`` leaves it to the object.
        propagation: Background, Foreground or Orphan.
        uid: Only this incarnation; empty for any.
        version: Only this resourceVersion; empty for any.
        dry_run: Answer, but delete nothing.
    """

    grace_s: int | None = None
    propagation: str = "Background"
    uid: str = ""
    version: str = ""
    dry_run: bool = False


def delete_options(body: Any, query: dict[str, str]) -> DeleteOptions:
    """The options of a deletion from its body and its query; the body wins.

    Raises:
        StatusError: 400 for options that make no sense.
    """
    body = body or {}
    if not isinstance(body, dict):
        raise bad_request("the body of a deletion must be DeleteOptions")
    grace = body.get("gracePeriodSeconds", query.get("gracePeriodSeconds"))
    try:
        grace_s = None if grace is None else int(grace)
    except (TypeError, ValueError) as error:
        raise bad_request(f"invalid gracePeriodSeconds: {grace!r}") from error
    if grace_s is not None and grace_s < 0:
        raise StatusError(422, f"invalid gracePeriodSeconds: {grace_s}: must be at least 0")
    preconditions = body.get("preconditions") or {}
    propagation = body.get("propagationPolicy") or query.get("propagationPolicy") or "Background"
    if body.get("orphanDependents"):
        propagation = "Orphan"
    if propagation not in PROPAGATIONS:
        raise bad_request(f"invalid propagationPolicy: {propagation!r}")
    return DeleteOptions(
        grace_s=grace_s,
        propagation=propagation,
        uid=preconditions.get("uid") or "",
        version=preconditions.get("resourceVersion") or "",
        dry_run="All" in (body.get("dryRun") or []) or query.get("dryRun") == "All",
    )


def delete(store: Store, kind: Kind, live: Obj, options: DeleteOptions) -> tuple[Obj, bool]:
    """Delete an object, or mark it to be deleted: its last state, and whether it is gone.

    Raises:
        StatusError: 403 for a namespace that must stay, 409 when a precondition does not hold.
    """
    _check(kind, live, options)
    metadata = live["metadata"]
    finalizers = list(metadata.get("finalizers") or [])
    waits = options.propagation == "Foreground" and bool(store.owned_by(metadata["uid"]))
    if waits and FOREGROUND not in finalizers:
        finalizers.append(FOREGROUND)
    grace_s = _grace(kind, live, options)
    at_once = not finalizers and not grace_s and kind is not NAMESPACES
    if options.dry_run:
        return live, at_once
    if options.propagation == "Orphan":
        _orphan(store, metadata["uid"])
    if at_once:
        gone = store.remove(kind, live)
        collect(store, gone)
        return gone, True
    marked = _marked(kind, live, grace_s, finalizers)
    stored = live if marked == live else store.put(kind, marked)
    if kind is NAMESPACES:
        _empty(store, stored)
        still = store.get(NAMESPACES, "", metadata["name"])
        return still or stored, still is None
    if FOREGROUND in finalizers:
        for other_kind, other in store.owned_by(metadata["uid"]):
            delete(store, other_kind, other, DeleteOptions(propagation="Foreground"))
        settle_foreground(store, metadata["uid"])
        still = store.get(kind, metadata.get("namespace", ""), metadata["name"])
        return still or stored, still is None
    return stored, False


def _check(kind: Kind, live: Obj, options: DeleteOptions) -> None:
    metadata = live["metadata"]
    name = metadata["name"]
    if options.uid and options.uid != metadata["uid"]:
        why = (
            f"Precondition failed: UID in precondition: {options.uid},"
            f" UID in object meta: {metadata['uid']}"
        )
        raise conflict(kind, name, why)
    if options.version and options.version != metadata["resourceVersion"]:
        why = (
            f"Precondition failed: ResourceVersion in precondition: {options.version},"
            f" ResourceVersion in object meta: {metadata['resourceVersion']}"
        )
        raise conflict(kind, name, why)
    if kind is NAMESPACES and name in PROTECTED_NAMESPACES:
        message = f'namespaces "{name}" is forbidden: this namespace may not be deleted'
        raise StatusError(403, message, details={"name": name, "kind": "namespaces"})


def _grace(kind: Kind, live: Obj, options: DeleteOptions) -> int:
    """Seconds that the object is given; only pods that a node has are given any."""
    if kind is not PODS:
        return 0
    spec, status = live.get("spec") or {}, live.get("status") or {}
    if not spec.get("nodeName") or status.get("phase") in {"Succeeded", "Failed"}:
        return 0
    if options.grace_s is not None:
        return options.grace_s
    stated = spec.get("terminationGracePeriodSeconds")
    return int(stated) if stated is not None else DEFAULT_GRACE_S


def _marked(kind: Kind, live: Obj, grace_s: int, finalizers: list[str]) -> Obj:
    metadata = dict(live["metadata"])
    known = metadata.get("deletionGracePeriodSeconds")
    if not metadata.get("deletionTimestamp") or (known is not None and grace_s < known):
        deadline = datetime.now(UTC) + timedelta(seconds=grace_s)
        metadata["deletionTimestamp"] = deadline.strftime("%Y-%m-%dT%H:%M:%SZ")
        metadata["deletionGracePeriodSeconds"] = grace_s
    if finalizers:
        metadata["finalizers"] = finalizers
    marked = live | {"metadata": metadata}
    if kind is NAMESPACES:
        metadata.pop("deletionGracePeriodSeconds", None)
        marked["status"] = (live.get("status") or {}) | {"phase": "Terminating"}
    return marked


def _orphan(store: Store, uid: str) -> None:
    for kind, obj in store.owned_by(uid):
        owners = [one for one in obj["metadata"]["ownerReferences"] if one.get("uid") != uid]
        metadata = {k: v for k, v in obj["metadata"].items() if k != "ownerReferences"}
        if owners:
            metadata["ownerReferences"] = owners
        store.put(kind, obj | {"metadata": metadata})


def collect(store: Store, gone: Obj) -> None:
    """Delete what has lost its last owner with ``gone``, and let waiting owners and spaces go."""
    for kind, obj in store.owned_by(gone["metadata"]["uid"]):
        current = store.get(kind, obj["metadata"].get("namespace", ""), obj["metadata"]["name"])
        if current is not None and is_garbage(store, current):
            delete(store, kind, current, DeleteOptions())
    for owner in gone["metadata"].get("ownerReferences") or []:
        settle_foreground(store, owner.get("uid", ""))
    namespace = gone["metadata"].get("namespace")
    if namespace:
        _release(store, namespace)


def is_garbage(store: Store, obj: Obj) -> bool:
    """Whether an object names owners of which none exists any more."""
    owners = {one.get("uid") for one in obj["metadata"].get("ownerReferences") or []}
    if not owners:
        return False
    return not any(store.by_uid(uid) for uid in owners if uid)


def settle_foreground(store: Store, uid: str) -> None:
    """Let an owner go that waits for its dependents, when there are none left."""
    found = store.by_uid(uid)
    if found is None or store.owned_by(uid):
        return
    kind, obj = found
    metadata = obj["metadata"]
    finalizers = metadata.get("finalizers") or []
    if FOREGROUND not in finalizers or not metadata.get("deletionTimestamp"):
        return
    left = [one for one in finalizers if one != FOREGROUND]
    current = obj | {"metadata": metadata | {"finalizers": left}}
    if left:
        store.put(kind, current)
    else:
        collect(store, store.remove(kind, current))


def _empty(store: Store, space: Obj) -> None:
    """Delete what is in a namespace that is to go, and the namespace when nothing is left."""
    name = space["metadata"]["name"]
    inside = [one for one in store.everything() if one[1]["metadata"].get("namespace") == name]
    for kind, obj in inside:
        current = store.get(kind, name, obj["metadata"]["name"])
        if current is not None and not current["metadata"].get("deletionTimestamp"):
            delete(store, kind, current, DeleteOptions())
    _release(store, name)


def _release(store: Store, name: str) -> None:
    """Remove a namespace that is to go, when nothing is left in it."""
    space = store.get(NAMESPACES, "", name)
    if space is None or not space["metadata"].get("deletionTimestamp"):
        return
    if not any(obj["metadata"].get("namespace") == name for _, obj in store.everything()):
        store.remove(NAMESPACES, space)
