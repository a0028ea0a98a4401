"""Targets as ``seatrial.yaml`` names them: where an experiment can be sent."""

from __future__ import annotations

from pydantic import ConfigDict, Field

from runner.model.fault import NAME_PATTERN
from runner.model.shape import Model

SANDBOX = "sandbox"
URL_PATTERN = r"^https?://"


class ClusterSpec(Model):
    """A cluster that experiments may be run against.

    Naming a context here is the permission to break things in it.
    """

    model_config = ConfigDict(title="Cluster")

    context: str = Field(min_length=1, description="Context of the kubeconfig; never the current.")
    kubeconfig: str = Field(default="", description="Default: $KUBECONFIG, then ~/.kube/config.")
    namespace: str = Field(pattern=NAME_PATTERN, description="Namespace of the services.")
    ingress: str = Field(
        pattern=URL_PATTERN, description="URL that the load goes to.", examples=["https://shop"]
    )
    host: str = Field(default="", description="Host header of requests to the ingress.")
    prometheus: str = Field(pattern=URL_PATTERN, description="URL of Prometheus.")


class Config(Model):
    """``seatrial.yaml``: targets beside the built-in sandbox."""

    model_config = ConfigDict(title="seatrial configuration")

    targets: dict[str, ClusterSpec] = Field(
        default_factory=dict, description="Name to cluster; 'sandbox' is built in."
    )
