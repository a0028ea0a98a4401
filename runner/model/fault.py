"""Faults as the experiment file asks for them: one class for each kind.

A kind says, as data, what the evaluation needs to know about it: whether the cluster makes itself
whole after it (``recovers``), and which effects are on record when it was carried out (``proofs``).
How a fault is carried out and undone is ``runner.chaos``' work.
"""

from __future__ import annotations

import math
import re
from typing import Annotated, ClassVar, Literal

from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    JsonValue,
    model_validator,
)

from runner.model.activity import Activities, Probes, Secrets
from runner.model.headermatch import HeaderMatches
from runner.model.killtimes import MOST_KILLS, kill_moments
from runner.model.labels import Labels
from runner.model.podcount import EVERY_POD, PodCount
from runner.model.shape import Model
from runner.model.units import Duration, Percent

NAME_PATTERN = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"
_SELECTOR_PART = re.compile(r"[A-Za-z0-9._/-]+\s*(=|==|!=)\s*[A-Za-z0-9._-]+|[A-Za-z0-9._/-]+")

SMALLEST_PERCENT = 0.0001
"""Envoy draws one of a million: a smaller share is none."""


def _whole_seconds(value: float) -> float:
    if not value.is_integer():
        raise ValueError(
            f"Kubernetes gives pods whole seconds, not {value:g}s; accepted: such as "
            f"{math.floor(value)}s or {math.ceil(value)}s"
        )
    return value


Grace = Annotated[Duration, AfterValidator(_whole_seconds)]
DnsName = Annotated[str, Field(pattern=NAME_PATTERN, examples=["order-api"])]


def _selector(value: str) -> str:
    if not all(_SELECTOR_PART.fullmatch(part.strip()) for part in value.split(",")):
        raise ValueError(f"{value!r} is not a label selector such as app=order-api,tier=web")
    return value


Selector = Annotated[str, AfterValidator(_selector)]
"""A label selector: equality and existence, joined by commas."""


class _Fault(Model):
    """What every fault says: whom it hits, when, and for how long."""

    recovers: ClassVar[bool] = False
    """Whether nothing has to be undone, because the cluster makes itself whole."""
    proofs: ClassVar[tuple[str, ...]] = ("injected", "verified")
    """Effects that are on record when the fault was carried out."""

    service: DnsName = Field(description="Kubernetes Service that is disturbed.")
    at: Duration = Field(ge=0, description="Offset from the start of the load.")
    name: DnsName | None = Field(
        default=None, description="Name of this fault in reports. Default: its kind."
    )
    expects: Literal["breaker", "no-breaker"] | None = Field(
        default=None,
        description="What the fault is there to show: that the breaker of its service ejects pods, "
        "or that it does not. A fault that cannot show it is refused, and a run that did not is "
        "inconclusive.",
    )


class PodKill(_Fault):
    """Kill pods of a service and watch them come back."""

    model_config = ConfigDict(title="Pod kill")
    recovers = True
    proofs = ("killed",)

    kind: Literal["pod-kill"]
    duration: Duration = Field(
        default=30.0, gt=0, description="How long the fault phase lasts: the pods' time to return."
    )
    selector: Selector | None = Field(
        default=None,
        description="Label selector of the candidates. Default: the Service's own selector.",
        examples=["app.kubernetes.io/name=order-service"],
    )
    count: PodCount = Field(
        default=1,
        description="Pods to kill: a number, a share such as 50% (rounded down, at least one), "
        "or all.",
    )
    every: Duration | None = Field(
        default=None,
        gt=0,
        description="Kill again and again at this interval, until 'duration' is over. Default: "
        "once.",
    )
    jitter: Duration = Field(
        default=0.0,
        ge=0,
        description="Each kill after the first comes up to so much earlier or later, by chance.",
    )
    while_recovering: bool = Field(
        default=False,
        description="Kill again although the pods of the last kill are not back yet. Otherwise "
        "such a kill is left out, and that is on record.",
    )
    grace_period: Grace = Field(
        default=0.0, ge=0, description="Grace given to the pod; 0s kills at once."
    )
    min_healthy: int = Field(
        default=1, ge=0, description="Ready pods that must be left; else nothing is killed."
    )

    @model_validator(mode="after")
    def _repeats(self) -> PodKill:
        if self.count == EVERY_POD and self.min_healthy > 0:
            raise ValueError(
                "'count: all' leaves no pod; accepted beside it: min_healthy: 0, to say so"
            )
        if self.every is None and (self.jitter or self.while_recovering):
            raise ValueError("'jitter' and 'while_recovering' belong to 'every'")
        if self.every is not None and self.every >= self.duration:
            raise ValueError(
                f"within {self.duration:g}s nothing is killed again every {self.every:g}s; "
                "accepted: a 'duration' that is longer than 'every'"
            )
        if self.every is not None and self.jitter >= self.every / 2:
            raise ValueError(
                f"a jitter of {self.jitter:g}s could swap kills that are {self.every:g}s apart; "
                "accepted: less than half of 'every'"
            )
        if self.every is not None and self.duration / self.every > MOST_KILLS:
            raise ValueError(
                f"a kill every {self.every:g}s of {self.duration:g}s is more than {MOST_KILLS:,}; "
                "accepted: a longer 'every'"
            )
        return self

    def moments(self, seed: int) -> tuple[float, ...]:
        """Seconds from the fault's start at which pods are killed, with the planned seed."""
        return kill_moments(self.duration, self.every, self.jitter, seed)


class _HttpFault(_Fault):
    """What delays and aborts share, on either side."""

    duration: Duration = Field(gt=0, description="How long the fault is in effect.")
    percent: Percent = Field(
        default=100.0,
        ge=SMALLEST_PERCENT,
        description="Share of the matching requests that are hit.",
    )
    side: Literal["client", "server"] = Field(
        default="client",
        description="Where requests are hit: in the proxies of the callers (VirtualService), or in "
        "front of chosen pods (EnvoyFilter), where breakers see it.",
    )
    count: PodCount | None = Field(
        default=None,
        description="On the server side: in front of how many pods. Default: all of them, also "
        "those that start meanwhile.",
    )
    headers: HeaderMatches = Field(
        default_factory=dict,
        description="Hit only requests that carry these headers: with exactly this value, or by "
        "exact, prefix or regex.",
    )
    source: Labels = Field(
        default_factory=dict,
        description="On the client side: hit only requests of callers whose pods have these "
        "labels.",
        examples=[{"app": "order-api"}],
    )
    route: str | None = Field(
        default=None,
        min_length=1,
        description="On the client side: only the route of this name, or the n-th one ('#2'). "
        "Default: every route to the service.",
    )

    @model_validator(mode="after")
    def _scoped(self) -> _HttpFault:
        if self.side == "server" and (self.source or self.route):
            raise ValueError(
                "'source' and 'route' belong to the client side: a pod's own proxy knows neither; "
                "accepted on the server side: headers, count"
            )
        if self.side == "client" and self.count is not None:
            raise ValueError(
                "'count' is about pods of the service, and on the client side the callers' "
                "proxies act; accepted with it: side: server"
            )
        return self

    @property
    def conditions(self) -> dict[str, dict[str, str]]:
        """Header name in lower case to Istio's string match."""
        return {
            name.lower(): {"exact": value} if isinstance(value, str) else value.condition
            for name, value in self.headers.items()
        }


class HttpDelay(_HttpFault):
    """Delay requests to a service, in the caller's proxy or in front of its pods."""

    model_config = ConfigDict(title="HTTP delay")

    kind: Literal["http-delay"]
    delay: Duration = Field(ge=0.001, description="Time that is added to each request that is hit.")


class HttpAbort(_HttpFault):
    """Refuse requests to a service, in the caller's proxy or in front of its pods."""

    model_config = ConfigDict(title="HTTP abort")

    kind: Literal["http-abort"]
    status: int = Field(ge=200, le=599, description="HTTP status that the caller gets.")


class _DeploymentFault(_Fault):
    """What acts on a Deployment as a whole."""

    deployment: DnsName | None = Field(
        default=None, description="The Deployment. Default: the one with the Service's name."
    )

    @property
    def of(self) -> str:
        """The Deployment's name."""
        return self.deployment or self.service


class Scale(_DeploymentFault):
    """Set a Deployment's replicas for a time, and then back to what they were."""

    model_config = ConfigDict(title="Scale")

    kind: Literal["scale"]
    duration: Duration = Field(gt=0, description="How long the replicas stay changed.")
    replicas: int = Field(ge=0, le=1000, description="Replicas meanwhile; 0 takes all pods away.")


class RolloutRestart(_DeploymentFault):
    """Replace all pods of a Deployment, as ``kubectl rollout restart`` does: without downtime?"""

    model_config = ConfigDict(title="Rollout restart")
    recovers = True
    proofs = ("injected", "replaced")

    kind: Literal["rollout-restart"]
    duration: Duration = Field(
        default=60.0, gt=0, description="How long the fault phase lasts: the rollout's time."
    )


class _NodeFault(_Fault):
    """What acts on a node."""

    node: str | None = Field(
        default=None,
        min_length=1,
        description="The node. Default: one that holds a ready pod of the service, drawn with the "
        "experiment's seed.",
    )


class Cordon(_NodeFault):
    """Let a node take no new pods for a time."""

    model_config = ConfigDict(title="Cordon")

    kind: Literal["cordon"]
    duration: Duration = Field(gt=0, description="How long the node takes no new pods.")


class Drain(_NodeFault):
    """Cordon a node for a time, and evict the pods of the namespace from it."""

    model_config = ConfigDict(title="Drain")
    proofs = ("injected", "verified", "evicted")

    kind: Literal["drain"]
    duration: Duration = Field(gt=0, description="How long the node takes no new pods.")
    grace_period: Grace | None = Field(
        default=None, ge=0, description="Grace of evicted pods. Default: each pod's own."
    )
    selector: Selector | None = Field(
        default=None,
        description="Evict only pods with these labels. Default: all of the namespace on the node.",
    )
    last_node: bool = Field(
        default=False,
        description="Drain the node although no other one takes pods: those that are evicted stay "
        "away until the fault is over. Otherwise such a drain is refused.",
    )


class NetworkDeny(_Fault):
    """Forbid traffic to (or from) the pods of a service by a NetworkPolicy."""

    model_config = ConfigDict(title="Network deny")

    kind: Literal["network-deny"]
    duration: Duration = Field(gt=0, description="How long the traffic is forbidden.")
    direction: Literal["ingress", "egress", "both"] = Field(
        default="ingress", description="Which traffic of the service's pods."
    )


class ChaosToolkit(_Fault):
    """Any activities of Chaos Toolkit, with their own probes and rollbacks."""

    model_config = ConfigDict(title="Chaos Toolkit activities")
    proofs = ("injected",)

    kind: Literal["chaostoolkit"]
    duration: Duration = Field(
        gt=0, description="How long the fault phase lasts; then the rollbacks are played."
    )
    method: Activities = Field(
        min_length=1, description="Activities, as in the 'method' of a Chaos Toolkit experiment."
    )
    rollbacks: Activities = Field(
        default=(), description="Activities that undo the method; they must bear repetition."
    )
    steady_state: Probes = Field(
        default=(),
        description="Probes with a tolerance, looked at before the method (if one misses, nothing "
        "is broken) and after the rollbacks.",
    )
    configuration: dict[str, JsonValue] = Field(
        default_factory=dict, description="As in a Chaos Toolkit experiment."
    )
    secrets: Secrets = Field(
        default_factory=dict,
        description="As in a Chaos Toolkit experiment; values come by environment or vault.",
    )


Fault = Annotated[
    PodKill
    | HttpDelay
    | HttpAbort
    | Scale
    | RolloutRestart
    | Cordon
    | Drain
    | NetworkDeny
    | ChaosToolkit,
    Field(discriminator="kind"),
]

FAULT_KINDS: tuple[str, ...] = (
    "pod-kill",
    "http-delay",
    "http-abort",
    "scale",
    "rollout-restart",
    "cordon",
    "drain",
    "network-deny",
    "chaostoolkit",
)

FLAGGED_KINDS = ("http-delay", "http-abort")
"""Kinds whose hits the mesh flags request by request."""
