"""The load engine: starts Locust as a child and reads its record while it grows.

Imports no Locust: that patches the whole process. What runs inside the child is
:mod:`runner.load.plugin`.
"""

from __future__ import annotations

import json
import math
import os
import socket
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner.errors import LoadError
from runner.load.seconds import SECONDS_FILE, STEPS_ASKED_FILE, SecondsReader
from runner.mistakes import closest
from runner.model.plan import Plan
from runner.model.recording import TargetInfo
from runner.ports import LoadJob, LoadProgress
from runner.process import ChildProcess
from runner.store import RunDir

LOCAL_WAIT_S, REMOTE_WAIT_S = 50, 600
"""How long workers are awaited."""

RIDE_ALONG = Path(__file__).with_name("seatrial_locustfile.py")


class LocustEngine:
    """Runs a locustfile under Locust, with the plan's stages and our recorder.

    Args:
        folders: Where a bare name such as ``shop.py`` is looked for.
        python: Interpreter that has Locust and this package.
        environ: Environment to start from; None for this process's own.
    """

    def __init__(
        self,
        folders: Sequence[Path] = (Path("locustfiles"),),
        *,
        python: str = sys.executable,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self._folders = tuple(folders)
        self._python = python
        self._environ = environ
        self._children: list[ChildProcess] = []

    def start(self, plan: Plan, target: TargetInfo, workdir: Path, log: Path) -> LoadJob:
        """Start Locust; see :class:`runner.ports.LoadEngine`.

        Must be called from a thread that lives as long as the run: the kernel ends the child when
        the thread that started it ends.

        Raises:
            LoadError: When the locustfile is not found, the folder already holds a record, or the
                interpreter cannot be started. What the locustfile itself does wrong shows in the
                job's exit code and log.
        """
        run = RunDir(workdir.parent)
        record = workdir / SECONDS_FILE
        if record.exists():
            raise LoadError(f"{workdir} already holds a record", accepted="the folder of a new run")
        if not run.plan_path.exists():
            raise LoadError(f"{run.path} holds no plan to follow")
        locustfile = self._find(plan.experiment.load.locustfile)
        environ = os.environ if self._environ is None else self._environ
        workdir.mkdir(parents=True, exist_ok=True)
        crew = crew_arguments(plan)
        env = child_environment(environ, run, target)
        argv = locust_argv(self._python, locustfile, plan, target)
        master = self._start([*argv, *crew.master], log, env)
        for number in range(1, plan.generator.workers + 1):
            worker_log = log.with_name(f"{log.stem}-worker-{number}{log.suffix}")
            self._start([*worker_argv(self._python, locustfile), *crew.worker], worker_log, env)
        return LocustJob(master, SecondsReader(record), workdir / STEPS_ASKED_FILE)

    def stop(self, grace_s: float) -> None:
        """End every Locust that was started here; see :class:`runner.ports.LoadEngine`.

        The first one first: a master ends its workers, and hears their last seconds.
        """
        while self._children:
            self._children[0].stop(grace_s)
            self._children.pop(0)

    def _start(self, argv: list[str], log: Path, env: dict[str, str]) -> ChildProcess:
        try:
            child = ChildProcess(argv, log=log, env=env)
        except OSError as error:
            raise LoadError(f"Locust could not be started: {error}") from error
        self._children.append(child)
        return child

    def _find(self, name: str) -> Path:
        # The folders first, as where the experiment was checked: what stands in the working folder
        # by chance must not take the place of what was meant.
        for path in (*(folder / name for folder in self._folders), Path(name)):
            if path.is_file():
                return path.absolute()
        known = sorted(path.name for folder in self._folders for path in folder.glob("*.py"))
        places = ", ".join(str(folder) for folder in self._folders)
        near = closest(Path(name).name, known)
        raise LoadError(
            f"there is no locustfile {name!r}, neither as a path nor in {places}",
            accepted=", ".join(known) or "a path of a Locust file",
            hint=f"did you mean {near}?" if near else "",
        )


class LocustJob:
    """Locust at work: a :class:`runner.ports.LoadJob`."""

    def __init__(self, child: ChildProcess, reader: SecondsReader, asked: Path) -> None:
        self._child = child
        self._reader = reader
        self._asked = asked

    @property
    def pid(self) -> int:
        return self._child.pid

    def poll(self) -> int | None:
        return self._child.poll()

    def stop(self, grace_s: float) -> None:
        self._child.stop(grace_s)

    def tail(self, lines: int) -> str:
        return self._child.tail(lines)

    def progress(self) -> LoadProgress:
        return self._reader.progress()

    def offer(self, rate_per_s: float, duration_s: float) -> None:
        self._ask({"rate": rate_per_s, "duration_s": duration_s})

    def finish(self) -> None:
        self._ask({"finish": True})

    def _ask(self, what: dict[str, Any]) -> None:
        """Add a line in one write, so that the generator never reads half of it."""
        try:
            with self._asked.open("ab", buffering=0) as file:
                file.write(json.dumps(what).encode("ascii") + b"\n")
        except OSError as error:
            raise LoadError(f"{self._asked} cannot be written: {error.strerror}") from error


def locust_argv(python: str, locustfile: Path, plan: Plan, target: TargetInfo) -> list[str]:
    """The command line of Locust. Pure.

    Raises:
        LoadError: When the locustfile's path cannot be given to Locust.
    """
    if locustfile.suffix != ".py" or "," in str(locustfile):
        raise LoadError(
            f"Locust cannot load {str(locustfile)!r}",
            accepted="a file that ends in .py, with a path without a comma",
        )
    # Ours first: of several load shapes, Locust takes the first one.
    files = f"{RIDE_ALONG},{locustfile}"
    # Whole seconds only, rounded up; the plug-in sets the exact value.
    stop_timeout = str(math.ceil(plan.experiment.load.stop_timeout))
    return [
        # -P: a locust.py in the working folder, which many have, is not Locust.
        *(python, "-P", "-m", "locust", "-f", files, "--headless", "-H", target.ingress_url),
        *("--stop-timeout", stop_timeout, "--exit-code-on-error", "0"),
        *("--only-summary", "--loglevel", "INFO"),
    ]


def worker_argv(python: str, locustfile: Path) -> list[str]:
    """The command line of a Locust worker, without its master's address. Pure."""
    files = f"{RIDE_ALONG},{locustfile}"
    return [python, "-P", "-m", "locust", "-f", files, "--loglevel", "INFO"]


@dataclass(frozen=True, slots=True)
class CrewArguments:
    """What makes Locust one process of several.

    Attributes:
        master: For the process that leads; empty when there is only one.
        worker: For each worker on this machine.
    """

    master: tuple[str, ...] = ()
    worker: tuple[str, ...] = ()


def crew_arguments(plan: Plan) -> CrewArguments:
    """How the processes of ``plan``'s generator find each other.

    Raises:
        LoadError: When no port is free.
    """
    generator = plan.generator
    if not generator.crew:
        return CrewArguments()
    port = generator.bind_port or free_port(generator.bind_host)
    here = "127.0.0.1" if generator.bind_host in ("0.0.0.0", "*") else generator.bind_host  # noqa: S104
    awaited_s = REMOTE_WAIT_S if generator.remote_workers else LOCAL_WAIT_S
    return CrewArguments(
        master=(
            *("--master", "--master-bind-host", generator.bind_host),
            *("--master-bind-port", str(port), "--expect-workers", str(generator.crew)),
            *("--expect-workers-max-wait", str(awaited_s)),
        ),
        worker=("--worker", "--master-host", here, "--master-port", str(port)),
    )


def free_port(host: str) -> int:
    """A TCP port that nobody listens on at ``host``.

    Raises:
        LoadError: When there is none, or ``host`` is not an address of this machine.
    """
    address = "0.0.0.0" if host == "*" else host  # noqa: S104
    try:
        with socket.socket() as probe:
            probe.bind((address, 0))
            return int(probe.getsockname()[1])
    except OSError as error:
        raise LoadError(
            f"workers cannot be listened to at {host}: {error.strerror}",
            accepted="an address of this machine, or 0.0.0.0 for all of them",
        ) from error


def child_environment(
    environ: Mapping[str, str], run: RunDir, target: TargetInfo
) -> dict[str, str]:
    """The environment of the child. Pure.

    Locust's own variables are left out: the experiment alone says how the load runs.
    """
    kept = {name: value for name, value in environ.items() if not name.startswith("LOCUST_")}
    kept |= {
        "TARGET_HOST": target.ingress_url,
        "TARGET_HOST_HEADER": target.host,
        "SEATRIAL_RUN_ID": run.run_id,
        "SEATRIAL_PLAN": str(run.plan_path.absolute()),
        "SEATRIAL_LOAD_DIR": str(run.load_dir.absolute()),
    }
    if target.kubeconfig:
        kept["KUBECONFIG"] = target.kubeconfig
    return kept
