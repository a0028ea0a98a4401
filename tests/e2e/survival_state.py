"""Every object of a namespace, byte for byte: what was there before a trial, and what differs now.

Compared is the whole object but for what the API server counts by itself (``resourceVersion``,
``generation``, ``managedFields``) and what controllers report (``status``). Pods come and go, so a
pod is compared with itself as long as it lives; a new one must bear no mark of a fault, and there
must be as many ready pods of each owner as before.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from runner.chaos.client import ApiRefusalError, Cluster
from runner.chaos.objects import (
    AUTOSCALERS,
    BUDGETS,
    CONFIG_MAPS,
    DEPLOYMENTS,
    DESTINATION_RULES,
    ENVOY_FILTERS,
    ISTIO_GROUP,
    ISTIO_VERSIONS,
    NETWORK_POLICIES,
    NODES,
    PODS,
    SERVICES,
    VIRTUAL_SERVICES,
    Kind,
)

GATEWAYS = Kind("gateways", "Gateway", ISTIO_GROUP, ISTIO_VERSIONS)
WHOLE = (
    *(VIRTUAL_SERVICES, DESTINATION_RULES, ENVOY_FILTERS, GATEWAYS, NETWORK_POLICIES),
    *(DEPLOYMENTS, AUTOSCALERS, BUDGETS, SERVICES, CONFIG_MAPS, NODES),
)
"""Kinds whose objects are compared as they are, beside pods."""

COUNTED = ("resourceVersion", "generation", "managedFields")
MARK = "seatrial.dev/"
MOST_SAID = 4


@dataclass(frozen=True)
class State:
    """What a look has found.

    Attributes:
        objects: ``kind/name`` to the canonical text of everything but pods.
        pods: UID to ``(name, canonical text)`` of the pods that are not going away.
        ready: Owner to how many of its pods are ready.
    """

    objects: Mapping[str, str] = field(default_factory=dict)
    pods: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    ready: Mapping[str, int] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """How many objects were looked at."""
        return len(self.objects) + len(self.pods)


def look(cluster: Cluster, namespace: str) -> State:
    """Every object of ``namespace`` (nodes: all) that a fault could have touched.

    Raises:
        ApiRefusalError: When the API server does not answer; a kind that it does not have is empty.
    """
    objects = {
        kind.subject(obj["metadata"]["name"]): canonical(obj)
        for kind in WHOLE
        for obj in _items(cluster, kind, namespace)
    }
    pods, ready = {}, Counter[str]()
    for pod in _items(cluster, PODS, namespace):
        if pod["metadata"].get("deletionTimestamp"):
            continue
        pods[pod["metadata"]["uid"]] = (pod["metadata"]["name"], canonical(pod))
        ready[_owner(pod)] += _is_ready(pod)
    return State(objects, pods, dict(ready))


def canonical(obj: Mapping[str, Any]) -> str:
    """``obj`` as text that is equal for equal objects."""
    kept = {key: value for key, value in obj.items() if key != "status"}
    metadata = {key: value for key, value in obj["metadata"].items() if key not in COUNTED}
    return json.dumps({**kept, "metadata": metadata}, sort_keys=True, separators=(",", ":"))


def differences(before: State, now: State) -> list[str]:
    """Each difference as a sentence; none when all is as it was."""
    return [*_objects_that_differ(before, now), *_pods_that_differ(before, now)]


def _objects_that_differ(before: State, now: State) -> list[str]:
    said = [f"{name} is new" for name in now.objects.keys() - before.objects.keys()]
    said += [f"{name} is gone" for name in before.objects.keys() - now.objects.keys()]
    said += [
        f"{name}: {_changes(before.objects[name], text)}"
        for name, text in now.objects.items()
        if before.objects.get(name, text) != text
    ]
    return sorted(said)


def _pods_that_differ(before: State, now: State) -> list[str]:
    said = [
        f"pod/{name}: {_changes(before.pods[uid][1], text)}"
        for uid, (name, text) in now.pods.items()
        if uid in before.pods and before.pods[uid][1] != text
    ]
    said += [
        f"pod/{name} bears a mark: {text}"
        for uid, (name, text) in now.pods.items()
        if uid not in before.pods and _is_marked(text)
    ]
    said += [
        f"{owner} has {now.ready.get(owner, 0)} ready pods, and had {count}"
        for owner, count in before.ready.items()
        if now.ready.get(owner, 0) != count
    ]
    return sorted(said)


def _changes(before: str, now: str) -> str:
    """Where two texts of one object differ, in words: paths with both values, cut."""
    old, new = (dict(_leaves(json.loads(text))) for text in (before, now))
    paths = [path for path in {**old, **new} if old.get(path) != new.get(path)]
    said = [f"{path} was {old.get(path)!r:.60}, is {new.get(path)!r:.60}" for path in paths]
    return ", ".join(said[:MOST_SAID]) or "another order of its parts"


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, part in value.items():
            yield from _leaves(part, f"{path}.{key}")
    elif isinstance(value, list):
        for number, part in enumerate(value):
            yield from _leaves(part, f"{path}[{number}]")
    else:
        yield path, value


def _is_marked(text: str) -> bool:
    metadata = json.loads(text)["metadata"]
    return any(
        key.startswith(MARK) for part in ("labels", "annotations") for key in metadata.get(part, ())
    )


def _items(cluster: Cluster, kind: Kind, namespace: str) -> list[Any]:
    try:
        found: list[Any] = cluster.items(kind, namespace)
    except ApiRefusalError as error:
        if error.status != 404:
            raise
        return []
    return found


def _owner(pod: Mapping[str, Any]) -> str:
    """The Deployment of a pod: the name of its ReplicaSet without the last part."""
    owners = pod["metadata"].get("ownerReferences") or ({"name": pod["metadata"]["name"]},)
    name = str(owners[0]["name"])
    return name.rpartition("-")[0] or name


def _is_ready(pod: Mapping[str, Any]) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
