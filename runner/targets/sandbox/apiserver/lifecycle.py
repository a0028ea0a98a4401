"""Creating and changing objects: identity, bookkeeping, defaults, checks, then the store.

Every function either commits one write or, in a dry run, returns what would have been written.
Nothing awaits, so each is atomic.
"""

from __future__ import annotations

import ipaddress
import random
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from runner.targets.sandbox.apiobjects import Obj
from runner.targets.sandbox.apiserver import autoscalers, ownership
from runner.targets.sandbox.apiserver.defaults import (
    initial_status,
    with_defaults,
    with_full_status,
)
from runner.targets.sandbox.apiserver.deletion import collect
from runner.targets.sandbox.apiserver.errors import (
    StatusError,
    already_exists,
    bad_request,
    conflict,
    invalid,
    not_found,
)
from runner.targets.sandbox.apiserver.kinds import NAMESPACES, Kind, served_by_kind_name
from runner.targets.sandbox.apiserver.store import Store
from runner.targets.sandbox.apiserver.validation import check_name, check_object, check_shape

GENERATED_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
GENERATED_LENGTH = 5
GENERATED_PREFIX_MAX = 58
SERVICE_NETWORK = ipaddress.IPv4Network("10.96.0.0/16")
SYSTEM_METADATA = (
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "generation",
    "generateName",
    "name",
    "namespace",
    "resourceVersion",
)
_pick = random.SystemRandom()


@dataclass(frozen=True, slots=True)
class WriteOptions:
    """How a write was asked for.

    Attributes:
        manager: Field manager: who will own the fields that change.
        dry_run: Compute and answer, but store nothing.
        force: Take over fields that another manager applied.
        subresource: ``status`` or ``scale`` when the write came through it.
    """

    manager: str = "unknown"
    dry_run: bool = False
    force: bool = False
    subresource: str = ""


@dataclass(frozen=True, slots=True)
class Place:
    """What a URL names: a kind under a version, a namespace, perhaps an object."""

    kind: Kind
    version: str
    namespace: str = ""
    name: str = ""

    @property
    def api_version(self) -> str:
        return self.kind.api_version(self.version)


def now() -> str:
    """The time as metadata states it: UTC, whole seconds."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def show(place: Place, obj: Obj) -> Obj:
    """A stored object as it is answered: with the kind and the version that were asked for."""
    if _is_converted(place):
        obj = autoscalers.to_old(obj)
    return {"kind": place.kind.kind, "apiVersion": place.api_version, **obj}


def _is_converted(place: Place) -> bool:
    """Whether objects look different under that version; all others are shown as stored."""
    return place.kind.plural == autoscalers.PLURAL and place.version == autoscalers.OLD_VERSION


def existing(store: Store, place: Place) -> Obj:
    """The object that a place names.

    Raises:
        StatusError: 404.
    """
    found = store.get(place.kind, place.namespace, place.name)
    if found is None:
        raise not_found(place.kind, place.name)
    return found


def bare(place: Place, body: Any) -> Obj:
    """A body as it is stored: without its type, which must fit the place, nor empty fields.

    Raises:
        StatusError: 400 for a body that is no object, or of another kind, version or namespace.
    """
    check_shape(body)
    check_type(place, body)
    metadata = dict(body.get("metadata") or {})
    namespace = metadata.get("namespace") or place.namespace
    if place.kind.namespaced:
        if namespace != place.namespace:
            raise bad_request(
                f"the namespace of the provided object does not match the namespace sent on the"
                f" request ({namespace} != {place.namespace})"
            )
        metadata["namespace"] = namespace
    else:
        metadata.pop("namespace", None)
    if place.name and metadata.get("name", place.name) != place.name:
        raise bad_request(
            f"the name of the object ({metadata['name']}) does not match the name on the URL"
            f" ({place.name})"
        )
    rest = {key: value for key, value in body.items() if key not in {"apiVersion", "kind"}}
    obj = rest | {"metadata": {key: value for key, value in metadata.items() if value is not None}}
    return autoscalers.from_old(obj) if _is_converted(place) else obj


def check_type(place: Place, body: Obj) -> None:
    """Refuse a body whose stated type is not the one of the URL.

    Raises:
        StatusError: 400.
    """
    version, name = body.get("apiVersion"), body.get("kind")
    if name and name != place.kind.kind:
        raise bad_request(
            f'{name} in version "{version or place.api_version}" cannot be handled as a'
            f" {place.kind.kind}"
        )
    if version and version != place.api_version:
        served = served_by_kind_name(str(version), place.kind.kind)
        raise bad_request(
            f"the API version in the data ({version}) does not match the expected API version"
            f" ({place.api_version})"
            + ("" if served else f'; no kind "{place.kind.kind}" is registered for it')
        )


def create(store: Store, place: Place, body: Any, options: WriteOptions) -> Obj:
    """Store a new object.

    Raises:
        StatusError: 400, 403, 404, 409 or 422.
    """
    obj = bare(place, body)
    metadata = obj["metadata"]
    if metadata.get("resourceVersion"):
        raise bad_request("resourceVersion should not be set on objects to be created")
    name = metadata.get("name") or _generated(store, place, metadata)
    check_name(place.kind, name)
    _check_namespace(store, place, name)
    if store.get(place.kind, place.namespace, name) is not None:
        raise already_exists(place.kind, name)
    return _commit(store, place, _newborn(store, place, obj, name), None, options)


def apply(store: Store, place: Place, config: Obj, options: WriteOptions) -> tuple[Obj, bool]:
    """Server-side apply: create the object or merge into it; and whether it was created.

    Raises:
        StatusError: 404, 409 or 422.
    """
    author = _author(place, options, ownership.APPLY)
    live = store.get(place.kind, place.namespace, place.name)
    if live is None:
        if options.subresource:
            raise not_found(place.kind, place.name)
        if config["metadata"].get("uid") or config["metadata"].get("resourceVersion"):
            raise conflict(place.kind, place.name, "uid and resourceVersion name no object")
        check_name(place.kind, place.name)
        _check_namespace(store, place, place.name)
        content, books = ownership.applied(place.kind, None, config, author, force=True)
        fresh = _newborn(store, place, content, place.name)
        fresh["metadata"]["managedFields"] = books
        check_object(place.kind, fresh)
        return (fresh if options.dry_run else store.put(place.kind, fresh)), True
    _check_versions(place, live, config["metadata"])
    if options.subresource:
        config = {key: value for key, value in config.items() if key == options.subresource}
        config["metadata"] = {}
    merged, books = ownership.applied(place.kind, live, config, author, force=options.force)
    obj = settled(place, live, merged, options)
    check_object(place.kind, obj, live)
    obj = obj | {"metadata": obj["metadata"] | {"managedFields": books}}
    if _same(live, obj) and ownership.same_books(live, obj):
        return live, False
    return finish(store, place.kind, _generation(live, obj), dry_run=options.dry_run), False


def _author(place: Place, options: WriteOptions, operation: str) -> ownership.Author:
    return ownership.Author(
        options.manager, operation, place.api_version, now(), options.subresource
    )


def _newborn(store: Store, place: Place, obj: Obj, name: str) -> Obj:
    kind = place.kind
    obj = with_defaults(kind, obj)
    metadata = {key: value for key, value in obj["metadata"].items() if key not in SYSTEM_METADATA}
    metadata.pop("managedFields", None)
    identity: Obj = {"name": name}
    if kind.namespaced:
        identity["namespace"] = place.namespace
    if obj["metadata"].get("generateName"):
        identity["generateName"] = obj["metadata"]["generateName"]
    identity |= {"uid": str(uuid.uuid4()), "creationTimestamp": now()}
    if "spec" in obj:
        identity["generation"] = 1
    fresh = {"metadata": identity | metadata, **{k: v for k, v in obj.items() if k != "metadata"}}
    if "status" in kind.subresources or kind.plural == "customresourcedefinitions":
        status = initial_status(kind, obj)
        fresh.pop("status", None)
        if status is not None:
            fresh["status"] = status
    if kind is NAMESPACES:
        labels = {"kubernetes.io/metadata.name": name} | (metadata.get("labels") or {})
        fresh["metadata"]["labels"] = labels
        fresh.setdefault("spec", {"finalizers": ["kubernetes"]})
    if kind.plural == "services" and fresh.get("spec", {}).get("type") != "ExternalName":
        spec = fresh["spec"]
        address = spec.get("clusterIP") or _service_address(store)
        fresh["spec"] = spec | {"clusterIP": address, "clusterIPs": [address]}
    return with_full_status(kind, fresh)


def _service_address(store: Store) -> str:
    taken = {
        obj.get("spec", {}).get("clusterIP")
        for kind, obj in store.everything()
        if kind.plural == "services"
    }
    for offset in range(10, SERVICE_NETWORK.num_addresses - 1):
        address = str(SERVICE_NETWORK[offset])
        if address not in taken:
            return address
    raise StatusError(500, "no free service address")


def _generated(store: Store, place: Place, metadata: Obj) -> str:
    prefix = metadata.get("generateName") or ""
    if not prefix:
        text = "Required value: name or generateName is required"
        raise invalid(place.kind, "", [("FieldValueRequired", "metadata.name", text)])
    for _ in range(8):
        tail = "".join(_pick.choices(GENERATED_ALPHABET, k=GENERATED_LENGTH))
        name = prefix[:GENERATED_PREFIX_MAX] + tail
        if store.get(place.kind, place.namespace, name) is None:
            return name
    raise already_exists(place.kind, prefix)


def _check_namespace(store: Store, place: Place, name: str) -> None:
    if not place.kind.namespaced:
        return
    namespace = store.get(NAMESPACES, "", place.namespace)
    if namespace is None:
        raise not_found(NAMESPACES, place.namespace)
    if namespace["metadata"].get("deletionTimestamp"):
        cause = {"reason": "NamespaceTerminating", "field": "metadata.namespace"}
        message = (
            f'{place.kind.qualified} "{name}" is forbidden: unable to create new content in'
            f" namespace {place.namespace} because it is being terminated"
        )
        raise StatusError(403, message, details={"name": name, "causes": [cause]})


def replace(store: Store, place: Place, body: Any, options: WriteOptions) -> Obj:
    """Replace an object by the body of a PUT.

    Raises:
        StatusError: 400, 404, 409 or 422.
    """
    wanted = bare(place, body)
    return change(store, place, existing(store, place), wanted, options)


def change(store: Store, place: Place, live: Obj, wanted: Obj, options: WriteOptions) -> Obj:
    """Bring an object to a wanted state, as far as the (sub)resource may change it.

    Raises:
        StatusError: 409 when ``wanted`` was made from an older version; 422 when it is not valid.
    """
    _check_versions(place, live, wanted["metadata"])
    return _commit(store, place, settled(place, live, wanted, options), live, options)


def _check_versions(place: Place, live: Obj, stated: Obj) -> None:
    if stated.get("uid") and stated["uid"] != live["metadata"]["uid"]:
        why = (
            f"Precondition failed: UID in precondition: {stated['uid']},"
            f" UID in object meta: {live['metadata']['uid']}"
        )
        raise conflict(place.kind, place.name, why)
    version = stated.get("resourceVersion")
    if version and version != live["metadata"]["resourceVersion"]:
        raise conflict(place.kind, place.name)


def settled(place: Place, live: Obj, wanted: Obj, options: WriteOptions) -> Obj:
    """``wanted`` with everything that this write may not change taken from ``live``."""
    kind = place.kind
    metadata = {k: v for k, v in wanted["metadata"].items() if k not in SYSTEM_METADATA}
    system = {k: live["metadata"][k] for k in SYSTEM_METADATA if k in live["metadata"]}
    if not isinstance(metadata.get("managedFields"), list):
        metadata.pop("managedFields", None)
        if "managedFields" in live["metadata"]:
            system["managedFields"] = live["metadata"]["managedFields"]
    for key in ("labels", "annotations", "finalizers", "ownerReferences"):
        if not metadata.get(key):
            metadata.pop(key, None)
    result = wanted | {"metadata": metadata | system}
    if options.subresource == "status":
        result = live | {"metadata": live["metadata"] if kind.custom else result["metadata"]}
        if wanted.get("status") is not None:
            result["status"] = wanted["status"]
        else:
            result.pop("status", None)
        return with_full_status(kind, result)
    result = with_defaults(kind, result)
    if "status" in kind.subresources:
        result = {key: value for key, value in result.items() if key != "status"}
        if "status" in live:
            result["status"] = live["status"]
    if kind.plural == "services" and live.get("spec", {}).get("clusterIP"):
        keep = {k: live["spec"][k] for k in ("clusterIP", "clusterIPs") if k in live["spec"]}
        result["spec"] = keep | (result.get("spec") or {})
    return result


def _commit(store: Store, place: Place, obj: Obj, live: Obj | None, options: WriteOptions) -> Obj:
    """Check, keep the books (generation, field owners), store unless nothing changed."""
    kind = place.kind
    check_object(kind, obj, live)
    if live is not None and _same(live, obj) and ownership.same_books(live, obj):
        return live
    books = ownership.updated(kind, live, obj, _author(place, options, ownership.UPDATE))
    obj = obj | {"metadata": obj["metadata"] | {"managedFields": books}}
    return finish(store, kind, _generation(live, obj), dry_run=options.dry_run)


def _generation(live: Obj | None, obj: Obj) -> Obj:
    """The object with its generation raised when what is wanted of it has changed."""
    metadata = obj["metadata"]
    if live is None or "generation" not in metadata or _intent(live) == _intent(obj):
        return obj
    return obj | {"metadata": metadata | {"generation": metadata["generation"] + 1}}


def finish(store: Store, kind: Kind, obj: Obj, *, dry_run: bool) -> Obj:
    """Store an object, or remove it when it only waited for its last finalizer."""
    metadata = obj["metadata"]
    if dry_run:
        return obj
    stored = store.put(kind, obj)
    waiting = metadata.get("deletionTimestamp") and not metadata.get("finalizers")
    if waiting and kind is not NAMESPACES and not metadata.get("deletionGracePeriodSeconds"):
        gone = store.remove(kind, stored)
        collect(store, gone)
        return gone
    return stored


def _same(live: Obj, obj: Obj) -> bool:
    """Whether two states differ in nothing but books that a write keeps itself."""
    return _unbooked(live) == _unbooked(obj)


def _unbooked(obj: Obj) -> Obj:
    books = {"managedFields", "resourceVersion"}
    metadata = {key: value for key, value in obj["metadata"].items() if key not in books}
    return obj | {"metadata": metadata}


def _intent(obj: Obj) -> Obj:
    return {key: value for key, value in obj.items() if key not in {"metadata", "status"}}
