"""The experiment: what its author asks for, exactly as the YAML file says it.

Durations and percentages carry units in the file and are floats here. Nothing is resolved: absolute
offsets, phases and defaults that depend on other parts are the plan's work.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, field_validator

from runner.model.objective import Objective, check_direction, parse_bound
from runner.model.shape import Items, Model
from runner.model.units import Duration, Percent

NAME_PATTERN = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"
_SELECTOR_PART = re.compile(r"[A-Za-z0-9._/-]+\s*(=|==|!=)\s*[A-Za-z0-9._-]+|[A-Za-z0-9._/-]+")

SMALLEST_PERCENT = 0.0001
"""Envoy draws one of a million: a smaller share is none."""

DnsName = Annotated[str, Field(pattern=NAME_PATTERN, examples=["order-api"])]


class Stage(Model):
    """One piece of the load profile. Its ``duration`` is its own length, not an end time."""

    model_config = ConfigDict(title="Stage")

    duration: Duration = Field(gt=0, description="Length of this stage.")
    users: int = Field(ge=0, le=1_000_000, description="Users at the end of the stage's ramp.")
    spawn_rate: float | None = Field(
        default=None,
        gt=0,
        allow_inf_nan=False,
        description="Users started or stopped per second until 'users' is reached. Default: all "
        "at once, spread over one second.",
    )


class Load(Model):
    """Who sends how many requests, and when."""

    model_config = ConfigDict(title="Load")

    locustfile: str = Field(
        min_length=1,
        description="A Locust file: a path, or a name in locustfiles/.",
        examples=["shop.py"],
    )
    stages: Items[Stage] = Field(min_length=1, description="The profile, stage after stage.")
    stop_timeout: Duration = Field(
        default=5.0, ge=0, description="Grace for requests that are under way at the end."
    )


class _Fault(Model):
    """What every fault says: whom it hits, when, and for how long."""

    service: DnsName = Field(description="Kubernetes Service that is disturbed.")
    at: Duration = Field(ge=0, description="Offset from the start of the load.")
    name: DnsName | None = Field(
        default=None, description="Name of this fault in reports. Default: its kind."
    )


class PodKill(_Fault):
    """Kill pods of a service and watch them come back."""

    model_config = ConfigDict(title="Pod kill")

    kind: Literal["pod-kill"]
    duration: Duration = Field(
        default=30.0, gt=0, description="How long the fault phase lasts: the pods' time to return."
    )
    selector: str | None = Field(
        default=None,
        description="Label selector of the candidates. Default: the Service's own selector.",
        examples=["app.kubernetes.io/name=order-service"],
    )
    count: int = Field(default=1, ge=1, description="Pods to kill.")
    grace_period: Duration = Field(
        default=0.0, ge=0, description="Grace given to the pod; 0s kills at once."
    )
    min_healthy: int = Field(
        default=1, ge=0, description="Ready pods that must be left; else nothing is killed."
    )

    @field_validator("selector")
    @classmethod
    def _selects(cls, value: str | None) -> str | None:
        parts = [] if value is None else value.split(",")
        if value is not None and not all(_SELECTOR_PART.fullmatch(p.strip()) for p in parts):
            raise ValueError(f"{value!r} is not a label selector such as app=order-api,tier=web")
        return value


class _HttpFault(_Fault):
    """What both faults of a VirtualService share; they act in the caller's proxy."""

    duration: Duration = Field(gt=0, description="How long the fault is in effect.")
    percent: Percent = Field(
        default=100.0,
        ge=SMALLEST_PERCENT,
        description="Share of the matching requests that are hit.",
    )
    headers: dict[str, str] = Field(
        default_factory=dict,
        description="Hit only requests that carry these headers with exactly these values.",
    )


class HttpDelay(_HttpFault):
    """Delay requests to a service in the caller's proxy."""

    model_config = ConfigDict(title="HTTP delay")

    kind: Literal["http-delay"]
    delay: Duration = Field(ge=0.001, description="Time that is added to each request that is hit.")


class HttpAbort(_HttpFault):
    """Refuse requests to a service in the caller's proxy."""

    model_config = ConfigDict(title="HTTP abort")

    kind: Literal["http-abort"]
    status: int = Field(ge=200, le=599, description="HTTP status that the caller gets.")


Fault = Annotated[PodKill | HttpDelay | HttpAbort, Field(discriminator="kind")]

FAULT_KINDS: tuple[str, ...] = ("pod-kill", "http-delay", "http-abort")


class Guard(Model):
    """A live objective that stops the run: heal first, ask questions later."""

    model_config = ConfigDict(title="Guard")

    abort_when: str = Field(
        description="Condition on the load of the last seconds, such as 'errors > 60%'.",
        examples=["errors > 60%", "latency.p95 > 5s"],
    )
    for_: Duration = Field(
        default=10.0, alias="for", gt=0, description="How long it must hold without a break."
    )
    grace: Duration = Field(
        default=10.0, ge=0, description="Time at the start in which the guard does not act."
    )

    @field_validator("abort_when")
    @classmethod
    def _parses(cls, value: str) -> str:
        bound = parse_bound(value)
        if bound.sli not in ("latency", "errors", "traffic"):
            raise ValueError(f"a guard watches latency, errors or traffic, not {bound.sli}")
        check_direction(value, "guard")
        return value


class Experiment(Model):
    """A named question to a system: this load, these faults, these promises."""

    model_config = ConfigDict(title="seatrial experiment")

    name: str = Field(pattern=NAME_PATTERN, description="Equals the file's name without '.yaml'.")
    description: str = Field(min_length=1, description="The question, in a sentence.")
    load: Load
    warmup: Duration = Field(
        default=0.0, ge=0, description="Time at the start that no objective judges."
    )
    faults: Items[Fault] = Field(default=(), description="What is broken, and when.")
    objectives: Items[Objective] = Field(
        min_length=1, description="What the service promises. A run that checks nothing is no run."
    )
    guards: Items[Guard] = Field(default=(), description="When to stop before the end.")
    seed: int = Field(default=1, ge=0, description="Seed of every random choice; recorded.")

    @property
    def duration_s(self) -> float:
        """Seconds from the start of the load to its planned end."""
        return sum(stage.duration for stage in self.load.stages)
