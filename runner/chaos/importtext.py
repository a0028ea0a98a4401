"""The text of an experiment file that was made of a Chaos Toolkit experiment. Pure.

What a Chaos Toolkit experiment does not say, such as the load and the length of the fault, is
assumed here, and each assumption stands beside its line.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from io import StringIO
from typing import Any, Final

from ruamel.yaml import YAML

from runner.model.fault import NAME_PATTERN
from runner.model.units import format_duration

SHORTEST_S: Final = 30.0
EACH_ACTIVITY_S: Final = 5.0
"""Allowance for an activity that does not say how long it takes."""

RECOVERY_S: Final = 90.0
USERS: Final = 20
SERVICE_KEYS: Final = ("service", "service_name", "virtual_service_name", "deployment_name")
_LABEL: Final = re.compile(r"(?:app|service|app\.kubernetes\.io/name)\s*=\s*([a-z0-9-]+)")


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the caller says about the file; empty and None for what is to be assumed."""

    name: str = ""
    service: str = ""
    locustfile: str = ""
    at_s: float | None = None
    duration_s: float | None = None


@dataclass(slots=True)
class Parts:
    """The experiment as far as it is carried over."""

    method: list[dict[str, Any]] = field(default_factory=list)
    rollbacks: list[dict[str, Any]] = field(default_factory=list)
    steady_state: list[dict[str, Any]] = field(default_factory=list)
    configuration: dict[str, Any] = field(default_factory=dict)
    secrets: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def file_text(
    document: Mapping[str, Any], parts: Parts, wishes: Wishes, name: str, origin: str
) -> str:
    """The file that carries ``parts`` of ``document``, with comments on what is assumed."""
    at_s = 60.0 if wishes.at_s is None else wishes.at_s
    duration_s = length_of(parts.method) if wishes.duration_s is None else wishes.duration_s
    service = wishes.service or _service_of(parts) or "frontend"
    assumed_service = "" if wishes.service else "  # assumed: whom the fault is about"
    length = format_duration(float(math.ceil(at_s + duration_s + RECOVERY_S)))
    fault = {
        "method": parts.method,
        "rollbacks": parts.rollbacks,
        "steady_state": parts.steady_state,
        "configuration": parts.configuration,
        "secrets": parts.secrets,
    }
    body = _indented(_yaml({key: value for key, value in fault.items() if value}), "    ")
    title = _one_line(str(document["title"]))
    lines = [
        "# yaml-language-server: $schema=../docs/experiment.schema.json",
        f"# The Chaos Toolkit experiment {title!r}" + (f", from {origin}." if origin else "."),
        *(f"# - {_one_line(note)}" for note in parts.notes),
        f"name: {name}",
        _yaml({"description": _one_line(str(document["description"]))}).rstrip("\n"),
        "load:",
        f"  locustfile: {wishes.locustfile or 'shop.py'}",
        "  stages:",
        "    # Assumed: how many users your service has.",
        f"    - {{duration: {length}, users: {USERS}}}",
        f"warmup: {format_duration(min(15.0, at_s / 2))}",
        "faults:",
        "  - kind: chaostoolkit",
        f"    service: {service}{assumed_service}",
        f"    at: {format_duration(at_s)}",
        "    # The rollbacks are played when it is over; the activities must be done by then.",
        f"    duration: {format_duration(duration_s)}",
        body.rstrip("\n"),
        "objectives:",
        "  # Assumed: what your service promises.",
        "  - {objective: errors < 1%, during: [baseline, recovery]}",
        "  - {objective: latency.p95 < 500ms, during: [baseline, recovery]}",
    ]
    return "\n".join(lines) + "\n"


def length_of(method: Sequence[Mapping[str, Any]]) -> float:
    """Seconds that the method may take: its pauses, and an allowance for each activity."""
    total_s = 0.0
    for activity in method:
        pauses = activity.get("pauses") or {}
        known = [pauses.get(key) for key in ("before", "after")]
        paused_s = sum(float(one) for one in known if isinstance(one, int | float))
        total_s += (0.0 if activity.get("background") else EACH_ACTIVITY_S) + paused_s
    return max(SHORTEST_S, math.ceil(total_s / 10) * 10.0)


def _service_of(parts: Parts) -> str:
    """A service that the activities' arguments name."""
    for activity in (*parts.method, *parts.steady_state):
        arguments = activity["provider"].get("arguments")
        if not isinstance(arguments, Mapping):
            continue
        for key in SERVICE_KEYS:
            if re.fullmatch(NAME_PATTERN, str(arguments.get(key, ""))):
                return str(arguments[key])
        label = _LABEL.search(str(arguments.get("label_selector", "")))
        if label is not None and re.fullmatch(NAME_PATTERN, label[1]):
            return label[1]
    return ""


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _yaml(value: Any) -> str:
    out = StringIO()
    writer = YAML(typ="safe", pure=True)
    writer.default_flow_style = False
    writer.width = 100
    writer.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    writer.dump(value, out)
    return out.getvalue()


def _indented(text: str, by: str) -> str:
    return "".join(by + line if line.strip() else line for line in text.splitlines(keepends=True))
