"""Two recorded runs side by side: may they be compared, and what differs. Pure data, published.

``first`` is what ``second`` is compared with: every difference is second minus first. Figures are
in base units (seconds, ratios, per second, counts).
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from runner.model.evaluation import Verdict
from runner.model.shape import Items, Model

COMPARISON_SCHEMA = 1

Judgement = Literal["better", "worse", "same", "unknown"]
"""What one run each allows to be said: ``same`` within what repeats of one run differ by as well,
``unknown`` where there is no figure, or where the runs cannot be compared."""

CAUTION = (
    "One run each is no evidence: the same run twice differs too. Better and worse say in which "
    "direction these two differ by more than that usually is; whether a change caused it takes "
    "repeated runs, in random order."
)


class Side(Model):
    """One of the two runs.

    Attributes:
        state: As its manifest has it.
        judged_by: Experiment whose objectives were used, if not the run's own.
    """

    run_id: str
    experiment: str
    created_at: str
    state: str
    verdict: Verdict
    valid: bool
    sentence: str
    judged_by: str = ""


class Condition(Model):
    """Something that two comparable runs have in common.

    Attributes:
        needed: Whether the runs cannot be compared where they differ in this; else it is worth
            knowing, no more.
    """

    name: str
    first: str
    second: str
    same: bool
    needed: bool


class Pair(Model):
    """One figure in both runs.

    Attributes:
        difference: Second minus first; None when either is missing.
        difference_ratio: The same as a share of the first; None where that is 0.
    """

    first: float | None = None
    second: float | None = None
    difference: float | None = None
    difference_ratio: float | None = None

    @classmethod
    def of(cls, first: float | None, second: float | None) -> Pair:
        difference = None if first is None or second is None else second - first
        ratio = difference / abs(first) if difference is not None and first else None
        return cls(first=first, second=second, difference=difference, difference_ratio=ratio)


class ObjectivePair(Model):
    """One objective in both runs.

    Attributes:
        noise: Differences up to this one are ``same``, in ``unit``.
        verdict_first: None where that run has no such objective.
    """

    title: str
    unit: str
    operator: str = ""
    where_first: str = ""
    where_second: str = ""
    bound: Pair
    observed: Pair
    noise: float | None = None
    verdict_first: Verdict | None = None
    verdict_second: Verdict | None = None
    judgement: Judgement


class LoadPair(Model):
    """Figures of one phase, or of an endpoint in a phase, in both runs; an empty endpoint is all.

    Attributes:
        missing: Which run has no such phase or endpoint; empty when both have.
    """

    label: str
    endpoint: str = ""
    missing: Literal["", "first", "second"] = ""
    requests: Pair
    rate_per_s: Pair
    error_ratio: Pair
    p50_s: Pair
    p95_s: Pair
    p99_s: Pair


class ServicePair(Model):
    """Golden signals of one service in one phase, as the mesh saw them, in both runs."""

    label: str
    service: str
    missing: Literal["", "first", "second"] = ""
    traffic_per_s: Pair
    error_ratio: Pair
    p50_s: Pair
    p95_s: Pair
    p99_s: Pair
    cpu_ratio: Pair
    memory_ratio: Pair


class Comparison(Model):
    """Everything that can be said about two recorded runs.

    Attributes:
        comparable: Whether all conditions that are needed are met.
        why_not: Why they are not, a sentence each.
        caution: What this comparison cannot show.
    """

    schema_version: int = COMPARISON_SCHEMA
    first: Side
    second: Side
    comparable: bool
    why_not: Items[str] = ()
    caution: str = CAUTION
    conditions: Items[Condition]
    objectives: Items[ObjectivePair] = ()
    phases: Items[LoadPair] = ()
    endpoints: Items[LoadPair] = Field(default=(), description="Each endpoint in each phase.")
    services: Items[ServicePair] = Field(default=(), description="Each service in each phase.")
