"""Whether this machine has what a plan's Chaos Toolkit activities name: programs, Python modules.

Nothing is imported and nothing is run: a look at where they would be found.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from importlib.machinery import PathFinder
from typing import Any, Final

from runner.model.fault import ChaosToolkit
from runner.model.plan import Plan

_LATER: Final = "${"
"""What stands for a value that is known only when the activities run."""


def has_program(path: str) -> bool:
    """Whether the program ``path`` would be found, as Chaos Toolkit looks for it."""
    return shutil.which(os.path.expanduser(path)) is not None  # noqa: PTH111 - any text is one.


def has_module(name: str) -> bool:
    """Whether the Python module ``name`` would be found; its packages are not imported for that."""
    if name in sys.modules:
        return True
    first, *rest = name.split(".")
    try:
        spec = importlib.util.find_spec(first)
        for end, part in enumerate(rest, start=1):
            if not part or spec is None or spec.submodule_search_locations is None:
                return False
            whole = ".".join((first, *rest[:end]))
            spec = PathFinder.find_spec(whole, spec.submodule_search_locations)
    except (ImportError, ValueError):
        return False
    return spec is not None


def absent(
    plan: Plan,
    *,
    program: Callable[[str], bool] = has_program,
    module: Callable[[str], bool] = has_module,
) -> list[str]:
    """What activities of ``plan`` need, and this machine lacks: a sentence for each fault's each.

    Args:
        plan: The plan.
        program: Whether a program is there.
        module: Whether a Python module is.
    """
    said: list[str] = []
    for planned in plan.faults:
        fault = planned.fault
        if isinstance(fault, ChaosToolkit):
            for activity in (*fault.method, *fault.rollbacks, *fault.steady_state):
                said += [f"{planned.id}: {why}" for why in _lacking(activity, program, module)]
    return list(dict.fromkeys(said))


def _lacking(
    activity: Mapping[str, Any], program: Callable[[str], bool], module: Callable[[str], bool]
) -> Iterator[str]:
    provider = activity.get("provider")
    provider = provider if isinstance(provider, Mapping) else {}
    kind, name = provider.get("type"), activity.get("name")
    path, imported = str(provider.get("path", "")), str(provider.get("module", ""))
    if kind == "process" and _LATER not in path and not program(path):
        yield (
            f"the program {path!r} of {name!r} is not found here; accepted: a path, or a name on "
            "PATH, of what may be executed"
        )
    if kind == "python" and _LATER not in imported and not module(imported):
        yield (
            f"the Python module {imported!r} of {name!r} is not found here; accepted: one that is "
            "installed beside seatrial, or is in PYTHONPATH"
        )
