"""Planned faults for tests."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter

from runner.model.fault import Fault
from runner.model.plan import PlannedFault

_FAULT: TypeAdapter[Fault] = TypeAdapter(Fault)


def planned(
    kind: str,
    service: str = "payment-api",
    *,
    number: int = 1,
    start_s: float = 10.0,
    duration_s: float = 5.0,
    grace_s: float = 15.0,
    **fields: Any,
) -> PlannedFault:
    """A fault of ``kind`` from ``start_s`` on; what the kind asks for has a default."""
    needed: dict[str, dict[str, Any]] = {
        "http-abort": {"status": 503},
        "http-delay": {"delay": "2s"},
    }
    fault = _FAULT.validate_python(
        {
            "kind": kind,
            "service": service,
            "at": f"{start_s}s",
            "duration": f"{duration_s}s",
            **needed.get(kind, {}),
            **fields,
        }
    )
    end_s = start_s + duration_s
    return PlannedFault(
        id=f"{number:02d}-{kind}",
        start_s=start_s,
        end_s=end_s,
        undo_by_s=end_s + grace_s,
        seed=number,
        fault=fault,
    )
