"""A set of objectives in a file of its own, for many experiments. Pure data."""

from __future__ import annotations

from pydantic import ConfigDict, Field

from runner.model.experiment import GroupName, SignalName
from runner.model.fault import NAME_PATTERN
from runner.model.objective import Objective
from runner.model.ownsignal import OwnSignal
from runner.model.score import ErrorBudget, ScoreRule
from runner.model.shape import Items, Model


class ObjectiveSet(Model):
    """Objectives, and what they are defined with. ``- use: NAME`` in an experiment takes them."""

    model_config = ConfigDict(title="seatrial objective set")

    name: str = Field(pattern=NAME_PATTERN, description="Equals the file's name without '.yaml'.")
    description: str = Field(default="", description="Whose promises these are.")
    objectives: Items[Objective] = Field(min_length=1, description="As in an experiment.")
    score: ScoreRule | None = Field(default=None, description="As in an experiment.")
    budget: ErrorBudget | None = Field(default=None, description="As in an experiment.")
    signals: dict[SignalName, OwnSignal] = Field(
        default_factory=dict, description="As in an experiment."
    )
    groups: dict[GroupName, Items[str]] = Field(
        default_factory=dict, description="As in an experiment."
    )
