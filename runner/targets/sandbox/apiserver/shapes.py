"""Which lists of an object are sets or maps of items, and which maps are one value.

Kubernetes writes this into the types' tags (``patchMergeKey``, ``listMapKey``, ``listType``,
``mapType``); here it is told by field names, for the built-in kinds. Lists of custom resources
have no such tags: they are single values.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from runner.targets.sandbox.apiserver.kinds import Kind

FieldPath = tuple[str, ...]


class ListShape(NamedTuple):
    """How the items of a list are told apart.

    Attributes:
        merge_key: Key of a strategic merge patch; empty for a set of plain values.
        keys: Keys of server-side apply; empty for a set of plain values.
    """

    merge_key: str
    keys: tuple[str, ...]


def _by(merge_key: str, *more: str) -> ListShape:
    return ListShape(merge_key, (merge_key, *more))


SET = ListShape("", ())

_CONTAINERS = ("containers", "initContainers", "ephemeralContainers")

_LISTS: dict[str, ListShape] = {
    **dict.fromkeys(_CONTAINERS, _by("name")),
    "env": _by("name"),
    "volumes": _by("name"),
    "imagePullSecrets": _by("name"),
    "secrets": _by("name"),
    "volumeMounts": _by("mountPath"),
    "volumeDevices": _by("devicePath"),
    "conditions": _by("type"),
    "addresses": _by("type"),
    "hostAliases": _by("ip"),
    "podIPs": _by("ip"),
    "topologySpreadConstraints": _by("topologyKey", "whenUnsatisfiable"),
}
_METADATA_LISTS: dict[str, ListShape] = {"ownerReferences": _by("uid"), "finalizers": SET}
_CONTAINER_PORTS = _by("containerPort", "protocol")
_SERVICE_PORTS = _by("port", "protocol")

_KEY_DEFAULTS: dict[str, Any] = {"protocol": "TCP"}

_ATOMIC_MAPS = frozenset({"selector", "nodeSelector", "labelSelector", "involvedObject"})


def list_shape(kind: Kind, path: FieldPath) -> ListShape | None:
    """The shape of the list at a path of field names (without indexes); ``None``: one value."""
    name = path[-1]
    if path[0] == "metadata":
        return _METADATA_LISTS.get(name)
    if kind.custom:
        return None
    if name == "ports":
        if len(path) > 1 and path[-2] in _CONTAINERS:
            return _CONTAINER_PORTS
        return _SERVICE_PORTS if path == ("spec", "ports") else None
    return _LISTS.get(name)


def is_atomic_map(kind: Kind, path: FieldPath) -> bool:
    """Whether the map at a path is owned and replaced as one value."""
    if kind.custom or not path:
        return False
    return path[-1] in _ATOMIC_MAPS


def item_key(item: Any, shape: ListShape) -> tuple[Any, ...]:
    """What identifies an item in a list of that shape."""
    if not shape.keys or not isinstance(item, dict):
        return (item,)
    return tuple(item.get(key, _KEY_DEFAULTS.get(key)) for key in shape.keys)
