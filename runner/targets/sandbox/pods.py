"""Questions about pods, and pods made of templates: pure functions over Kubernetes objects.

Shared by the controllers, the kubelet and the exporter. Nothing here talks to an API server.
"""

from __future__ import annotations

import copy
import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from runner.targets.sandbox.programs import PROXY_CONTAINER, PROXY_IMAGE

Object = Mapping[str, Any]

HASH_LABEL: Final = "pod-template-hash"
REVISION: Final = "deployment.kubernetes.io/revision"
INJECT: Final = "sidecar.istio.io/inject"
# Kubernetes' own alphabet for generated names: no vowels, nothing that reads as another sign.
NAME_LETTERS: Final = "bcdfghjklmnpqrstvwxz2456789"

_QUANTITIES: Final = {
    "Ki": 2.0**10,
    "Mi": 2.0**20,
    "Gi": 2.0**30,
    "Ti": 2.0**40,
    "m": 1e-3,
    "k": 1e3,
    "M": 1e6,
    "G": 1e9,
    "T": 1e12,
}


def condition(obj: Object, kind: str) -> Object:
    """The condition of that type in an object's status; empty when it has none."""
    for each in obj.get("status", {}).get("conditions") or ():
        if each.get("type") == kind:
            found: Object = each
            return found
    return {}


def is_ready(pod: Object) -> bool:
    """Whether a pod's condition Ready is True, be it about to go or not."""
    return condition(pod, "Ready").get("status") == "True"


def is_terminating(pod: Object) -> bool:
    """Whether a pod's deletion has been asked for."""
    return bool(pod["metadata"].get("deletionTimestamp"))


def is_active(pod: Object) -> bool:
    """Whether a pod counts as a replica: neither finished nor being deleted."""
    phase = pod.get("status", {}).get("phase", "Pending")
    return not is_terminating(pod) and phase not in ("Succeeded", "Failed")


def is_available(pod: Object, min_ready_s: float, now_s: float) -> bool:
    """Whether a pod has been ready for at least ``min_ready_s`` seconds."""
    if not is_ready(pod):
        return False
    since_s = seconds_of(str(condition(pod, "Ready").get("lastTransitionTime", "")))
    return min_ready_s <= 0.0 or now_s - since_s >= min_ready_s


def seconds_of(timestamp: str) -> float:
    """Unix seconds of a Kubernetes time such as ``2026-01-02T03:04:05Z``; 0 for none."""
    if not timestamp:
        return 0.0
    return datetime.fromisoformat(timestamp).timestamp()


def time_of(seconds: float) -> str:
    """The Kubernetes time (UTC, whole seconds) of Unix seconds."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def quantity(text: object) -> float:
    """A Kubernetes quantity as a number: ``50m`` is 0.05, ``64Mi`` is 67108864.

    Raises:
        ValueError: The text is no quantity.
    """
    word = str(text)
    for unit, factor in _QUANTITIES.items():
        if word.endswith(unit):
            return float(word.removesuffix(unit)) * factor
    return float(word)


def matches(selector: Object, labels: Mapping[str, str]) -> bool:
    """Whether labels match a LabelSelector (``matchLabels``, ``matchExpressions``).

    An empty selector matches nothing here: no controller may own everything by accident.
    """
    pairs = selector.get("matchLabels") or {}
    expressions = selector.get("matchExpressions") or ()
    if not pairs and not expressions:
        return False
    if any(labels.get(key) != value for key, value in pairs.items()):
        return False
    return all(_expression_holds(each, labels) for each in expressions)


def _expression_holds(expression: Object, labels: Mapping[str, str]) -> bool:
    value = labels.get(expression["key"])
    values = expression.get("values") or ()
    match expression["operator"]:
        case "In":
            return value in values
        case "NotIn":
            return value not in values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case _:
            return False


def owner_uid(obj: Object) -> str:
    """The uid of an object's controlling owner; empty when it has none."""
    for reference in obj["metadata"].get("ownerReferences") or ():
        if reference.get("controller"):
            return str(reference.get("uid", ""))
    return ""


def owner_reference(owner: Object) -> dict[str, Any]:
    """The reference that makes ``owner`` the controller of an object."""
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def short_name(seed: str, length: int = 5) -> str:
    """A name of Kubernetes' random letters, the same for the same seed."""
    number = int.from_bytes(hashlib.blake2s(seed.encode()).digest()[:8], "big")
    letters = []
    for _ in range(length):
        number, index = divmod(number, len(NAME_LETTERS))
        letters.append(NAME_LETTERS[index])
    return "".join(letters)


def template_hash(template: Object) -> str:
    """A short hash of a pod template, without the hash label itself."""
    plain = copy.deepcopy(dict(template))
    metadata = plain.get("metadata") or {}
    (metadata.get("labels") or {}).pop(HASH_LABEL, None)
    metadata.pop("creationTimestamp", None)
    return short_name(json.dumps(plain, sort_keys=True), 10)


def pod_of(replicaset: Object, suffix: str, *, inject: bool, grace_s: float) -> dict[str, Any]:
    """A pod of a ReplicaSet's template.

    Args:
        replicaset: The ReplicaSet that controls the pod.
        suffix: The end of the pod's name.
        inject: Whether to add the mesh's second container.
        grace_s: The grace period of a pod whose template states none, in seconds.
    """
    template = copy.deepcopy(dict(replicaset["spec"]["template"]))
    metadata = dict(template.get("metadata") or {})
    metadata.pop("creationTimestamp", None)
    own = replicaset["metadata"]
    metadata["name"] = f"{own['name']}-{suffix}"
    metadata["generateName"] = f"{own['name']}-"
    metadata["namespace"] = own["namespace"]
    metadata["ownerReferences"] = [owner_reference(replicaset)]
    # The API knows whole seconds only.
    template["spec"].setdefault("terminationGracePeriodSeconds", math.ceil(grace_s))
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}
    return with_proxy(pod) if inject else pod


def wants_proxy(template: Object, namespace: Object | None) -> bool:
    """Istio's rule: the namespace is labelled, and the template does not opt out."""
    labels = ((namespace or {}).get("metadata") or {}).get("labels") or {}
    metadata = template.get("metadata") or {}
    own = {**(metadata.get("annotations") or {}), **(metadata.get("labels") or {})}.get(INJECT)
    return str(own).lower() != "false" and labels.get("istio-injection") == "enabled"


def with_proxy(pod: dict[str, Any]) -> dict[str, Any]:
    """The pod with an ``istio-proxy`` container, as Istio's webhook adds it at admission.

    It requests no resources: one Envoy serves all pods of a sandbox.
    """
    containers = list(pod["spec"].get("containers") or ())
    if any(each.get("name") == PROXY_CONTAINER for each in containers):
        return pod
    containers.append({"name": PROXY_CONTAINER, "image": PROXY_IMAGE})
    return {**pod, "spec": {**pod["spec"], "containers": containers}}


def controlled_by(owner: Object, objects: Iterable[Object]) -> list[Object]:
    """The objects that ``owner`` controls, oldest first."""
    uid = owner["metadata"]["uid"]
    mine = [each for each in objects if owner_uid(each) == uid]
    return sorted(mine, key=_age_key)


def _age_key(obj: Object) -> tuple[str, str]:
    metadata = obj["metadata"]
    return str(metadata.get("creationTimestamp", "")), str(metadata["name"])
