"""From what was asked for to the settings of one sandbox: checked options, slot, ports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from runner.errors import UsageError
from runner.targets.sandbox.allocation import Slot, choose_pod_port, choose_ports
from runner.targets.sandbox.settings import SandboxSettings

# Option → its type and the smallest and largest value that make sense.
OPTIONS: Final[Mapping[str, tuple[type[int] | type[float], float, float]]] = {
    "seed": (int, 0, 2**63 - 1),
    "replicas": (int, 1, 20),
    "nodes": (int, 1, 20),
    "endpoint_removal_delay_s": (float, 0.0, 60.0),
    "pod_recreation_delay_s": (float, 0.0, 300.0),
    "default_grace_s": (float, 0.0, 300.0),
    "autoscaler_sync_s": (float, 1.0, 300.0),
}


@dataclass(frozen=True, slots=True)
class Request:
    """What the caller wants of a new sandbox.

    Attributes:
        name: Its name.
        home: Its folder, locked by the caller.
        ports: Ports that it must have; the others are chosen.
        options: Settings that differ from the defaults; see :data:`OPTIONS`.
        api_server: The kubeconfig of an API server that runs elsewhere; None for its own.
        owner_pid: A process whose end ends the sandbox.
        start_limit_s: Seconds that it may take to be ready.
    """

    name: str
    home: Path
    ports: Mapping[str, int] = field(default_factory=dict)
    options: Mapping[str, float] = field(default_factory=dict)
    api_server: Path | None = None
    owner_pid: int | None = None
    start_limit_s: float = 60.0


def check_options(options: Mapping[str, float]) -> dict[str, float]:
    """The options with the right types.

    Raises:
        UsageError: For an unknown name or a value out of range.
    """
    checked: dict[str, float] = {}
    for name, value in options.items():
        if name not in OPTIONS:
            raise UsageError(
                f"the sandbox has no option {name!r}", accepted=", ".join(sorted(OPTIONS))
            )
        kind, low, high = OPTIONS[name]
        try:
            number = kind(value)
        except (TypeError, ValueError, OverflowError):
            number = None
        if number is None or number != float(value) or not low <= number <= high:
            raise UsageError(
                f"the sandbox option {name} cannot be {value!r}",
                accepted=f"{'a whole number' if kind is int else 'seconds'} "
                f"from {low:g} to {high:g}",
            )
        checked[name] = number
    return checked


def settle(request: Request, slot: Slot) -> SandboxSettings:
    """The settings of the sandbox in ``slot``.

    Raises:
        TargetError: When a port is taken.
        UsageError: For impossible options or ports.
    """
    values: dict[str, Any] = dict(check_options(request.options))
    for name, port in choose_ports(slot.number, request.ports).items():
        values[f"{name}_port"] = port
    settings = SandboxSettings(name=request.name, home=request.home, slot=slot.number, **values)
    return replace(settings, pod_port=choose_pod_port(settings.pod_address(0)))
