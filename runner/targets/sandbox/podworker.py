"""The life of one pod: its process, its probes, its restarts, its end. Part of the kubelet."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import secrets
import time
from collections.abc import Mapping
from typing import Final

from runner.targets.sandbox.apiclient import Obj
from runner.targets.sandbox.podprocess import PodProcess
from runner.targets.sandbox.podreport import Host, PodReport
from runner.targets.sandbox.pods import quantity
from runner.targets.sandbox.podstatus import (
    ContainerFacts,
    Running,
    Terminated,
    Waiting,
    exit_of,
    must_restart,
)
from runner.targets.sandbox.probes import ProbeVerdict, http_get, http_post, read_probe
from runner.targets.sandbox.programs import (
    PROXY_IMAGE,
    Program,
    Refusal,
    find_program,
    given_environment,
    ignored_fields,
)
from runner.targets.sandbox.shop.behaviour import (
    FAIL,
    LEAK,
    SLOW,
    Behaviour,
    in_words,
    parse_behaviour,
    unknown_wishes,
)
from runner.targets.sandbox.shop.services import BEHAVIOUR_PATH, TOKEN_HEADER

log = logging.getLogger(__name__)

OUTBOUND_PORT: Final = 15001
# Until a pod is ready for the first time it is asked more often than its probe says.
EAGER_S: Final = 0.1
MEMORY_CHECK_S: Final = 1.0
RETRY_S: Final = 0.5
OK: Final = 200
BAD: Final = 400
NOT_FOUND: Final = 404
SHELL_NOT_FOUND: Final = 127


class PodWorker:
    """Runs one pod until it is deleted.

    Args:
        host: What it shares with the others.
        pod: The pod's object, of this node.
        address: The pod's address.
        delay_s: Seconds until its process is started.
    """

    def __init__(self, host: Host, pod: Obj, address: str, delay_s: float) -> None:
        self.pod = pod
        self.address = address
        self._host = host
        self._delay_s = delay_s
        self._token = secrets.token_hex(16)
        self._process: PodProcess | None = None
        self._stopping = asyncio.Event()
        self._grace_s = 0.0
        self._is_gone = False
        self._wish = asyncio.Event()
        self._complained: set[str] = set()
        self._report = PodReport(host.client, pod, address)

    # What the kubelet tells it.

    def update(self, pod: Obj) -> None:
        """The pod's object has changed; annotations may carry another behaviour."""
        if pod["metadata"].get("annotations") != self.pod["metadata"].get("annotations"):
            self._wish.set()
        self.pod = pod

    def stop(self, grace_s: float) -> None:
        """End the pod gracefully; then its object is deleted for good."""
        if not self._stopping.is_set():
            self._grace_s = grace_s
            self._stopping.set()

    def abandon(self, grace_s: float) -> None:
        """End the process, but leave the object as it is: the kubelet itself is ending."""
        self._is_gone = True
        self.stop(grace_s)

    def kill(self) -> None:
        """The pod's object is gone: SIGKILL at once."""
        self.abandon(0.0)
        if self._process is not None:
            self._process.kill()

    # Its life.

    async def run(self) -> None:
        """Live until the pod is deleted; a cancellation ends the process, not the object."""
        writer = asyncio.create_task(self._report.run())
        try:
            if not await self._stopped_within(self._delay_s):
                await self._live()
            await self._stopping.wait()
        finally:
            writer.cancel()
            if self._process is not None:
                self._process.kill()
            self._host.processes.pop(self._uid, None)
            await asyncio.gather(writer, return_exceptions=True)
        if not self._is_gone:
            await self._report.delete()

    @property
    def _uid(self) -> str:
        return str(self.pod["metadata"]["uid"])

    async def _stopped_within(self, seconds: float) -> bool:
        """Wait for the stop, at most so long."""
        if seconds > 0.0 and not self._stopping.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._stopping.wait()
        return self._stopping.is_set()

    async def _live(self) -> None:
        """Run the process, again and again as the restart policy says."""
        container, facts, program = self._find()
        if facts is None or isinstance(program, Refusal):
            return
        policy = self.pod["spec"].get("restartPolicy", "Always")
        crashes = 0
        while True:
            end = await self._run_once(container, facts, program)
            facts.state, facts.ready = end, False
            self._report.publish()
            if self._stopping.is_set() or not must_restart(policy, end):
                self._end_proxies(end)
                return
            ran_s = end.finished_s - end.started_s
            crashes = 1 if ran_s >= self._host.back_off.reset_s else crashes + 1
            facts.last = end
            delay_s = self._host.back_off.delay_s(crashes)
            if delay_s > 0.0:
                name = self.pod["metadata"]["name"]
                message = f"back-off {delay_s:g}s restarting failed container={facts.name}"
                facts.state = Waiting("CrashLoopBackOff", f"{message} pod={name}")
                self._say("BackOff", message, "Warning")
                self._report.publish()
            if await self._stopped_within(delay_s):
                return
            facts.restarts += 1

    def _find(self) -> tuple[Obj, ContainerFacts | None, Program | Refusal]:
        """The container with a process, and its program; refusals go to the pod's status."""
        containers = self.pod["spec"].get("containers") or []
        mains = [each for each in containers if each.get("image") != PROXY_IMAGE]
        main: Obj = mains[0] if mains else {}
        program = self._program(main)
        if len(mains) != 1 or self.pod["spec"].get("initContainers"):
            message = "a sandbox's pod has one container with a program and no initContainers"
            program = Refusal("CreateContainerConfigError", message)
        for facts, container in zip(self._report.facts, containers, strict=True):
            if container.get("image") == PROXY_IMAGE:
                facts.state, facts.ready = Running(time.time()), True
            elif isinstance(program, Refusal):
                facts.state = Waiting(program.reason, program.message)
                self._say("Failed", f"{facts.name}: {program.message}", "Warning")
        ignored = ignored_fields(self.pod["spec"], main)
        if ignored:
            self._say("FieldNotHonoured", f"ignored: {', '.join(ignored)}", "Warning")
        self._report.publish()
        names = [facts for facts in self._report.facts if facts.name == main.get("name")]
        return main, names[0] if names else None, program

    def _program(self, container: Obj) -> Program | Refusal:
        try:
            given = given_environment(
                pod=self.pod,
                address=self.address,
                port=_port_of(container, self._host.settings.pod_port),
                outbound_port=OUTBOUND_PORT,
                token=self._token,
            )
            program = find_program(container, given)
            if isinstance(program, Program):
                # Read now, so that a mistake in them is the container's and not a watcher's.
                read_probe(container, "readinessProbe")
                read_probe(container, "livenessProbe")
                _memory_limit(container)
        except (ValueError, KeyError, TypeError) as error:
            return Refusal("CreateContainerConfigError", f"not understood: {error}")
        return program

    def _end_proxies(self, end: Terminated) -> None:
        for facts in self._report.facts:
            if facts.image == PROXY_IMAGE:
                facts.ready = False
                facts.state = Terminated(0, "Completed", end.started_s, end.finished_s)
        self._report.publish()

    async def _run_once(
        self, container: Obj, facts: ContainerFacts, program: Program
    ) -> Terminated:
        """One process from its start to its end."""
        path = self._host.log_of(self.pod["metadata"]["name"])
        if path.exists():
            path.replace(self._host.log_of(self.pod["metadata"]["name"], previous=True))
        started_s = time.time()
        try:
            process = await PodProcess.start(program, path)
        except OSError as error:
            self._say("Failed", f"{facts.name}: {error}", "Warning")
            return Terminated(SHELL_NOT_FOUND, "ContainerCannotRun", started_s, time.time())
        self._process = process
        self._host.processes[self._uid] = process.pid
        facts.state = Running(started_s)
        self._report.publish()
        self._say("Started", f"Started container {facts.name}", "Normal")
        watchers = [
            asyncio.create_task(work)
            for work in (
                self._watch_ready(container, facts),
                self._watch_alive(container, process),
                self._watch_memory(container, process),
                self._forward_behaviour(container),
            )
        ]
        try:
            returncode = await self._until_end(process)
        finally:
            for watcher in watchers:
                watcher.cancel()
            await asyncio.gather(*watchers, return_exceptions=True)
            self._process = None
            self._host.processes.pop(self._uid, None)
        return exit_of(returncode, started_s, time.time(), oom=process.oom_killed)

    async def _until_end(self, process: PodProcess) -> int:
        ended = asyncio.ensure_future(process.wait())
        stopped = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait({ended, stopped}, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            process.kill()
            raise
        finally:
            stopped.cancel()
        if ended.done():
            return ended.result()
        grace_s = self._grace_s
        if grace_s > 0.0 and not self._is_gone:
            self._say("Killing", "Stopping container", "Normal")
            before_s = min(_pre_stop_s(self.pod), grace_s)
            if before_s > 0.0:
                await asyncio.wait({ended}, timeout=before_s)
        return await process.stop(grace_s)

    # Watching it.

    async def _watch_ready(self, container: Obj, facts: ContainerFacts) -> None:
        probe = read_probe(container, "readinessProbe")
        if probe is None:
            facts.ready = True
            self._report.publish()
            return
        verdict = ProbeVerdict(probe, initially=False)
        await asyncio.sleep(probe.initial_delay_s)
        was_ready = False
        while True:
            status = await http_get(self.address, probe.port, probe.path, probe.timeout_s)
            ready = verdict.observe(OK <= status < BAD)
            if ready != facts.ready:
                facts.ready = ready
                self._report.publish()
                if not ready:
                    self._say("Unhealthy", f"Readiness probe failed: status {status}", "Warning")
            was_ready = was_ready or ready
            await asyncio.sleep(probe.period_s if was_ready else min(EAGER_S, probe.period_s))

    async def _watch_alive(self, container: Obj, process: PodProcess) -> None:
        probe = read_probe(container, "livenessProbe")
        if probe is None:
            return
        verdict = ProbeVerdict(probe, initially=True)
        await asyncio.sleep(max(probe.initial_delay_s, probe.period_s))
        while True:
            status = await http_get(self.address, probe.port, probe.path, probe.timeout_s)
            if not verdict.observe(OK <= status < BAD):
                self._say("Unhealthy", f"Liveness probe failed: status {status}", "Warning")
                await process.stop(_grace_of(self.pod, self._host.settings.default_grace_s))
                return
            await asyncio.sleep(probe.period_s)

    async def _watch_memory(self, container: Obj, process: PodProcess) -> None:
        """Do what the kernel does at a container's memory limit."""
        limit_bytes = _memory_limit(container)
        while limit_bytes is not None:
            await asyncio.sleep(MEMORY_CHECK_S)
            if process.resident_bytes() > limit_bytes:
                process.oom_killed = True
                self._say("OOMKilling", f"memory limit of {limit_bytes:.0f} exceeded", "Warning")
                process.kill()
                return

    async def _forward_behaviour(self, container: Obj) -> None:
        """Tell the process what the annotations wish, whenever that changes."""
        applied = Behaviour()
        port = _port_of(container, self._host.settings.pod_port)
        while True:
            self._wish.clear()
            wished = self._wished()
            if wished is not None and wished != applied:
                body = json.dumps(wished._asdict()).encode()
                status = await http_post(
                    self.address,
                    port,
                    BEHAVIOUR_PATH,
                    body=body,
                    header=f"{TOKEN_HEADER}: {self._token}",
                    timeout_s=1.0,
                )
                if status != OK:
                    await asyncio.sleep(EAGER_S)
                    continue
                applied = wished
                self._say("Behaviour", f"now {in_words(wished)}", "Normal")
            await self._wish.wait()

    def _wished(self) -> Behaviour | None:
        annotations: Mapping[str, str] = self.pod["metadata"].get("annotations") or {}
        for key in unknown_wishes(annotations):
            self._complain("UnknownBehaviour", f"{key}: there are only {SLOW}, {FAIL} and {LEAK}")
        try:
            return parse_behaviour(annotations)
        except ValueError as error:
            self._complain("InvalidBehaviour", str(error))
            return None

    def _complain(self, reason: str, problem: str) -> None:
        if problem not in self._complained:
            self._complained.add(problem)
            self._say(reason, problem, "Warning")

    def _say(self, reason: str, message: str, kind: str) -> None:
        self._host.tell(self.pod, reason, message, kind)


def _port_of(container: Obj, default: int) -> int:
    ports = container.get("ports") or ()
    return int(ports[0]["containerPort"]) if ports else default


def _memory_limit(container: Obj) -> float | None:
    """The memory limit in bytes."""
    limit = ((container.get("resources") or {}).get("limits") or {}).get("memory")
    return None if limit is None else quantity(limit)


def _grace_of(pod: Obj, default_s: float) -> float:
    value = pod["spec"].get("terminationGracePeriodSeconds")
    return default_s if value is None else float(value)


def _pre_stop_s(pod: Obj) -> float:
    """Seconds of the containers' ``lifecycle.preStop.sleep``, the longest of them."""
    sleeps = [
        ((each.get("lifecycle") or {}).get("preStop") or {}).get("sleep") or {}
        for each in pod["spec"].get("containers") or ()
    ]
    return max((float(each.get("seconds", 0)) for each in sleeps), default=0.0)
