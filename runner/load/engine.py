"""The load engine: starts Locust as a child and reads its record while it grows.

Imports no Locust: that patches the whole process. What runs inside the child is
:mod:`runner.load.plugin`.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from runner.errors import LoadError
from runner.load.commandline import (
    child_environment,
    find_locustfile,
    free_port,
    locust_argv,
    master_arguments,
    reachable,
    worker_command,
)
from runner.load.reporting import WORKER_VARIABLE
from runner.load.seconds import SECONDS_FILE, STEPS_ASKED_FILE, SecondsReader
from runner.model.plan import Plan
from runner.model.recording import TargetInfo
from runner.ports import LoadJob, LoadProgress
from runner.process import ChildProcess
from runner.store import RunDir


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
        locustfile = find_locustfile(plan.experiment.load.locustfile, self._folders)
        environ = os.environ if self._environ is None else self._environ
        workdir.mkdir(parents=True, exist_ok=True)
        env = child_environment(environ, run, target)
        argv = locust_argv(self._python, locustfile, plan, target)
        generator = plan.generator
        if not generator.crew:
            return self._job([*argv, *generator.arguments], log, env, workdir)
        port = free_port(generator.bind_host, generator.bind_port)
        as_master = master_arguments(generator, port)
        job = self._job([*argv, *as_master, *generator.arguments], log, env, workdir)
        host = reachable(generator.bind_host)
        command = worker_command(self._python, locustfile, host, port, generator.arguments)
        for number in range(1, generator.workers + 1):
            worker_log = log.with_name(f"{log.stem}-worker-{number}{log.suffix}")
            named = env | {WORKER_VARIABLE: str(number)}
            job.workers.append(self._start(command, worker_log, named))
        return job

    def stop(self, grace_s: float) -> None:
        """End every Locust that was started here; see :class:`runner.ports.LoadEngine`.

        The first one first: a master ends its workers, and hears their last seconds.
        """
        if self._children:
            try:
                self._children[0].stop(grace_s)
            finally:
                # All of them now: nobody waits for what another one takes to end.
                for child in self._children[1:]:
                    child.ask_to_end()
        while self._children:
            self._children[0].stop(grace_s)
            self._children.pop(0)

    def _job(self, argv: list[str], log: Path, env: dict[str, str], workdir: Path) -> LocustJob:
        reader = SecondsReader(workdir / SECONDS_FILE)
        return LocustJob(self._start(argv, log, env), reader, workdir / STEPS_ASKED_FILE)

    def _start(self, argv: list[str], log: Path, env: dict[str, str]) -> ChildProcess:
        try:
            child = ChildProcess(argv, log=log, env=env)
        except OSError as error:
            raise LoadError(f"Locust could not be started: {error}") from error
        self._children.append(child)
        return child


class LocustJob:
    """Locust at work: a :class:`runner.ports.LoadJob`."""

    def __init__(self, child: ChildProcess, reader: SecondsReader, asked: Path) -> None:
        self._child = child
        self._reader = reader
        self._asked = asked
        self.workers: list[ChildProcess] = []
        """Workers on this machine, in order."""

    @property
    def pid(self) -> int:
        return self._child.pid

    def poll(self) -> int | None:
        """The exit code; before the start of the load also that of a worker, which it awaits."""
        code, fallen = self._child.poll(), self._fallen()
        if code is None and fallen is not None:
            return self.workers[fallen].poll() or 1
        return code

    def stop(self, grace_s: float) -> None:
        self._child.stop(grace_s)

    def tail(self, lines: int) -> str:
        fallen = self._fallen()
        if fallen is None:
            return self._child.tail(lines)
        said = self.workers[fallen].tail(max(1, lines - 1))
        return f"worker {fallen + 1} ended before the load had begun:\n{said}"

    def progress(self) -> LoadProgress:
        return self._reader.progress()

    def offer(self, rate_per_s: float, duration_s: float) -> None:
        self._ask({"rate": rate_per_s, "duration_s": duration_s})

    def finish(self) -> None:
        self._ask({"finish": True})

    def _fallen(self) -> int | None:
        """Index of a worker that ended before the load began; once it has, the record tells."""
        if self._reader.started:
            return None
        ended = (index for index, worker in enumerate(self.workers) if worker.poll() is not None)
        return next(ended, None)

    def _ask(self, what: dict[str, Any]) -> None:
        """Add a line in one write, so that the generator never reads half of it."""
        try:
            with self._asked.open("ab", buffering=0) as file:
                file.write(json.dumps(what).encode("ascii") + b"\n")
        except OSError as error:
            raise LoadError(f"{self._asked} cannot be written: {error.strerror}") from error
