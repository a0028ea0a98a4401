"""Faults in front of pods, as data: EnvoyFilters that put a fault filter into their proxies. Pure.

The filter stands right before the router of the inbound side, so the request has arrived at the pod
when it is delayed or refused: whoever called sees a pod that is slow or answers with an error, and
its breaker (outlier detection) counts that, which it never does with a fault of its own proxy.

What the mesh shows of it: the pod's proxy counts the request with the flag ``DI`` or ``FI`` at
``reporter="destination"`` (Istio's own statistics are kept by a filter that stands before this one,
and are written at the end of the request). The caller's proxy, ``reporter="source"``, sees only the
status and the time; where its breaker has ejected the pod, fewer requests arrive at all, so there
is no telling how many hits are to be expected.

One such object for each fault. Nothing of the user's is changed, but for the label on the pods when
only some of them are meant (:mod:`runner.chaos.labelled`).
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from pydantic import TypeAdapter

from runner.chaos import labelled, owned
from runner.chaos.annotation import Tag
from runner.chaos.objects import ENVOY_FILTERS, Object
from runner.chaos.pods import candidates
from runner.chaos.scopes import Condition
from runner.errors import FaultError
from runner.model.bounds import why_at_most
from runner.model.podcount import COUNT_ACCEPTED, EVERY_POD, PodCount, pods_meant
from runner.model.target import UNBOUNDED, Bounds

FAULT_TYPE: Final = "type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault"
MANAGER: Final = "envoy.filters.network.http_connection_manager"
ROUTER: Final = "envoy.filters.http.router"
PROXY: Final = "istio-proxy"
"""Istio's container in a pod: an ordinary one, or an init container that stays."""

_MILLION: Final = 1_000_000
_COUNT: Final[TypeAdapter[int | str]] = TypeAdapter(PodCount)


def delay_config(delay_s: float, percent: float) -> Object:
    """Envoy's delay of ``delay_s`` seconds on ``percent`` (above 0 to 100) of the requests.

    Raises:
        FaultError: When this would disturb nothing.
    """
    if not delay_s >= 0.001:
        raise FaultError(f"a delay of {delay_s:g} s is too short", accepted="1ms or more")
    text = f"{delay_s:.3f}".rstrip("0").rstrip(".")
    return {"delay": {"fixed_delay": f"{text}s", "percentage": _share(percent)}}


def abort_config(status: int, percent: float) -> Object:
    """Envoy's answer ``status`` to ``percent`` (above 0 to 100) of the requests.

    Raises:
        FaultError: When this would disturb nothing, or is no HTTP status.
    """
    if not 200 <= status <= 599:
        raise FaultError(f"{status} is not an HTTP status", accepted="200 to 599")
    return {"abort": {"http_status": status, "percentage": _share(percent)}}


def _share(percent: float) -> dict[str, Any]:
    numerator = round(percent * _MILLION / 100) if 0 < percent <= 100 else 0
    if numerator < 1:
        raise FaultError(
            f"a fault on {percent:g} % of the requests cannot be measured",
            accepted="0.0001 to 100 percent: Envoy draws one of a million",
        )
    return {"numerator": numerator, "denominator": "MILLION"}


def make(
    namespace: str,
    tag: Tag,
    config: Mapping[str, Any],
    headers: Mapping[str, Condition],
    labels: Mapping[str, str],
) -> Object:
    """The EnvoyFilter of a fault.

    Args:
        namespace: The pods' own.
        tag: The fault.
        config: Of :func:`delay_config` or :func:`abort_config`.
        headers: Only requests that meet all of these conditions are hit.
        labels: The pods.
    """
    fault: Object = {"@type": FAULT_TYPE, **config}
    if headers:
        fault["headers"] = [_header(name, one) for name, one in sorted(headers.items())]
    inbound = {"filter": {"name": MANAGER, "subFilter": {"name": ROUTER}}}
    patch = {
        "applyTo": "HTTP_FILTER",
        "match": {"context": "SIDECAR_INBOUND", "listener": {"filterChain": inbound}},
        "patch": {
            "operation": "INSERT_BEFORE",
            # A name of its own, so that faults that overlap are filters beside each other.
            "value": {"name": tag.key, "typed_config": fault},
        },
    }
    spec = {"workloadSelector": {"labels": dict(labels)}, "configPatches": [patch]}
    return owned.make(ENVOY_FILTERS, namespace, tag, {"spec": spec})


def _header(name: str, condition: Condition) -> Object:
    if "regex" in condition:
        return {"name": name, "string_match": {"safe_regex": {"regex": condition["regex"]}}}
    return {"name": name, "string_match": dict(condition)}


def labels_of(obj: Object) -> dict[str, str]:
    """The labels of the pods in front of which the fault ``obj`` acts.

    Raises:
        FaultError: When somebody has changed the object such that it is no fault any more.
    """
    spec = obj.get("spec") or {}
    labels = (spec.get("workloadSelector") or {}).get("labels") or {}
    kinds = [
        ((patch.get("patch") or {}).get("value") or {}).get("typed_config", {}).get("@type")
        for patch in spec.get("configPatches") or ()
    ]
    if not labels or FAULT_TYPE not in kinds:
        raise FaultError(f"envoyfilter/{obj['metadata']['name']} was changed, and is no fault")
    return dict(labels)


def has_proxy(pod: Object) -> bool:
    """Whether Istio's proxy runs in the pod."""
    spec = pod.get("spec") or {}
    containers = [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]
    return any(container.get("name") == PROXY for container in containers)


def choose(
    pods: Iterable[Object],
    count: int | str | None,
    seed: int,
    service: str,
    bounds: Bounds = UNBOUNDED,
) -> list[Object]:
    """The pods in front of which the fault acts: ready ones that have a proxy.

    Nothing is killed, so no PodDisruptionBudget is asked.

    Args:
        pods: All pods of the service.
        count: A number, a share or ``all``; None for all.
        seed: Seed of the draw.
        service: For the messages.
        bounds: The target's, on how many pods are hit at a time.

    Raises:
        FaultError: When there are none, or not as many, or the bounds do not allow as many.
    """
    ready = candidates(pods)
    able = [pod for pod in ready if has_proxy(pod)]
    if not able:
        why = "none of its ready pods has Istio's proxy" if ready else "it has no ready pod"
        raise FaultError(
            f"nothing stands in front of the pods of {service}: {why}",
            accepted=f"ready pods with a container {PROXY}",
        )
    if count is None or everyone(count):
        _within(bounds, len(able), ready, service)
        return able
    try:
        meant = pods_meant(_COUNT.validate_python(count), len(able))
    except ValueError as error:
        raise FaultError(f"{count!r} is no number of pods", accepted=COUNT_ACCEPTED) from error
    if meant > len(able):
        raise FaultError(
            f"{service} has {len(able)} ready pods with Istio's proxy, not {meant}",
            accepted=f"a count from 1 to {len(able)}, a share, or all",
        )
    _within(bounds, meant, ready, service)
    drawn = random.Random(seed).sample(able, meant)  # noqa: S311 - a repeatable draw is the point
    return sorted(drawn, key=_name)


def _within(bounds: Bounds, meant: int, ready: list[Object], service: str) -> None:
    if meant > bounds.most_of(len(ready)):
        raise FaultError(
            f"{service} has {len(ready)} ready pods, and a fault in front of {meant} of them is "
            f"too much: {why_at_most(bounds, len(ready))}"
        )


def everyone(count: int | str | None) -> bool:
    """Whether all pods are meant, also those that start meanwhile."""
    return count in (None, EVERY_POD)


def marks(tag: Tag) -> dict[str, str]:
    """The labels of pods that the fault has chosen."""
    return {labelled.label_of(tag.key): labelled.VALUE}


def names(pods: Sequence[Object]) -> list[str]:
    """``pod/a``, ``pod/b``."""
    return [f"pod/{_name(pod)}" for pod in pods]


def _name(pod: Object) -> str:
    return str(pod["metadata"]["name"])
