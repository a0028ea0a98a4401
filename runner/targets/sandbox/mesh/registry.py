"""Who is in the mesh: services with their backends, and the clients that send requests. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from runner.targets.sandbox.manifests import OUTBOUND_ANNOTATION
from runner.targets.sandbox.mesh.model import (
    CLUSTER_DOMAIN,
    GATEWAY_LABELS,
    GATEWAY_NAMESPACE,
    GATEWAY_WORKLOAD,
    Object,
)


@dataclass(frozen=True, slots=True)
class Workload:
    """What Istio's labels say of one end of a request."""

    name: str
    namespace: str
    app: str
    version: str


@dataclass(frozen=True, slots=True)
class Pod:
    """One pod with an address.

    Attributes:
        key: ``namespace/name``.
        calls: Whether it sends its requests through an outbound listener.
    """

    name: str
    namespace: str
    address: str
    labels: Mapping[str, str]
    workload: Workload
    calls: bool

    @property
    def key(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class Client:
    """A proxy that sends requests: the ingress gateway, or the outbound side of one pod.

    Attributes:
        name: Unique; it ends the names of the clusters, because breakers and ejections are each
            client's own.
        address: Where its listener is bound; empty for the gateway, whose address is a setting.
        is_gateway: Whether it is the ingress gateway.
    """

    name: str
    workload: Workload
    labels: Mapping[str, str]
    address: str = ""
    is_gateway: bool = False


@dataclass(frozen=True, slots=True)
class Backend:
    """One ready address of a service port; ``pod`` is None when no pod of ours stands behind."""

    address: str
    port: int
    pod: Pod | None


@dataclass(frozen=True, slots=True)
class Service:
    """One service with its ports (number → ready backends, in order of address)."""

    name: str
    namespace: str
    ports: Mapping[int, tuple[Backend, ...]]

    @property
    def host(self) -> str:
        """Its full name, ``payment-api.ecommerce.svc.cluster.local``."""
        return f"{self.name}.{self.namespace}.svc.{CLUSTER_DOMAIN}"

    @property
    def default_port(self) -> int:
        """The port that a request without one means: 80, or else the first."""
        return 80 if 80 in self.ports or not self.ports else min(self.ports)


def full_host(host: str, namespace: str) -> str:
    """The full name of a host as an object in ``namespace`` writes it.

    A name without a dot is a service of the same namespace; ``name.ns`` and ``name.ns.svc`` are
    completed too (Istio leaves these to the application, with a warning).
    """
    parts = host.split(".")
    if "*" in host:
        return host
    if len(parts) == 1:
        return f"{host}.{namespace}.svc.{CLUSTER_DOMAIN}"
    if len(parts) == 3 and parts[2] == "svc":
        return f"{host}.{CLUSTER_DOMAIN}"
    return host


@dataclass(frozen=True, slots=True)
class Registry:
    """Services by full host name, pods by ``namespace/name``, and the clients."""

    services: Mapping[str, Service] = field(default_factory=dict)
    pods: Mapping[str, Pod] = field(default_factory=dict)
    clients: tuple[Client, ...] = ()

    def find(self, host: str, namespace: str) -> Service | None:
        """The service that ``host`` means in an object of ``namespace``."""
        found = self.services.get(full_host(host, namespace))
        if found is None and host.count(".") == 1:
            found = self.services.get(f"{host}.svc.{CLUSTER_DOMAIN}")
        return found


def gateway_client() -> Client:
    """The ingress gateway as a client of the services."""
    return Client(
        name=GATEWAY_WORKLOAD,
        workload=Workload(GATEWAY_WORKLOAD, GATEWAY_NAMESPACE, GATEWAY_WORKLOAD, ""),
        labels=GATEWAY_LABELS,
        is_gateway=True,
    )


def build_registry(
    pods: Iterable[Object], services: Iterable[Object], endpoints: Iterable[Object]
) -> Registry:
    """Put services, endpoints and pods together. Objects without what they need are left out."""
    by_key = {pod.key: pod for pod in map(_pod, pods) if pod is not None}
    by_address = {pod.address: pod for pod in by_key.values()}
    ready = {_key(obj): obj for obj in endpoints}
    built = [
        _service(obj, ready.get(_key(obj), {}), by_address)
        for obj in sorted(services, key=_key)
        if (obj.get("spec") or {}).get("type") != "ExternalName"
    ]
    callers = [
        Client(pod.key.replace("/", "."), pod.workload, pod.labels, pod.address)
        for pod in sorted(by_key.values(), key=lambda pod: pod.key)
        if pod.calls
    ]
    return Registry(
        services={service.host: service for service in built if service.ports},
        pods=by_key,
        clients=(gateway_client(), *callers),
    )


def _key(obj: Object) -> str:
    meta = obj.get("metadata") or {}
    return f"{meta.get('namespace', '')}/{meta.get('name', '')}"


def _pod(obj: Object) -> Pod | None:
    meta, status = obj.get("metadata") or {}, obj.get("status") or {}
    address = status.get("podIP")
    if not address or status.get("phase") in {"Succeeded", "Failed"}:
        return None
    labels = meta.get("labels") or {}
    annotations = meta.get("annotations") or {}
    return Pod(
        name=meta["name"],
        namespace=meta.get("namespace", ""),
        address=address,
        labels=labels,
        workload=Workload(
            name=_workload_name(obj),
            namespace=meta.get("namespace", ""),
            app=labels.get("app") or labels.get("app.kubernetes.io/name", ""),
            version=labels.get("version", ""),
        ),
        calls=annotations.get(OUTBOUND_ANNOTATION) == "true",
    )


def _workload_name(pod: Object) -> str:
    """The name of what owns a pod, as Istio shows it: a ReplicaSet counts as its Deployment."""
    meta = pod["metadata"]
    owners = [owner for owner in meta.get("ownerReferences") or [] if owner.get("controller", True)]
    if not owners:
        return str((meta.get("labels") or {}).get("app") or meta["name"])
    name = str(owners[0].get("name", ""))
    if owners[0].get("kind") == "ReplicaSet":
        return name.rpartition("-")[0] or name
    return name


def _service(obj: Object, endpoints: Object, pods: Mapping[str, Pod]) -> Service:
    meta = obj["metadata"]
    ports = {
        int(port["port"]): _backends(port, endpoints, pods)
        for port in (obj.get("spec") or {}).get("ports") or []
        if port.get("protocol", "TCP") == "TCP"
    }
    return Service(meta["name"], meta.get("namespace", ""), ports)


def _backends(
    port: Mapping[str, object], endpoints: Object, pods: Mapping[str, Pod]
) -> tuple[Backend, ...]:
    found = {
        (address["ip"], int(target["port"]))
        for subset in endpoints.get("subsets") or []
        for target in subset.get("ports") or []
        if (target.get("name") or "") == (port.get("name") or "")
        for address in subset.get("addresses") or []
    }
    return tuple(Backend(ip, number, pods.get(ip)) for ip, number in sorted(found))
