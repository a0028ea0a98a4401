"""How Locust is called: command lines and environments, of one process and of several.

Imports no Locust, and starts nothing.
"""

from __future__ import annotations

import contextlib
import math
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from runner.errors import LoadError
from runner.load.arguments import OWN_VARIABLES, for_worker
from runner.mistakes import closest
from runner.model.plan import GeneratorPlan, Plan

if TYPE_CHECKING:
    from runner.model.recording import TargetInfo
    from runner.store import RunDir

RIDE_ALONG = Path(__file__).with_name("seatrial_locustfile.py")

LOCAL_WAIT_S, REMOTE_WAIT_S = 50, 600
"""How long workers are awaited, on this machine and from elsewhere."""

_EVERYWHERE = ("0.0.0.0", "*")  # noqa: S104 - asked for by name


def find_locustfile(name: str, folders: Sequence[Path]) -> Path:
    """The file that ``name`` means: in one of ``folders``, or as a path.

    Raises:
        LoadError: When there is none.
    """
    # The folders first, as where the experiment was checked: what stands in the working folder
    # by chance must not take the place of what was meant.
    for path in (*(folder / name for folder in folders), Path(name)):
        with contextlib.suppress(OSError, ValueError):  # A name that no file can have.
            if path.is_file():
                return path.absolute()
    known = sorted(path.name for folder in folders for path in folder.glob("*.py"))
    places = ", ".join(str(folder) for folder in folders)
    near = closest(Path(name).name, known)
    raise LoadError(
        f"there is no locustfile {name!r}, neither as a path nor in {places}",
        accepted=", ".join(known) or "a path of a Locust file",
        hint=f"did you mean {near}?" if near else "",
    )


def locust_argv(python: str, locustfile: Path, plan: Plan, target: TargetInfo) -> list[str]:
    """The command line of Locust, but for what is handed on to it.

    Raises:
        LoadError: When the locustfile's path cannot be given to Locust.
    """
    # Whole seconds only, rounded up; the plug-in sets the exact value.
    stop_timeout = str(math.ceil(plan.experiment.load.stop_timeout))
    return [
        *_locust(python, locustfile),
        *("--headless", "-H", target.ingress_url, "--stop-timeout", stop_timeout),
        *("--exit-code-on-error", "0", "--only-summary"),
    ]


def worker_command(
    python: str, locustfile: Path, host: str, port: int, arguments: Sequence[str]
) -> list[str]:
    """The command line of a Locust worker of the master at ``host`` and ``port``.

    Raises:
        LoadError: When the locustfile's path cannot be given to Locust.
    """
    where = ("--worker", "--master-host", host, "--master-port", str(port))
    return [*_locust(python, locustfile), *where, *for_worker(arguments)]


def _locust(python: str, locustfile: Path) -> list[str]:
    if locustfile.suffix != ".py" or "," in str(locustfile):
        raise LoadError(
            f"Locust cannot load {str(locustfile)!r}",
            accepted="a file that ends in .py, with a path without a comma",
        )
    # Ours first: of several load shapes, Locust takes the first one.
    files = f"{RIDE_ALONG},{locustfile}"
    # -P: a locust.py in the working folder, which many have, is not Locust.
    return [python, "-P", "-m", "locust", "-f", files, "--loglevel", "INFO"]


def master_arguments(generator: GeneratorPlan, port: int) -> list[str]:
    """What makes Locust the master of a crew."""
    awaited_s = REMOTE_WAIT_S if generator.remote_workers else LOCAL_WAIT_S
    return [
        *("--master", "--master-bind-host", generator.bind_host, "--master-bind-port", str(port)),
        *("--expect-workers", str(generator.crew), "--expect-workers-max-wait", str(awaited_s)),
    ]


def reachable(bind_host: str) -> str:
    """Where a process of this machine finds what listens at ``bind_host``."""
    return "127.0.0.1" if bind_host in _EVERYWHERE else bind_host


def free_port(host: str, wanted: int = 0) -> int:
    """A TCP port that nobody listens on at ``host``; ``wanted``, unless that is 0.

    Raises:
        LoadError: When there is none, ``wanted`` is taken, or ``host`` is not of this machine.
    """
    address = _EVERYWHERE[0] if host in _EVERYWHERE else host
    where = f"{host}:{wanted}" if wanted else host
    try:
        with socket.socket() as probe:
            # As Locust's master does: a connection that is closing takes no port.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((address, wanted))
            return int(probe.getsockname()[1])
    except OSError as error:
        raise LoadError(
            f"workers cannot be listened to at {where}: {error.strerror}",
            accepted="a free port at an address of this machine, or at 0.0.0.0 for all of them",
            hint="name another with --bind HOST:PORT" if wanted else "",
        ) from error


def child_environment(
    environ: Mapping[str, str], run: RunDir, target: TargetInfo
) -> dict[str, str]:
    """The environment of a child.

    Locust's own variables are left out: the experiment alone says how the load runs.
    """
    kept = worker_environment(environ) | {
        "TARGET_HOST": target.ingress_url,
        "TARGET_HOST_HEADER": target.host,
        "SEATRIAL_RUN_ID": run.run_id,
        "SEATRIAL_PLAN": str(run.plan_path.absolute()),
        "SEATRIAL_LOAD_DIR": str(run.load_dir.absolute()),
    }
    if target.kubeconfig:
        kept["KUBECONFIG"] = target.kubeconfig
    return kept


def worker_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """``environ`` without Locust's own variables; a worker elsewhere is told the rest."""
    return {name: value for name, value in environ.items() if name not in OWN_VARIABLES}
