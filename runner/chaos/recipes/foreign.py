"""Any activities of Chaos Toolkit, between the putting and the taking of a marker. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runner.chaos.objects import CONFIG_MAPS
from runner.chaos.recipes.parts import Activity, Experiment, Setting, action, probe, wait_for
from runner.model.activity import environment_names
from runner.model.fault import ChaosToolkit
from runner.model.plan import PlannedFault

WITNESS = "runner.chaos.witness"


def foreign_fault(planned: PlannedFault, fault: ChaosToolkit, setting: Setting) -> Experiment:
    """Gate, mark, the activities as they were written, hold; rollbacks, look again, unmark."""
    rollbacks = [str(one.get("name", "")) for one in fault.rollbacks]
    steady = [str(one.get("name", "")) for one in fault.steady_state]
    marker = {**setting.named, "kinds": [CONFIG_MAPS.plural]}
    extra = {"configuration": fault.configuration, "secrets": fault.secrets}
    mark = {
        "service": fault.service,
        "activities": [str(one.get("name", "")) for one in fault.method],
        "rollbacks": rollbacks,
        "expires_at_wall_s": setting.expires_at_s,
    }
    look: list[Activity] = []
    if steady:
        again = {"probes": steady, "after": rollbacks}
        look = [probe("steady-state-again", "steady_state_is_back", again)]
    can_be_marked = probe("fault-can-be-marked", "fault_can_be_marked", dict(setting.where))
    return {
        **{key: value for key, value in extra.items() if value},
        "controls": [witness(fault.secrets, skip_unmarked=True)],
        "steady-state-hypothesis": {
            "title": f"{fault.service} is steady, and the fault can be marked",
            "probes": [{**can_be_marked, "tolerance": True}, *fault.steady_state],
        },
        "method": [
            wait_for(setting.starts_at_s),
            action("mark-fault", "mark_fault", {**setting.named, **mark}),
            *fault.method,
            probe(
                "hold-fault",
                "fault_mark_holds",
                {**setting.named, "until_wall_s": setting.ends_at_s},
            ),
        ],
        "rollbacks": [
            *fault.rollbacks,
            *look,
            action("unmark-fault", "unmark_fault", {**setting.named, "after": rollbacks}),
            probe("verify-removal", "fault_is_gone", marker),
        ],
    }


def witness(
    secrets: Mapping[str, Any], *, skip_unmarked: bool = False, strict: bool = False
) -> dict[str, Any]:
    """The control that watches foreign activities, as an entry under ``controls``.

    Args:
        secrets: Of the experiment. The control is told the names of their variables, because parts
            of an experiment are carried out before a control is given what is in them.
        skip_unmarked: Play no rollbacks when the fault's marker was never put in place, because
            then nothing was begun.
        strict: Let the experiment fail when an activity did. Needed where nobody else judges it.
    """
    hidden = sorted({name for name, _ in environment_names(dict(secrets))})
    arguments: dict[str, Any] = {"hidden": hidden, "skip_unmarked": skip_unmarked}
    arguments |= {"strict": True} if strict else {}
    provider = {"type": "python", "module": WITNESS, "arguments": arguments}
    return {"name": "seatrial-witness", "provider": provider}
