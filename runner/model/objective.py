"""Objectives: what a service promises, where in the run, and from whose point of view. Pure.

The comparison itself is a bound (``model.bound``); where it holds, spans (``model.span``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from pydantic import ConfigDict, Field, ValidationInfo, field_validator, model_validator

from runner.model.bound import Bound, bound_of, check_direction, parse_bound
from runner.model.shape import Items, Model
from runner.model.span import JUDGED_PHASES, PHASES, PhaseName, Span, spans
from runner.model.units import Duration, format_duration

Source = Literal["client", "mesh"]

EVERY = "*"
"""As ``service``: each of the services by itself."""

_MESH_ONLY = ("saturation", "signal", "alert")
"""Beginnings of the indicators that the load itself does not see."""

_WHOLE_RUN = ("recovery", "breaking-point", "budget", "alert", "alerts")

_KNOWN_BY = {
    "of": "an endpoint",
    "service": "a service",
    "other_than": "services",
    "source": "two views",
}


class ExpectedAlert(Model):
    """An alert that must come: what is not noticed cannot be mended."""

    model_config = ConfigDict(title="ExpectedAlert")

    name: str = Field(
        pattern=r"^[A-Za-z_][\w:-]*$", description="Name of the alert, as Prometheus has it."
    )
    firing_within: Duration = Field(
        gt=0, description="Time from the start of the fault until it fires, at most."
    )


class Objective(Model):
    """A promise, where it holds, and from whose point of view.

    A plain string in the file is short for ``{objective: <string>}``.
    """

    objective: str = Field(
        description="The promise, such as 'latency.p95 < 500ms'.",
        examples=["latency.p95 < 500ms", "errors < 0.1%", "recovery < 30s"],
    )
    expect_alert: ExpectedAlert | None = Field(
        default=None, description="In place of 'objective': an alert that must fire."
    )
    during: Items[Span] = Field(
        default=JUDGED_PHASES,
        min_length=1,
        description="Where it holds, each judged on its own: phases, 'fault:NAME', 'stage:2', a "
        "window such as '2m..5m'. Default: all phases but the warmup.",
    )
    of: str | None = Field(
        default=None,
        min_length=1,
        description="Endpoint as the load names it, such as 'POST /api/v1/orders'; a pattern with "
        "'*', such as 'GET /api/*'; or a name in 'groups'. Of many, their requests together.",
    )
    service: str | None = Field(
        default=None,
        min_length=1,
        description="Service as the mesh names it, or '*' for each of them; implies "
        "'source: mesh'.",
    )
    other_than: Items[str] = Field(
        default=(),
        description="Each service but these keeps the promise: the blast radius. Implies "
        "'source: mesh'.",
    )
    source: Source | None = Field(
        default=None,
        description="Whose view: 'client' (the load) or 'mesh' (Prometheus). Default: client, "
        "and mesh where a service or saturation is judged.",
    )
    stage: int | None = Field(
        default=None,
        ge=1,
        description="Only in this stage of the load, of which the first is 1; as the load sees it.",
    )
    warn: str | None = Field(
        default=None,
        description="A stricter bound: missing it is a warning, not a failure.",
        examples=["40%", "400ms"],
    )
    sustained: Duration | None = Field(
        default=None,
        alias="for",
        ge=1,
        description="It is missed only when it was broken for so long without a break.",
    )
    until: Items[str] = Field(
        default=(),
        description="Of a recovery: what must hold again. Default: the objectives of the load on "
        "latency and errors.",
        examples=[["latency.p95 < 500ms", "errors < 1%"]],
    )
    weight: float = Field(
        default=1.0,
        ge=0,
        allow_inf_nan=False,
        description="Its part in the score, where the experiment has one.",
    )
    key: bool = Field(
        default=False, description="Whether missing it fails the run whatever the score is."
    )
    at_least: int = Field(
        default=1, ge=1, description="Fewer requests than this in a phase are no evidence."
    )
    on_missing: Literal["inconclusive", "fail"] = Field(
        default="inconclusive", description="What it means when there is nothing to judge."
    )

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        return {"objective": value} if isinstance(value, str) else value

    @model_validator(mode="before")
    @classmethod
    def _alert_form(cls, value: Any) -> Any:
        if not isinstance(value, dict) or not isinstance(value.get("expect_alert"), dict):
            return value
        return {"objective": _alert_text(value["expect_alert"]), **value}

    @field_validator("during", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return spans(value)

    @field_validator("objective")
    @classmethod
    def _parses(cls, value: str) -> str:
        check_direction(value, "promise")
        return value

    # Contradictions are looked for key by key, so that one mistake does not hide another.

    @field_validator("warn")
    @classmethod
    def _stricter(cls, value: str | None, info: ValidationInfo) -> str | None:
        bound = _bound_in(info)
        if bound is not None and value is not None:
            warn = _warning(bound, value)
            # Of relative bounds it is known for sure only when both add a share, or an amount.
            stricter, bounds = _comparable(warn), _comparable(bound)
            if len(stricter) == len(bounds) and not (
                stricter < bounds if bound.upper else stricter > bounds
            ):
                raise ValueError(f"{value!r} is not stricter than {info.data['objective']!r}")
        return value

    @field_validator("expect_alert")
    @classmethod
    def _in_place_of_a_text(
        cls, value: ExpectedAlert | None, info: ValidationInfo
    ) -> ExpectedAlert | None:
        said = info.data.get("objective")
        if value is None or said is None:
            return value
        # The same time may be written in several ways.
        if parse_bound(said) != parse_bound(_alert_text(value.model_dump())):
            raise ValueError("'expect_alert' stands in place of 'objective'; drop one of them")
        return value

    @field_validator("during")
    @classmethod
    def _where_it_is_known(cls, value: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        bound = _bound_in(info)
        if bound is None or value == JUDGED_PHASES:
            return value
        faults = all(span.startswith("fault:") for span in value)
        if bound.sli == "recovery" and not faults:
            raise ValueError(
                "recovery is counted from the end of each fault; drop 'during', or name faults: "
                "'fault:NAME'"
            )
        if bound.sli == "alert" and not faults:
            raise ValueError(
                "an alert is awaited from the start of a fault; drop 'during', or name faults: "
                "'fault:NAME'"
            )
        if bound.sli in ("breaking-point", "budget"):
            what = "breaking point" if bound.sli == "breaking-point" else "budget"
            raise ValueError(f"the {what} is one of the whole run; drop 'during'")
        if bound.reference is not None and not bound.reference.run and "baseline" in value:
            raise ValueError("the baseline is what it is compared with; drop it from 'during'")
        return value

    @field_validator("of", "service", "other_than", "source")
    @classmethod
    def _seen_by_one(cls, value: Any, info: ValidationInfo) -> Any:
        bound, name = _bound_in(info), info.field_name
        if bound is None or value in (None, ()):
            return value
        if bound.sli == "breaking-point":
            raise ValueError(f"the breaking point is one of all requests: no {name!r}")
        if bound.sli in ("alert", "alerts", "signal", "recovery") and not (
            bound.sli == "recovery" and name in ("of", "source")
        ):
            raise ValueError(f"{bound.sli} is not one of {_KNOWN_BY[str(name)]}; drop {name!r}")
        if name == "other_than" and info.data.get("service") not in (None, EVERY):
            raise ValueError("'other_than' is about each of the others; drop 'service'")
        saturation = bound.sli.startswith("saturation")
        if name == "source" and value == "client":
            if saturation:
                raise ValueError(f"{bound.sli} is seen by the mesh only; drop 'source: client'")
            if info.data.get("other_than"):
                raise ValueError("services are seen by the mesh only; drop 'source: client'")
        of = value if name == "of" else info.data.get("of")
        mesh = (
            saturation
            or name in ("service", "other_than")
            or (name == "source" and value == "mesh")
        )
        if of is not None and mesh:
            raise ValueError("'of' names an endpoint of the load; use 'service' for the mesh")
        return value

    @field_validator("stage")
    @classmethod
    def _stage_is_the_loads(cls, value: int | None, info: ValidationInfo) -> int | None:
        bound = _bound_in(info)
        if value is None or bound is None:
            return value
        if bound.sli in _WHOLE_RUN:
            raise ValueError(f"{bound.sli} is not judged by stages; drop 'stage'")
        mesh = (
            info.data.get("service") is not None
            or info.data.get("other_than")
            or info.data.get("source") == "mesh"
        )
        if mesh or bound.sli.startswith("saturation") or bound.sli == "signal":
            raise ValueError("stages are judged as the load sees them, not the mesh; drop 'stage'")
        return value

    @field_validator("sustained")
    @classmethod
    def _second_by_second(cls, value: float | None, info: ValidationInfo) -> float | None:
        bound = _bound_in(info)
        if value is None or bound is None:
            return value
        if bound.sli not in ("latency", "errors", "traffic"):
            raise ValueError(f"{bound.sli} is not known second by second; drop 'for'")
        mesh = info.data.get("service") or info.data.get("other_than")
        if mesh or info.data.get("source") == "mesh":
            raise ValueError("'for' is judged second by second, as the load sees it; not the mesh")
        if value % 1:
            raise ValueError("the load is recorded by the second; accepted: whole seconds")
        return value

    @field_validator("until")
    @classmethod
    def _what_well_means(cls, value: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        bound = _bound_in(info)
        if value and bound is not None and bound.sli != "recovery":
            raise ValueError("'until' says what a recovery is; drop it")
        for text in value:
            one = check_direction(text, "promise")
            if one.sli not in ("latency", "errors") or one.reference is not None:
                raise ValueError(f"{text!r}: a recovery watches latency and errors, absolute ones")
        return value

    @property
    def bound(self) -> Bound:
        """The parsed comparison."""
        return parse_bound(self.objective)

    @property
    def title(self) -> str:
        """What a reader calls it: its text, with whom it is about and where it holds."""
        subject = self.of or (None if self.service == EVERY else self.service)
        parts = [self.objective]
        if subject:
            parts.append(f"of {subject}")
        if self.other_than:
            parts.append(f"of services other than {', '.join(self.other_than)}")
        elif self.service == EVERY:
            parts.append("of each service")
        if self.stage is not None:
            parts.append(f"in stage {self.stage}")
        if self.sustained is not None:
            parts.append(f"for {format_duration(self.sustained)}")
        return " ".join(parts)

    @property
    def warn_bound(self) -> Bound | None:
        """The stricter bound whose miss is a warning; None when there is none."""
        return None if self.warn is None else _warning(self.bound, self.warn)

    @property
    def phases(self) -> tuple[PhaseName, ...]:
        """The phases by name that it holds in; a fault is in the fault phase."""
        named = {"fault" if span.startswith("fault:") else span for span in self.during}
        return tuple(name for name in PHASES if name in named)

    @property
    def everywhere(self) -> bool:
        """Whether it says nothing of where it holds: wherever it applies."""
        return set(self.during) == set(JUDGED_PHASES)

    @property
    def each_service(self) -> bool:
        """Whether services are judged one by one."""
        return self.service == EVERY or bool(self.other_than)

    @property
    def effective_source(self) -> Source:
        """``source`` with its default resolved."""
        if self.source is not None:
            return self.source
        mesh = self.service or self.other_than or self.bound.sli.startswith(_MESH_ONLY)
        return "mesh" if mesh else "client"


def _bound_in(info: ValidationInfo) -> Bound | None:
    """The bound of the objective that is being validated; None when it is wrong itself."""
    text = info.data.get("objective")
    return None if text is None else parse_bound(text)


def _warning(bound: Bound, text: str) -> Bound:
    """The bound of a warning: that of the objective with another value."""
    try:
        return bound_of(bound.sli, bound.statistic, bound.operator, text)
    except ValueError as error:
        said = str(error).partition(" is not ")[2]
        raise ValueError(f"{text!r} is not {said}" if said else str(error)) from None


def _comparable(bound: Bound) -> tuple[float, ...]:
    """Figures by which two bounds of one kind can be put in order; of a length of its kind's."""
    one = bound.reference
    if one is None:
        return (bound.value,)
    return (one.slack_ratio, 0.0) if one.slack_ratio else (one.slack, 0.0, 0.0)


def _alert_text(given: Mapping[str, Any]) -> str:
    """An expected alert in the grammar of bounds; where it is wrong, a stand-in that is right."""
    within = given.get("firing_within")
    within = format_duration(within) if isinstance(within, float) else within
    text = f"alert.{given.get('name')} <= {within}"
    try:
        parse_bound(text)
    except ValueError:  # Told of at its own key.
        return "no alert"
    return text


def promises(objectives: Iterable[Objective]) -> tuple[Objective, ...]:
    """Those of ``objectives`` that tell whether the service is well, as a recovery asks."""
    return tuple(
        objective
        for objective in objectives
        if objective.effective_source == "client"
        and objective.bound.sli in ("latency", "errors")
        and objective.stage is None
        and objective.bound.reference is None
        and {"baseline", "recovery"} & set(objective.during)
    )
