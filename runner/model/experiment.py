"""The experiment: what its author asks for, exactly as the YAML file says it.

Durations and percentages carry units in the file and are floats here. Nothing is resolved: absolute
offsets, phases and defaults that depend on other parts are the plan's work.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import (
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)
from pydantic_core import PydanticKnownError

from runner.model.bound import check_direction, parse_bound
from runner.model.fault import NAME_PATTERN, Fault
from runner.model.guard import Guard
from runner.model.objective import Objective
from runner.model.ownsignal import OwnSignal
from runner.model.score import ErrorBudget, ScoreRule
from runner.model.shape import Items, Model
from runner.model.units import Duration, Percent, Rate

JUDGED_S = 6.0
"""What must be left of a step of a search without its transient: fewer seconds tell nothing."""

SEARCH_PAUSE_S = 3.0
"""Between two steps of a search at most, beside the time for what is still under way."""

SignalName = Annotated[str, Field(pattern=r"^[A-Za-z_][\w-]{0,60}$")]
OwnSignals = dict[SignalName, OwnSignal]
GroupName = Annotated[str, Field(pattern=r"^[^*]{1,100}$")]

LoadModel = Literal["users", "rate", "search", "own"]


class Stage(Model):
    """One piece of the load profile. Its ``duration`` is its own length, not an end time.

    Either ``users`` (closed model: a new request waits for the last answer) or ``rate`` (open
    model: requests arrive whether or not the last one was answered).
    """

    model_config = ConfigDict(title="Stage")

    duration: Duration = Field(gt=0, description="Length of this stage.")
    users: int | None = Field(
        default=None, ge=0, le=1_000_000, description="Users at the end of the stage's ramp."
    )
    rate: Rate | None = Field(
        default=None, le=1_000_000, description="Arrivals at the end of the stage's ramp."
    )
    spawn_rate: float | None = Field(
        default=None,
        gt=0,
        allow_inf_nan=False,
        description="Users started or stopped per second until 'users' is reached. Default: all "
        "at once, spread over one second.",
    )
    ramp: Duration | None = Field(
        default=None,
        ge=0,
        description="Time in which 'rate' is reached, in a straight line. Default: at once.",
    )

    @field_validator("users", "rate", mode="before")
    @classmethod
    def _given(cls, value: object) -> object:
        if value is None:  # written down, but without a value
            raise PydanticKnownError("int_type")
        return value

    @model_serializer(mode="wrap")
    def _as_written(self, write: SerializerFunctionWrapHandler) -> dict[str, object]:
        other = "users" if self.users is None else "rate"
        return {name: value for name, value in write(self).items() if name != other}

    @model_validator(mode="after")
    def _one_model(self) -> Stage:
        if (self.users is None) == (self.rate is None):
            both = "both 'users' and 'rate'" if self.users is not None else "neither"
            raise ValueError(f"a stage has either 'users' or 'rate'; this one has {both}")
        if self.rate is not None and self.spawn_rate is not None:
            raise ValueError("'spawn_rate' belongs to 'users'; accepted with 'rate': ramp")
        if self.users is not None and self.ramp is not None:
            raise ValueError("'ramp' belongs to 'rate'; accepted with 'users': spawn_rate")
        if self.ramp is not None and self.ramp > self.duration:
            raise ValueError(
                f"the ramp of {self.ramp:g}s is longer than the stage of {self.duration:g}s"
            )
        return self


class Search(Model):
    """Look for the highest arrival rate that holds, step by step, in place of stages."""

    model_config = ConfigDict(title="Search")

    start: Rate = Field(gt=0, alias="from", description="The lowest rate; it should hold.")
    end: Rate = Field(gt=0, alias="to", description="The highest rate that is tried.")
    until: Items[str] = Field(
        min_length=1,
        description="What must hold at a rate: bounds on latency and errors.",
        examples=[["latency.p95 < 500ms", "errors < 1%"]],
    )
    step: Duration = Field(default=20.0, description="Length of one step, in whole seconds.")
    transient: Duration = Field(
        default=5.0, ge=0, description="Time at the start of a step that is not judged."
    )
    tolerance: Percent = Field(
        default=15.0, gt=0, description="Width of the answer's interval that is narrow enough."
    )
    max_steps: int = Field(default=34, ge=3, le=1000, description="Most steps, repeats included.")

    @field_validator("until")
    @classmethod
    def _bounds(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        slis = []
        for text in value:
            bound = parse_bound(text)
            if bound.sli not in ("latency", "errors"):
                raise ValueError(f"a search watches latency and errors, not {bound.sli}")
            if bound.sli == "latency" and bound.quantile is None:
                raise ValueError(f"{text!r}: a search judges a percentile, such as latency.p95")
            check_direction(text, "promise")
            slis.append(bound.sli)
        if len(set(slis)) < len(slis):
            raise ValueError("accepted: at most one bound on latency and one on errors")
        return value

    @model_validator(mode="after")
    def _upwards(self) -> Search:
        if self.end <= self.start:
            raise ValueError(f"'to' ({self.end:g}/s) is not above 'from' ({self.start:g}/s)")
        if self.step % 1:
            raise ValueError(f"a step of {self.step:g}s is not one of whole seconds")
        if self.step - self.transient < JUDGED_S:
            raise ValueError(
                f"the transient of {self.transient:g}s leaves too little of a step of "
                f"{self.step:g}s; accepted: {JUDGED_S:g}s more than the transient"
            )
        return self

    @property
    def longest_s(self) -> float:
        """Seconds that all steps take at most, with half a step's length for what they leave.

        A target that was asked for half as much again as it can do needs that long to finish.
        """
        return 1.5 * self.step * self.max_steps


class Load(Model):
    """Who sends how many requests, and when: stages, a search, or the locustfile's own shape."""

    model_config = ConfigDict(title="Load")

    locustfile: str = Field(
        min_length=1,
        description="A Locust file: a path, or a name in locustfiles/.",
        examples=["shop.py"],
    )
    stages: Items[Stage] = Field(default=(), description="The profile, stage after stage.")
    search: Search | None = Field(default=None, description="Look for the breaking point.")
    shape: Literal["own"] | None = Field(
        default=None, description="'own': follow the locustfile's LoadTestShape for 'duration'."
    )
    duration: Duration | None = Field(
        default=None, gt=0, description="Length of the load with a shape of its own."
    )
    max_in_flight: int | None = Field(
        default=None,
        ge=1,
        le=100_000,
        description="Most requests under way at once in the open model; an arrival beyond it is "
        "dropped and counted. Default: those of two seconds, at least 100.",
    )
    max_wait: Duration = Field(
        default=10.0,
        ge=0,
        description="How long an arrival of the open model waits for a free user when "
        "'max_in_flight' are busy, before it is dropped. Its response time includes the wait.",
    )
    stop_timeout: Duration = Field(
        default=5.0, ge=0, description="Grace for requests that are under way at the end."
    )

    @model_validator(mode="after")
    def _one_profile(self) -> Load:
        given = [
            name
            for name, value in (
                ("stages", self.stages),
                ("search", self.search),
                ("shape", self.shape),
            )
            if value
        ]
        if len(given) != 1:
            found = " and ".join(given) if given else "none of them"
            raise ValueError(f"the load has one of stages, search or shape; this one has {found}")
        if (self.shape is None) != (self.duration is None):
            raise ValueError("'shape: own' and 'duration' belong together: how long to follow it")
        counted = ["users" if stage.rate is None else "rate" for stage in self.stages]
        if len(set(counted)) > 1:
            at, other = next((i, word) for i, word in enumerate(counted) if word != counted[0])
            raise ValueError(
                f"stages[0] counts {counted[0]!r} and stages[{at}] {other!r}; accepted: all of "
                "them 'users', or all 'rate'"
            )
        if self.max_in_flight is not None and self.model in ("users", "own"):
            raise ValueError("'max_in_flight' belongs to the open model: stages with 'rate'")
        return self

    @property
    def model(self) -> LoadModel:
        """``users`` (closed), ``rate`` (open), ``search`` (open, adaptive) or ``own``."""
        if self.search is not None:
            return "search"
        if self.shape is not None:
            return "own"
        return "users" if self.stages[0].rate is None else "rate"

    @property
    def is_open(self) -> bool:
        """Whether requests arrive by a schedule, whether or not others were answered."""
        return self.model in ("rate", "search")

    @property
    def duration_s(self) -> float:
        """Seconds that the load lasts; of a search, that it lasts at most."""
        if self.search is not None:
            pauses_s = self.search.max_steps * (self.stop_timeout + SEARCH_PAUSE_S)
            return self.search.longest_s + pauses_s
        return self.duration or sum(stage.duration for stage in self.stages)


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
    score: ScoreRule | None = Field(
        default=None, description="How weights add up. Default: each objective must be met."
    )
    budget: ErrorBudget | None = Field(
        default=None, description="The error budget that 'budget' and 'burn-rate' are shares of."
    )
    signals: OwnSignals = Field(
        default_factory=dict, description="Own signals by name, for 'signal.NAME' in objectives."
    )
    groups: dict[GroupName, Items[str]] = Field(
        default_factory=dict,
        description="Endpoints by a common name, for 'of' in objectives; patterns with '*' count.",
        examples=[{"reads": ["GET /api/v1/customers", "GET /api/v1/products*"]}],
    )
    guards: Items[Guard] = Field(default=(), description="When to stop before the end.")
    seed: int = Field(default=1, ge=0, description="Seed of every random choice; recorded.")

    @property
    def duration_s(self) -> float:
        """Seconds from the start of the load to its planned end."""
        return self.load.duration_s
