"""The settings of one sandbox: plain data that every part of it is given."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

NAMESPACE = "ecommerce"
HOST = "api.c4ang.com"
NODE_NAME = "sandbox-node"


@dataclass(frozen=True, slots=True)
class SandboxSettings:
    """What distinguishes one sandbox from another, and how its parts behave.

    Attributes:
        name: The sandbox's name; two sandboxes of different names share nothing.
        home: Its private folder (mode 0700): kubeconfig, certificates, xDS files, logs, metrics.
        slot: A number that no other live sandbox of this machine holds (0-59). Pods get the
            addresses ``127.(64 + slot).x.y``.
        api_port: Port of the Kubernetes API on 127.0.0.1.
        ingress_port: Port of the ingress gateway on 127.0.0.1.
        prometheus_port: Port of Prometheus on 127.0.0.1.
        envoy_admin_port: Port of Envoy's admin interface on 127.0.0.1.
        exporter_port: Port of the pod metrics exporter on 127.0.0.1.
        kubelet_port: Port of the kubelet's log endpoint on 127.0.0.1.
        pod_port: The port that every pod's application listens on, at the pod's own address.
        namespace: Namespace of the shop.
        seed: Seed of the pods' service-time streams; each pod derives its own.
        replicas: Replicas of each of the shop's services.
        nodes: Node objects, all of this one machine, over which pods are spread; each in a zone of
            its own. More than one makes sense for a drain.
        endpoint_removal_delay_s: Seconds between a pod's deletion (or death) and the removal of
            its address from the endpoints: what a real cluster needs to tell every proxy.
        pod_recreation_delay_s: Seconds between a pod's end and the start of its replacement's
            process: scheduling, image and sandbox set-up of a real node.
        default_grace_s: Grace period for a pod that states none.
        autoscaler_sync_s: Seconds between two looks of the autoscaler, and the time over which it
            takes CPU usage.
    """

    name: str
    home: Path
    slot: int
    api_port: int
    ingress_port: int
    prometheus_port: int
    envoy_admin_port: int
    exporter_port: int
    kubelet_port: int
    pod_port: int = 8080
    namespace: str = NAMESPACE
    seed: int = 1
    replicas: int = 2
    nodes: int = 1
    endpoint_removal_delay_s: float = 0.2
    pod_recreation_delay_s: float = 1.0
    default_grace_s: float = 2.0
    autoscaler_sync_s: float = 15.0

    @property
    def kubeconfig(self) -> Path:
        """The kubeconfig of this sandbox (mode 0600)."""
        return self.home / "kubeconfig"

    @property
    def node_names(self) -> tuple[str, ...]:
        """The names of its nodes: ``sandbox-node``, ``sandbox-node-2`` and so on."""
        return (NODE_NAME, *(f"{NODE_NAME}-{number}" for number in range(2, self.nodes + 1)))

    @property
    def logs(self) -> Path:
        """Folder of every part's log file."""
        return self.home / "logs"

    @property
    def xds(self) -> Path:
        """Folder that Envoy watches for its configuration."""
        return self.home / "xds"

    def pod_address(self, index: int) -> str:
        """The loopback address of the ``index``-th pod of this sandbox (0-based, < 65,000).

        Raises:
            ValueError: When the sandbox has run out of addresses.
        """
        number = index + 2
        if not 0 <= index < 65_000:
            raise ValueError(f"pod address {index} is outside of 0-64999")
        return f"127.{64 + self.slot}.{number >> 8}.{number & 255}"
