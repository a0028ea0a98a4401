"""Services, the pods that they select, and the Deployments behind them: look-ups, all pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from runner.model.labels import matches
from runner.targets.inspection import Object, Objects

PROXY = "istio-proxy"
"""Name of the sidecar's container, whoever put it there."""


def named(objects: Iterable[Object]) -> dict[str, Object]:
    """Objects by their names."""
    return {str(one["metadata"]["name"]): one for one in objects}


def labels_of(obj: Object) -> dict[str, str]:
    """The labels of an object; empty when it has none."""
    return obj["metadata"].get("labels") or {}


def is_ready(pod: Object) -> bool:
    """Whether ``pod`` is ready and not on its way out."""
    conditions = pod.get("status", {}).get("conditions") or ()
    ready = any(c.get("type") == "Ready" and c.get("status") == "True" for c in conditions)
    return ready and "deletionTimestamp" not in pod["metadata"]


def is_over(pod: Object) -> bool:
    """Whether ``pod`` has ended for good, as those of a Job do; nobody expects it to be ready."""
    return pod.get("status", {}).get("phase") in ("Succeeded", "Failed")


def has_sidecar(pod: Object) -> bool:
    """Whether the mesh's proxy is in ``pod``.

    It stands beside the other containers, or is an init container that stays, in newer meshes.
    """
    spec = pod.get("spec") or {}
    stays = [c for c in spec.get("initContainers") or () if c.get("restartPolicy") == "Always"]
    return any(c.get("name") == PROXY for c in (*(spec.get("containers") or ()), *stays))


def ready_of(pod: Object) -> str:
    """Ready containers of all, as ``kubectl`` shows them: ``2/2``."""
    spec, status = pod.get("spec") or {}, pod.get("status") or {}
    stays = {
        c.get("name")
        for c in spec.get("initContainers") or ()
        if c.get("restartPolicy") == "Always"
    }
    running = [
        *(status.get("containerStatuses") or ()),
        *(s for s in status.get("initContainerStatuses") or () if s.get("name") in stays),
    ]
    total = len(spec.get("containers") or ()) + len(stays)
    return f"{sum(bool(s.get('ready')) for s in running)}/{total}"


def selected(selector: Mapping[str, str] | None, pods: Iterable[Object]) -> list[Object]:
    """The pods that have all labels of ``selector``; none for an empty one."""
    if not selector:
        return []
    return [pod for pod in pods if selector.items() <= labels_of(pod).items()]


def selector_of(service: Object | None) -> dict[str, str]:
    """The selector of a Service; empty when it has none."""
    return ((service or {}).get("spec") or {}).get("selector") or {}


def pods_of(service: str, objects: Objects) -> list[Object]:
    """The pods of a Service that have not ended."""
    found = selected(selector_of(named(objects.of("services")).get(service)), objects.of("pods"))
    return [pod for pod in found if not is_over(pod)]


def picks_none_of(selector: str, service: str, objects: Objects) -> bool:
    """Whether ``selector`` surely passes by ``service``: there are pods of it, and it takes none.

    Of a Service without a selector, or without pods, that cannot be said.
    """
    pods = pods_of(service, objects)
    return bool(pods) and not any(matches(selector, labels_of(pod)) for pod in pods)


def ready_addresses(service: str, objects: Objects) -> int:
    """Ready addresses behind a Service."""
    return sum(
        len(subset.get("addresses") or ())
        for endpoints in objects.of("endpoints")
        if endpoints["metadata"]["name"] == service
        for subset in endpoints.get("subsets") or ()
    )


def services_of_workload(workload: str, objects: Objects) -> set[str]:
    """The Services that select the pods of a Deployment."""
    deployment = named(objects.of("deployments")).get(workload) or {}
    template = ((deployment.get("spec") or {}).get("template") or {}).get("metadata") or {}
    labels = template.get("labels") or {}
    return {
        name
        for name, service in named(objects.of("services")).items()
        if selector_of(service) and selector_of(service).items() <= labels.items()
    }


def service_named(host: object, namespace: str) -> str | None:
    """The Service of ``namespace`` that a host in a rule means; None where it means another."""
    name, _, rest = str(host).partition(".")
    own = rest in ("", namespace) or rest == f"{namespace}.svc"
    return name if own or rest.startswith(f"{namespace}.svc.") else None
