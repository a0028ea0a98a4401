"""The state of a target before and after a run, as files that ``diff`` reads. Never a secret."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from runner.store import write_atomically
from runner.targets.inspection import Objects


def write_snapshot(objects: Objects, folder: Path) -> None:
    """Write one JSON file per kind, its objects sorted by name."""
    for kind, items in objects.kinds.items():
        ordered = sorted(items, key=lambda o: str(o["metadata"]["name"]))
        text = json.dumps([_cleaned(o) for o in ordered], indent=2, sort_keys=True)
        write_atomically(folder / f"{kind}.json", text + "\n")
    if objects.errors:
        text = json.dumps(objects.errors, indent=2, sort_keys=True)
        write_atomically(folder / "errors.json", text + "\n")


def _cleaned(obj: dict[str, Any]) -> dict[str, Any]:
    """Without the bookkeeping of server-side apply, which nobody reads."""
    metadata = {k: v for k, v in obj["metadata"].items() if k != "managedFields"}
    return {**obj, "metadata": metadata}
