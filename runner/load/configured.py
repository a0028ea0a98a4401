"""What lies around and would steer Locust: ``locust.conf``, ``pyproject.toml``, its own variables.

Locust reads such files by itself, and locustfiles' own options belong there. What the plan decides
is put aside; what fights it in a way that cannot be put aside ends the process before the load;
what steers the load beside the plan is told, because no command line says it. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from runner.load.arguments import REFUSED, SHAPES_OWN
from runner.model.experiment import LoadModel

Sources = Mapping[str, Mapping[str, tuple[Any, Any]]]
"""As configargparse has it: kind of source, and its file, to settings; each has an option first."""

_FILE = "config_file|"
_DECIDED = {option for options in REFUSED for option in options.split()}
_REPORTS = {"--csv", "--csv-full-history", "--html", "--json", "--json-file"}
_NO_LOAD = _REPORTS | {
    "--only-summary",
    "--skip-log-setup",
    "-L",
    "--loglevel",
    "--profile",
    "--otel",
}


def told(sources: Sources, model: LoadModel) -> list[str]:
    """A sentence for each file that steers the load; names of options, never values.

    Args:
        sources: Where Locust's settings came from.
        model: Of the load: a shape of the locustfile's own may read what stages decide.
    """
    sentences = []
    for source, settings in sources.items():
        if not source.startswith(_FILE):
            continue
        names = []
        for key, (action, _) in settings.items():
            options = set(getattr(action, "option_strings", None) or [f"--{key}"])
            decided = bool(options & _DECIDED) and not (model == "own" and options & SHAPES_OWN)
            if not decided and not options & _NO_LOAD:
                names.append(max(sorted(options), key=len))
        if names:
            file = PurePath(source.removeprefix(_FILE)).name
            sentences.append(f"{file} has told Locust {', '.join(sorted(names))}")
    return sentences


def refused(options: object, *, crew: bool, runner: str) -> str:
    """Why Locust's settings cannot be followed; empty when they can.

    Args:
        options: Locust's parsed options.
        crew: Whether the plan has workers.
        runner: What Locust has become: ``LocalRunner``, ``MasterRunner`` or ``WorkerRunner``.
    """
    if not getattr(options, "headless", True) and runner != "WorkerRunner":
        return (
            "Locust would wait for somebody at its web page; accepted: no headful in Locust's "
            "configuration files"
        )
    if runner != "LocalRunner" and not crew:
        return (
            f"Locust has become a {runner}, and the plan has no workers; accepted: no master, "
            "worker or processes in Locust's configuration files"
        )
    return ""
