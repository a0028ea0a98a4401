"""Targets as ``seatrial.yaml`` names them: where an experiment can be sent, and what may be broken.

What is allowed stands beside the address and not in the experiment, so that who owns a cluster sets
its bounds, and no experiment can widen them. Data only: ``model.bounds`` holds plans against it.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field

from runner.model.access import URL_PATTERN, PrometheusAccess
from runner.model.fault import FAULT_KINDS, NAME_PATTERN
from runner.model.notice import Notify
from runner.model.shape import Items, Model
from runner.model.units import Percent

SANDBOX = "sandbox"
OPT_IN_LABEL = "seatrial.dev/inject"
OPT_IN_VALUE = "enabled"
"""A namespace with this label may be disturbed."""

PRODUCTION_NAME = re.compile(r"(^|[^a-z])(prod|production|live|prd)([^a-z]|$)", re.IGNORECASE)
"""What the name of a production cluster looks like: one of these words, whole."""

ALERT_SELECTOR = 'severity="critical"'


def _known_kind(value: str) -> str:
    if value not in FAULT_KINDS:
        raise ValueError(f"{value!r} is no kind of fault; accepted: {', '.join(FAULT_KINDS)}")
    return value


FaultKind = Annotated[
    str, AfterValidator(_known_kind), Field(json_schema_extra={"enum": list(FAULT_KINDS)})
]


class Bounds(Model):
    """How much one run may break at a time: its blast radius.

    They hold for all faults that are in effect at the same moment, service by service. They are
    looked at before anything is touched, and again right before pods are hit.
    """

    model_config = ConfigDict(title="Bounds")

    max_pods: int | None = Field(
        default=None, ge=0, description="Most pods of a service that are hit at a time."
    )
    max_percent: Percent | None = Field(
        default=None,
        description="Most of the ready pods of a service that are hit at a time. It is rounded "
        "down to whole pods, and it may be none.",
    )
    min_healthy: int = Field(
        default=0, ge=0, description="Ready pods of a service that are left alone at least."
    )
    kinds: Items[FaultKind] | None = Field(
        default=None, description="Kinds of faults that are allowed. Default: all."
    )
    allow_nodes: bool | None = Field(
        default=None,
        description="Whether nodes may be cordoned and drained. Default: on the sandbox only.",
    )

    def most_of(self, ready: int) -> int:
        """How many of ``ready`` pods may be hit at a time; never rounded up."""
        most = max(0, ready - self.min_healthy)
        if self.max_pods is not None:
            most = min(most, self.max_pods)
        if self.max_percent is not None:
            most = min(most, int(ready * self.max_percent / 100.0 + 1e-9))
        return most

    @property
    def most(self) -> dict[str, float]:
        """The bounds on pods at a time that are set, as arguments of actions."""
        given = {"max_pods": self.max_pods, "max_percent": self.max_percent}
        return {name: value for name, value in given.items() if value is not None}

    @property
    def arguments(self) -> dict[str, float]:
        """All bounds on pods that are set, as arguments of actions."""
        return self.most | ({"min_healthy": self.min_healthy} if self.min_healthy else {})

    @property
    def counts_pods(self) -> bool:
        """Whether there is a bound on the number of pods."""
        return self != Bounds(kinds=self.kinds, allow_nodes=self.allow_nodes)


UNBOUNDED = Bounds()
"""No bounds at all."""


class Rules(Model):
    """What holds for every run on a target."""

    model_config = ConfigDict(title="Rules")

    bounds: Bounds = Field(default=UNBOUNDED, description="How much may be broken at a time.")
    alerts: Literal["refuse", "warn", "ignore"] | None = Field(
        default=None,
        description="What to do when alerts fire before the run. Default: refuse it; on the "
        "sandbox, warn.",
    )
    alert_selector: str = Field(
        default=ALERT_SELECTOR,
        description="Which alerts of the namespace count: matchers of Prometheus' series ALERTS. "
        "Alerts without a namespace count, too.",
    )


def _as_url_or_keys(schema: dict[str, Any]) -> None:
    """Its short form stands beside the long one."""
    reference = schema.pop("$ref", None)
    if reference:
        url = {"type": "string", "pattern": URL_PATTERN, "examples": ["https://prometheus"]}
        schema["anyOf"] = [url, {"$ref": reference}]


class ClusterSpec(Rules):
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
    prometheus: PrometheusAccess = Field(
        description="Prometheus: its URL, or keys that say how it is reached.",
        json_schema_extra=_as_url_or_keys,
        repr=False,
    )
    production: bool | None = Field(
        default=None,
        description="Whether each run must name the context again, with --confirm-production. "
        "Default: when the name of the context, the target or the namespace has the word prod, "
        "prd, production or live.",
    )
    require_opt_in: bool = Field(
        default=True,
        description=f"Whether the namespace must carry the label {OPT_IN_LABEL}={OPT_IN_VALUE}.",
    )

    def looks_like_production(self, name: str) -> bool:
        """Whether a run must be confirmed; ``name`` is the target's."""
        if self.production is not None:
            return self.production
        return any(map(PRODUCTION_NAME.search, (name, self.context, self.namespace)))


class Config(Model):
    """``seatrial.yaml``: targets beside the built-in sandbox, and rules for that."""

    model_config = ConfigDict(title="seatrial configuration")

    targets: dict[str, ClusterSpec] = Field(
        default_factory=dict, description="Name to cluster; 'sandbox' is built in."
    )
    sandbox: Rules = Field(default=Rules(), description="Rules for the sandbox.")
    notify: Notify = Field(default=Notify(), description="Who is told when a run has ended.")
