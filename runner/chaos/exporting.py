"""A seatrial experiment as one Chaos Toolkit experiment that runs without seatrial's runner. Pure.

Its faults are our own actions and probes, in the order of time; it needs this package, Chaos
Toolkit and Locust, and nothing else. Where and as whom it runs comes by environment. What it cannot
do is judge: objectives, guards and phases are told in its description, and stay with seatrial.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from runner.chaos.activities.moments import LEAD_S
from runner.chaos.compile import GATE_STRATEGY, RECIPES, ROLLBACK_STRATEGY
from runner.chaos.recipes.foreign import witness
from runner.chaos.recipes.parts import Activity, Experiment, Setting, action
from runner.errors import UsageError
from runner.model.fault import ChaosToolkit
from runner.model.plan import Plan, PlannedFault
from runner.model.units import format_duration

EXTENSION: Final = "seatrial-experiment"
"""The extension that holds the experiment file, so that it can come back as it was."""

HOLD: Final = "hold-fault"
"""What every recipe calls the wait for a fault's end, which does not share its time with others."""

WALL: Final = "wall_s"
LOAD_GRACE_S: Final = 60.0
"""A generator that is not gone so long after its time is ended."""

OURS: Final = "runner.chaos."


@dataclass(slots=True)
class _Moments:
    """The moments that an experiment speaks of; each is asked for once, under a name."""

    configuration: dict[str, Any] = field(default_factory=dict)

    def named(self, value: Any, key: str = "") -> Any:
        """``value`` with each time in it as ``${at_…}``: times stand under ``…wall_s``."""
        if isinstance(value, Mapping):
            return {name: self.named(inner, str(name)) for name, inner in value.items()}
        if isinstance(value, list | tuple):
            return [self.named(inner, key) for inner in value]
        is_time = isinstance(value, int | float) and not isinstance(value, bool)
        return self._name(float(value)) if is_time and key.endswith(WALL) else value

    def _name(self, offset_s: float) -> str:
        text = format_duration(round(abs(offset_s), 3)).replace(".", "_")
        name = f"at_{'minus_' if offset_s < 0 else ''}{text}"
        provider = {
            "type": "python",
            "module": "runner.chaos.probes",
            "func": "moment",
            "arguments": {"offset_s": round(offset_s, 3)},
        }
        self.configuration[name] = {"type": "probe", "name": name, "provider": provider}
        return f"${{{name}}}"


@dataclass(frozen=True, slots=True)
class _Part:
    """What a fault does in a Chaos Toolkit experiment: at its start, at its end, and for safety."""

    fault: PlannedFault
    gate: list[Activity]
    begin: list[Activity]
    end: list[Activity]
    safety: list[Activity]


def exported(plan: Plan, text: str, *, locustfile: str, namespace: str, host: str) -> Experiment:
    """The Chaos Toolkit experiment that does what ``plan`` says.

    Args:
        plan: Made from the experiment file.
        text: That file, verbatim; it is kept in an extension block.
        locustfile: The Locust file, as Locust will be given it: relative to where it is run.
        namespace: Where the faults act, unless ``SEATRIAL_NAMESPACE`` says otherwise.
        host: Where the load goes, unless ``SEATRIAL_HOST`` says otherwise.

    Raises:
        UsageError: When two faults want different values of one name in configuration or secrets.
    """
    experiment, moments = plan.experiment, _Moments()
    parts = [_part(fault, moments) for fault in plan.faults]
    foreign = [one.fault for one in plan.faults if isinstance(one.fault, ChaosToolkit)]
    own = _one_of("configuration", (one.configuration for one in foreign))
    secrets = _one_of("secrets", (one.secrets for one in foreign))
    load = _load(plan, locustfile)
    method = [*load, *_in_time(parts, moments)]
    probes = [probe for part in parts for probe in part.gate]
    rollbacks = [one for part in reversed(parts) for one in part.safety]
    return {
        "title": f"{experiment.name}: {experiment.description}",
        "description": _description(plan, told=not load),
        "tags": ["seatrial", *dict.fromkeys(fault.fault.kind for fault in plan.faults)],
        "configuration": _where(experiment.name, namespace, host) | moments.configuration | own,
        **({"secrets": secrets} if secrets else {}),
        "controls": [witness(secrets, strict=True)],
        "runtime": {
            "hypothesis": {"strategy": GATE_STRATEGY},
            "rollbacks": {"strategy": ROLLBACK_STRATEGY},
        },
        **({"steady-state-hypothesis": _hypothesis(probes)} if probes else {}),
        "method": method,
        "rollbacks": rollbacks,
        "extensions": [
            {"name": EXTENSION, "experiment": text, "digest": digest(method, rollbacks)}
        ],
    }


def digest(method: Sequence[Any], rollbacks: Sequence[Any]) -> str:
    """What tells whether somebody has changed the activities since they were exported."""
    return hashlib.sha256(json.dumps([method, rollbacks], sort_keys=True).encode()).hexdigest()


def _hypothesis(probes: list[Activity]) -> dict[str, Any]:
    return {"title": "Every fault is possible", "probes": probes}


def _where(name: str, namespace: str, host: str) -> dict[str, Any]:
    def by_environment(key: str, default: str) -> dict[str, str]:
        return {"type": "env", "key": key, "default": default}

    return {
        "seatrial_namespace": by_environment("SEATRIAL_NAMESPACE", namespace),
        "seatrial_context": by_environment("KUBERNETES_CONTEXT", ""),
        "seatrial_run": by_environment("SEATRIAL_RUN_ID", f"exported-{name}"),
        "seatrial_host": by_environment("SEATRIAL_HOST", host),
    }


def _part(planned: PlannedFault, moments: _Moments) -> _Part:
    """A fault's own experiment, cut into what is done at its start and at its end."""
    setting = Setting(
        run_id="${seatrial_run}",
        fault_id=planned.id,
        namespace="${seatrial_namespace}",
        context="${seatrial_context}",
        # Offsets stand in for times, and become moments.
        starts_at_s=planned.start_s,
        ends_at_s=planned.end_s,
        expires_at_s=planned.undo_by_s,
    )
    recipe = RECIPES[planned.fault.kind](planned, planned.fault, setting)
    rollbacks = recipe["rollbacks"]
    # What watches until a moment of the plan belongs to that moment alone.
    safety = [one for one in rollbacks if not _waits(one)]

    def named(activities: Iterable[Activity]) -> list[Activity]:
        return [
            moments.named(one | {"name": f"{planned.id}: {one['name']}"}) if _is_ours(one) else one
            for one in activities
        ]

    hypothesis = recipe.get("steady-state-hypothesis") or {}
    begin = [_aside(one) for one in recipe["method"] if one.get("name") != HOLD]
    return _Part(
        planned,
        named(hypothesis.get("probes", ())),
        named(begin),
        named(rollbacks),
        named(safety),
    )


def _arguments(activity: Activity) -> Mapping[str, Any]:
    found = activity.get("provider", {}).get("arguments") or {}
    return found if isinstance(found, Mapping) else {}


def _waits(activity: Activity) -> bool:
    return any(key.endswith(f"until_{WALL}") for key in _arguments(activity))


def _aside(activity: Activity) -> Activity:
    """What takes until a moment of the plan gives others their time meanwhile."""
    return activity | {"background": True} if _is_ours(activity) and _waits(activity) else activity


def _is_ours(activity: Activity) -> bool:
    """Whether it is an activity of this package; other people's keep their names and arguments."""
    return str(activity.get("provider", {}).get("module", "")).startswith(OURS)


def _in_time(parts: Sequence[_Part], moments: _Moments) -> list[Activity]:
    """All faults' beginnings and ends in the order of time; where they meet, ends come first."""
    events: list[tuple[float, int, int, list[Activity]]] = []
    for number, part in enumerate(parts):
        fault = part.fault
        events.append((fault.start_s, 1, number, part.begin))
        if part.end:
            wait = action(f"{fault.id}: wait-for-end", "wait_until", {WALL: fault.end_s})
            events.append((fault.end_s, 0, -number, [moments.named(wait), *part.end]))
    events.sort(key=lambda event: event[:3])
    return [one for *_, activities in events for one in activities]


def _load(plan: Plan, locustfile: str) -> list[Activity]:
    """The load as a program in the background; nothing where plain Locust cannot make it."""
    if plan.experiment.load.model != "users":
        return []
    highest = max(plan.stages, key=lambda stage: stage.users_to)
    arguments = [
        *("--headless", "--only-summary", "--exit-code-on-error", "0"),
        *("-f", locustfile, "--host", "${seatrial_host}"),
        *("-u", str(highest.users_to), "-r", f"{highest.spawn_rate:g}"),
        *("-t", f"{math.ceil(plan.duration_s + LEAD_S)}s"),  # It begins before offset 0.
    ]
    provider = {
        "type": "process",
        "path": "locust",
        "arguments": arguments,
        "timeout": round(plan.duration_s + LOAD_GRACE_S),
    }
    return [{"type": "action", "name": "load", "background": True, "provider": provider}]


def _description(plan: Plan, *, told: bool) -> str:
    experiment = plan.experiment
    said = [
        experiment.description,
        f"Exported from the seatrial experiment {experiment.name}. Offset 0 is some seconds after "
        "the start. What seatrial judges, and this experiment does not: "
        + "; ".join(dict.fromkeys(objective.objective for objective in experiment.objectives))
        + ".",
    ]
    if told:
        said.append(
            f"Send load yourself for {plan.duration_s:g} s: the experiment's load has the model "
            f"{experiment.load.model!r}, which plain Locust does not have."
        )
    elif len({stage.users_to for stage in plan.stages}) > 1:
        said.append("The load has one level here, the highest of the experiment's stages.")
    return " ".join(said)


def _one_of(what: str, each: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The values of several faults under one roof."""
    together: dict[str, Any] = {}
    for values in each:
        for key, value in values.items():
            if together.setdefault(key, value) != value:
                raise UsageError(
                    f"two faults have different values of {key!r} in their {what}, and a Chaos "
                    "Toolkit experiment has one",
                    accepted="different names, or one fault for each export",
                )
    return together
