"""The state of a target before and after a run, as files that ``diff`` reads. Never a secret."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from runner.store import write_atomically
from runner.targets.inspection import Objects

REDACTED = "(not recorded)"
_DROPPED = ("managedFields", "kubectl.kubernetes.io/last-applied-configuration")


def write_snapshot(objects: Objects, folder: Path) -> None:
    """Write one JSON file per kind, its objects sorted by name."""
    for kind, items in objects.kinds.items():
        ordered = sorted(items, key=lambda o: str(o["metadata"]["name"]))
        text = json.dumps([_cleaned(o) for o in ordered], indent=2, sort_keys=True)
        write_atomically(folder / f"{kind}.json", text + "\n")
    if objects.errors:
        text = json.dumps(objects.errors, indent=2, sort_keys=True)
        write_atomically(folder / "errors.json", text + "\n")


def _cleaned(obj: Any) -> Any:
    """``obj`` without what may be a secret, and without bookkeeping that nobody reads.

    Values of environment variables are replaced, wherever they stand; the copy of the whole object
    that ``kubectl apply`` keeps in an annotation would hold them again.
    """
    if isinstance(obj, list):
        return [_cleaned(item) for item in obj]
    if not isinstance(obj, dict):
        return obj
    kept = {key: _cleaned(value) for key, value in obj.items() if key not in _DROPPED}
    if isinstance(kept.get("env"), list):
        kept["env"] = [_without_value(variable) for variable in kept["env"]]
    return kept


def _without_value(variable: Any) -> Any:
    if isinstance(variable, dict) and "value" in variable:
        return {**variable, "value": REDACTED}
    return variable
