"""What can be understood of an experiment that has mistakes, so that the rest is checked as well.

Each part is validated by itself. A part that is wrong gives way to a stand-in, and is remembered as
unknown: nothing may be said that rests on it. The result is for checks only and is never run.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Any

from pydantic import TypeAdapter, ValidationError

from runner.model.experiment import Experiment, Load, OwnSignals, Stage
from runner.model.fault import NAME_PATTERN, Fault
from runner.model.feasibility import (
    BUDGET,
    FAULTS,
    LENGTH,
    OBJECTIVES,
    SIGNALS,
    WARMUP,
    Loc,
    Mistake,
    mistakes_in,
)
from runner.model.objective import Objective
from runner.model.score import ErrorBudget
from runner.model.units import MAX_DURATION_S, Duration, format_duration

_STAND_IN_NAME = "unknown"
_STAND_IN_OBJECTIVE = Objective.model_construct(objective="traffic >= 0/s", during=())
_LONGEST = format_duration(MAX_DURATION_S)
_LONG_STAGE = {"users": 1, "duration": _LONGEST}


@dataclass(frozen=True, slots=True)
class Remains:
    """The parts of an experiment that are right.

    Attributes:
        name: None when it is wrong.
        locustfile: None when it is wrong.
    """

    experiment: Experiment
    unknown: frozenset[Loc]
    faults: tuple[int, ...]
    objectives: tuple[int, ...]
    name: str | None
    locustfile: str | None

    def mistakes(self) -> tuple[Mistake, ...]:
        """What is impossible about them, with places as the file has them."""
        found = (self._placed(one) for one in mistakes_in(self.experiment, self.unknown))
        return tuple(one for one in found if one is not None)

    def _placed(self, mistake: Mistake) -> Mistake | None:
        """``mistake`` with the index that the file has; None when it is about a stand-in."""
        indices = {"faults": self.faults, "objectives": self.objectives}
        match mistake.loc:
            case ("faults" | "objectives" as part, int(index), *rest):
                known = indices[part]
                if index >= len(known):
                    return None
                return Mistake((part, known[index], *rest), mistake.message)
            case _:
                return mistake


def salvage(data: Any) -> Remains | None:
    """The parts of ``data`` that are right; None when it is no experiment at all."""
    if not isinstance(data, dict):
        return None
    load: Any = data.get("load")
    load = load if isinstance(load, dict) else {}
    unknown: set[Loc] = set()
    name = data.get("name")
    name = name if isinstance(name, str) and re.fullmatch(NAME_PATTERN, name) else None
    warmup = data.get("warmup", "0s")
    if _seconds(warmup) is None:
        unknown.add(WARMUP)
        warmup = "0s"
    profile = _valid(Load, {**load, "locustfile": "?"})
    if profile is None:
        profile = Load(locustfile="?", stages=_stages(load.get("stages"), unknown))
    faults = _faults(data.get("faults", []), unknown)
    objectives = {
        index: objective
        for index, raw in enumerate(_list(data.get("objectives")))
        if (objective := _valid(Objective, raw)) is not None
    }
    if len(objectives) != len(_list(data.get("objectives"))):
        unknown.add(OBJECTIVES)
    locustfile = load.get("locustfile")
    budget = data.get("budget")
    known_budget = None if budget is None else _valid(ErrorBudget, budget)
    if budget is not None and known_budget is None:
        unknown.add(BUDGET)
    signals = _valid(OwnSignals, data.get("signals", {}))
    if signals is None:
        unknown.add(SIGNALS)
    experiment = Experiment.model_validate(
        {
            "name": name or _STAND_IN_NAME,
            "description": "?",
            "load": profile,
            "warmup": warmup,
            "faults": tuple(faults.values()),
            "objectives": (*objectives.values(), _STAND_IN_OBJECTIVE),
            "budget": known_budget,
            "signals": signals or {},
        }
    )
    return Remains(
        experiment=experiment,
        unknown=frozenset(unknown),
        faults=tuple(faults),
        objectives=tuple(objectives),
        name=name,
        locustfile=locustfile if isinstance(locustfile, str) and locustfile else None,
    )


def _stages(raw_stages: Any, unknown: set[Loc]) -> tuple[Stage, ...]:
    """The stages, each with what is known of it; one as long as can be where none is known."""
    stages = []
    for index, raw in enumerate(_list(raw_stages)):
        stage = _valid(Stage, raw)
        if stage is None:
            known = raw if isinstance(raw, dict) else {}
            users, duration = known.get("users"), known.get("duration")
            if ("rate" in known and "users" not in known) or type(users) is not int or users < 0:
                unknown.add(("load", "stages", index, "users"))
                users = 1
            if not _seconds(duration):
                unknown.add(LENGTH)
                duration = _LONGEST
            stage = _valid(Stage, {"users": users, "duration": duration})
        stages.append(stage or Stage.model_validate(_LONG_STAGE))
    if not stages:
        unknown.add(LENGTH)
        stages.append(Stage.model_validate(_LONG_STAGE))
    return _of_one_model(stages, unknown)


def _of_one_model(stages: list[Stage], unknown: set[Loc]) -> tuple[Stage, ...]:
    """``stages``; where some have users and some a rate, each with its length and with users."""
    if len({stage.rate is None for stage in stages}) > 1:
        for index, stage in enumerate(stages):
            if stage.rate is not None:
                unknown.add(("load", "stages", index, "users"))
                changes = {"users": 1, "rate": None, "ramp": None}
                stages[index] = stage.model_copy(update=changes)
    return tuple(stages)


def _faults(raw_faults: Any, unknown: set[Loc]) -> dict[int, Fault]:
    """The faults by their index in the file; one that is wrong keeps its times, if it has any."""
    faults: dict[int, Fault] = {}
    if not isinstance(raw_faults, list):
        unknown.add(FAULTS)
    for index, raw in enumerate(_list(raw_faults)):
        fault = _valid(Fault, raw)
        if fault is None and isinstance(raw, dict):
            times = {key: raw[key] for key in ("at", "duration") if key in raw}
            if "duration" in times or raw.get("kind") == "pod-kill":
                fault = _valid(Fault, {"kind": "pod-kill", "service": "unknown", **times})
        if fault is None:
            unknown.add(FAULTS)
        else:
            faults[index] = fault
    return faults


def _list(raw: Any) -> list[Any]:
    return raw if isinstance(raw, list) else []


def _seconds(raw: Any) -> float | None:
    value: float | None = _valid(Duration, raw)
    return value


def _valid(kind: Any, raw: Any) -> Any:
    """``raw`` as ``kind``; None when it is wrong."""
    try:
        return _adapter(kind).validate_python(raw)
    except ValidationError:
        return None


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)
