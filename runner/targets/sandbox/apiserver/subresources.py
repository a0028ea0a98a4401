"""Scale, eviction, binding and access reviews: what is done to an object besides changing it."""

from __future__ import annotations

from typing import Any

from runner.targets.sandbox.apiobjects import Obj
from runner.targets.sandbox.apiserver.authorisation import attempt_asked, may
from runner.targets.sandbox.apiserver.deletion import DeleteOptions, delete, delete_options
from runner.targets.sandbox.apiserver.disruption import allow_eviction
from runner.targets.sandbox.apiserver.errors import StatusError, bad_request, conflict
from runner.targets.sandbox.apiserver.lifecycle import (
    Place,
    WriteOptions,
    change,
    existing,
    finish,
)
from runner.targets.sandbox.apiserver.store import Store

USERNAME = "seatrial-admin"


def scale_of(obj: Obj) -> Obj:
    """The ``autoscaling/v1`` Scale of a workload."""
    metadata = obj["metadata"]
    names = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {name: metadata[name] for name in names if name in metadata},
        "spec": {"replicas": obj.get("spec", {}).get("replicas", 0)},
        "status": {
            "replicas": (obj.get("status") or {}).get("replicas", 0),
            "selector": _selector_text(obj.get("spec", {}).get("selector") or {}),
        },
    }


_TERMS = {
    "In": "{key} in ({values})",
    "NotIn": "{key} notin ({values})",
    "Exists": "{key}",
    "DoesNotExist": "!{key}",
}


def _selector_text(selector: Obj) -> str:
    """A LabelSelector as a query states it."""
    labels = selector.get("matchLabels") or {}
    terms = [f"{key}={value}" for key, value in sorted(labels.items())]
    for each in selector.get("matchExpressions") or ():
        values = ",".join(each.get("values") or ())
        terms.append(_TERMS[each["operator"]].format(key=each["key"], values=values))
    return ",".join(terms)


def set_scale(store: Store, place: Place, scale: Any, options: WriteOptions) -> Obj:
    """Give a workload the number of replicas of a Scale; the new Scale.

    Raises:
        StatusError: 400, 404, 409 or 422.
    """
    live = existing(store, place)
    if not isinstance(scale, dict) or scale.get("kind", "Scale") != "Scale":
        raise bad_request("the body of the request is not a Scale")
    replicas = (scale.get("spec") or {}).get("replicas", 0)
    wanted = live | {"spec": (live.get("spec") or {}) | {"replicas": replicas}}
    metadata = {key: live["metadata"][key] for key in live["metadata"] if key != "resourceVersion"}
    stated = (scale.get("metadata") or {}).get("resourceVersion")
    if stated:
        metadata["resourceVersion"] = stated
    return scale_of(change(store, place, live, wanted | {"metadata": metadata}, options))


def evict(store: Store, place: Place, body: Any, *, dry_run: bool) -> Obj:
    """Delete a pod if its disruption budgets allow it; the Status of success.

    Raises:
        StatusError: 429 when a budget forbids it, 404, 409.
    """
    pod = existing(store, place)
    if not isinstance(body, dict) or body.get("kind", "Eviction") != "Eviction":
        raise bad_request("the body of the request is not an Eviction")
    stated = delete_options(body.get("deleteOptions"), {})
    options = DeleteOptions(
        grace_s=stated.grace_s,
        uid=stated.uid,
        version=stated.version,
        dry_run=dry_run or stated.dry_run,
    )
    if not pod["metadata"].get("deletionTimestamp"):
        allow_eviction(store, pod)
        delete(store, place.kind, pod, options)
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}


def bind(store: Store, place: Place, body: Any, *, dry_run: bool) -> Obj:
    """Assign a pod to a node; the Status of success.

    Raises:
        StatusError: 400 without a node, 409 when the pod has one already.
    """
    pod = existing(store, place)
    target = body.get("target") if isinstance(body, dict) else None
    node = target.get("name") if isinstance(target, dict) else None
    if not node:
        raise bad_request("a Binding needs target.name: the node")
    if pod["spec"].get("nodeName"):
        taken = pod["spec"]["nodeName"]
        raise conflict(place.kind, place.name, f'pod is already assigned to node "{taken}"')
    if pod["metadata"].get("deletionTimestamp"):
        raise conflict(place.kind, place.name, "pod is being deleted, cannot be assigned to a host")
    finish(store, place.kind, pod | {"spec": pod["spec"] | {"nodeName": node}}, dry_run=dry_run)
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}


def review(store: Store, user: str, kind: str, body: Any) -> Obj:
    """The answer to a question about the caller's own rights; without a name he is the admin.

    Raises:
        StatusError: 400 for a body that is not such a question.
    """
    body = body if body is not None else {}
    if not isinstance(body, dict) or body.get("kind", kind) != kind:
        raise bad_request(f"the body of the request is not a {kind}")
    everything: dict[str, Any] = {"verbs": ["*"]}
    status: Obj
    if kind == "SelfSubjectAccessReview":
        spec = body.get("spec") or {}
        if not (spec.get("resourceAttributes") or spec.get("nonResourceAttributes")):
            raise StatusError(
                422, "spec: exactly one of nonResourceAttributes or resourceAttributes"
            )
        status = {"allowed": True, "reason": "the admin of the sandbox may do everything"}
        if user:
            asked = attempt_asked(spec.get("resourceAttributes") or {})
            status = {"allowed": may(store, user, asked), "reason": "by its Roles"}
    elif kind == "SelfSubjectRulesReview":
        rules = [] if user else [everything | {"apiGroups": ["*"], "resources": ["*"]}]
        others = [] if user else [everything | {"nonResourceURLs": ["*"]}]
        status = {"resourceRules": rules, "nonResourceRules": others, "incomplete": bool(user)}
    else:
        groups = [*([] if user else ["system:masters"]), "system:authenticated"]
        status = {"userInfo": {"username": user or USERNAME, "groups": groups}}
    return body | {"kind": kind, "status": status}
