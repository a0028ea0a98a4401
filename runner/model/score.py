"""How objectives add up, where not each of them must be met: a score; and an error budget. Pure.

Without a score, each objective must be met. With one, the weights of those that were met are added
up, those with a warning count half, and the share of all weights is compared with two limits
(Keptn's scheme). An objective without evidence never helps: with one, the run cannot pass.
"""

from __future__ import annotations

from pydantic import ConfigDict, Field, model_validator

from runner.model.shape import Model
from runner.model.units import Duration, Percent

BUDGET_PERIOD_S = 28 * 86400.0


class ScoreRule(Model):
    """Shares of all weights that a run needs, in percent."""

    model_config = ConfigDict(title="Score")

    passes: Percent = Field(default=90.0, alias="pass", gt=0, description="From here on: pass.")
    warns: Percent = Field(default=75.0, alias="warn", ge=0, description="From here on: warn.")

    @model_validator(mode="after")
    def _in_order(self) -> ScoreRule:
        if self.warns > self.passes:
            raise ValueError(
                f"'warn' ({self.warns:g} %) is above 'pass' ({self.passes:g} %); accepted: at most "
                "as much"
            )
        return self


class ErrorBudget(Model):
    """What a service may fail in a period, by its objective on availability."""

    model_config = ConfigDict(title="ErrorBudget")

    slo: Percent = Field(gt=0, lt=100, description="Share of requests that succeed, such as 99.9%.")
    period: Duration = Field(
        default=BUDGET_PERIOD_S, gt=0, description="Length of the period that the budget is for."
    )
    traffic: float | None = Field(
        default=None,
        gt=0,
        allow_inf_nan=False,
        description="Requests that the service gets in a period. Default: as many as at the "
        "baseline's rate of this run.",
    )

    @property
    def allowed_ratio(self) -> float:
        """Share of requests that may fail."""
        return 1.0 - self.slo / 100.0
