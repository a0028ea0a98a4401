"""Own signals: any PromQL with a name and a unit, to be drawn and to be judged. Pure data.

``$namespace`` in a query is the target's namespace. ``$range`` is the length of what is judged: a
query with it is asked once for each phase, at its end, as ``increase(jobs_total[$range])``; one
without it is asked over the phase, and ``take`` says which of its values counts.
"""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field, ValidationInfo, field_validator

from runner.model.bound import Unit
from runner.model.promql import unclosed
from runner.model.shape import Model

RANGE = "$range"
NAMESPACE = "$namespace"

Take = Literal["mean", "min", "max", "last"]


class OwnSignal(Model):
    """A signal of the reader's own, as the mission's four are not always enough."""

    model_config = ConfigDict(title="OwnSignal")

    promql: str = Field(
        min_length=1,
        max_length=4000,
        description="A PromQL expression of one series; '$namespace' and '$range' are filled in.",
        examples=['max(queue_depth{namespace="$namespace"})'],
    )
    unit: Unit = Field(
        default="count",
        description="Unit of its values: 's' (seconds), 'ratio' (1 is all), 'per_s' or 'count'.",
    )
    take: Take = Field(
        default="mean", description="Which of the values in a phase counts. Not with '$range'."
    )
    description: str = Field(default="", max_length=200, description="What it is, for a reader.")

    @field_validator("promql")
    @classmethod
    def _closed(cls, value: str) -> str:
        if not value.strip():
            raise ValueError("the query is empty; accepted: a PromQL expression")
        if problem := unclosed(value):
            raise ValueError(f"this is not PromQL: {problem}")
        return value

    @field_validator("take")
    @classmethod
    def _takes_one_of_many(cls, value: Take, info: ValidationInfo) -> Take:
        if value != "mean" and RANGE in str(info.data.get("promql", "")):
            raise ValueError(
                f"a query with '{RANGE}' has one value for each phase; drop 'take', or '{RANGE}'"
            )
        return value

    @property
    def over_range(self) -> bool:
        """Whether it is asked once for each phase, over exactly its length."""
        return RANGE in self.promql

    def query(self, namespace: str, range_s: float) -> str:
        """The query with its two names filled in; every other ``$`` is PromQL's own.

        Args:
            namespace: Of the target: a name of Kubernetes, which needs no quoting.
            range_s: Seconds; milliseconds are the finest that PromQL knows.
        """
        duration = f"{max(1, round(range_s * 1000))}ms"
        return self.promql.replace(NAMESPACE, namespace).replace(RANGE, duration)
