"""What recipes are made of: activities by name, and the times of a fault. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from runner.errors import FaultError
from runner.model.target import UNBOUNDED, Bounds

Experiment = dict[str, Any]
Activity = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Setting:
    """Where and when a fault takes place.

    Attributes:
        run_id: Id of the run.
        fault_id: Id of the fault in the run.
        namespace: Namespace of the target.
        context: Context of the kubeconfig; empty for its current one.
        starts_at_s: Unix time of its start.
        ends_at_s: Unix time of its end.
        expires_at_s: Unix time from which anybody may remove it; also the bound of its undo.
        bounds: The target's.
    """

    run_id: str
    fault_id: str
    namespace: str
    context: str
    starts_at_s: float
    ends_at_s: float
    expires_at_s: float
    bounds: Bounds = UNBOUNDED

    def __post_init__(self) -> None:
        if self.expires_at_s < self.ends_at_s:
            raise FaultError(
                f"fault {self.fault_id} expires before its end: anybody might heal it",
                accepted="an expiry after the fault's end",
            )

    @property
    def where(self) -> dict[str, str]:
        """Arguments that every activity takes."""
        return {"namespace": self.namespace} | ({"context": self.context} if self.context else {})

    @property
    def name(self) -> dict[str, str]:
        """Arguments that name the fault on objects."""
        return {"run": self.run_id, "fault": self.fault_id}

    @property
    def named(self) -> dict[str, str]:
        """Both."""
        return self.where | self.name


def wait_for(starts_at_s: float) -> Activity:
    """Wait for the fault's start, an absolute time."""
    return action("wait-for-start", "wait_until", {"wall_s": starts_at_s})


def gate(title: str, *probes: Activity) -> dict[str, Any]:
    """The steady-state hypothesis: whether the fault is possible at all."""
    return {"title": title, "probes": [{**one, "tolerance": True} for one in probes]}


def removal(setting: Setting, *kinds: str) -> list[Activity]:
    """The rollbacks of a fault on objects of these kinds (plurals), and a look at them."""
    arguments = {**setting.named, "kinds": list(kinds)}
    return [
        action("remove-fault", "remove_fault", arguments),
        probe("verify-removal", "fault_is_gone", arguments),
    ]


def action(name: str, function: str, arguments: dict[str, Any]) -> Activity:
    """One of ``runner.chaos.actions``."""
    return _activity("action", name, "runner.chaos.actions", function, arguments)


def probe(name: str, function: str, arguments: dict[str, Any]) -> Activity:
    """One of ``runner.chaos.probes``."""
    return _activity("probe", name, "runner.chaos.probes", function, arguments)


def _activity(
    kind: str, name: str, module: str, function: str, arguments: dict[str, Any]
) -> Activity:
    return {
        "type": kind,
        "name": name,
        "provider": {
            "type": "python",
            "module": module,
            "func": function,
            "arguments": arguments,
        },
    }
