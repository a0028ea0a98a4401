"""Real pods on the embedded API server: their start, their end, and what restarts them."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import aiohttp
import psutil
import pytest
from conftest import ROOT
from workload_cluster import (
    NAMESPACE,
    annotate,
    app_status,
    cluster,
    container,
    deploy,
    deployment,
    is_gone,
)

from runner.targets.sandbox.apiclient import DEPLOYMENTS, PODS
from runner.targets.sandbox.kubelet import run_kubelet
from runner.targets.sandbox.podprocess import PodProcess
from runner.targets.sandbox.programs import Program

pytestmark = pytest.mark.sandbox


def test_a_killed_process_is_restarted_in_its_pod(tmp_path: Path) -> None:
    """SIGKILL from outside: the same pod and address, restartCount 1, exit code 137 kept."""

    async def scene() -> None:
        async with cluster(tmp_path) as on:
            (pod,) = await deploy(on, 1)
            name, uid = pod["metadata"]["name"], pod["metadata"]["uid"]
            first = on.processes[uid]
            os.kill(first, signal.SIGKILL)

            async def restarted() -> bool:
                now = app_status(await on.pod(name))
                return bool(now["restartCount"] == 1 and now["ready"])

            await on.until(restarted)
            now = app_status(await on.pod(name))
            ended = now["lastState"]["terminated"]
            assert (ended["exitCode"], ended["signal"], ended["reason"]) == (137, 9, "Error")
            assert on.processes[uid] != first
            assert (await on.ready(1))[0]["status"]["podIP"] == pod["status"]["podIP"]
            previous = on.settings.logs / "pods" / f"{name}.previous.log"
            assert "listens on" in previous.read_text()

    asyncio.run(scene())


def test_the_exit_code_survives_a_second_kill(tmp_path: Path) -> None:
    """Goal: nobody but the watcher reaps. Method: kill until the end is seen, 20 times."""

    async def once() -> int:
        program = Program((sys.executable, "-I", "-S", "-c", "import time; time.sleep(60)"), {})
        process = await PodProcess.start(program, tmp_path / "log")
        ended = asyncio.create_task(process.wait())
        while not ended.done():
            process.kill()
            await asyncio.sleep(0)
        return ended.result()

    async def scene() -> set[int]:
        return {await once() for _ in range(20)}

    assert asyncio.run(scene()) == {-9}


def test_a_process_that_cannot_start_backs_off(tmp_path: Path) -> None:
    """A wrong setting exits with 2: CrashLoopBackOff with more and more restarts, never ready."""

    async def scene() -> None:
        async with cluster(tmp_path) as on:
            wish = deployment(on.settings, 1, SHOP_SERVICE="no-such-api")
            await on.client.create(DEPLOYMENTS, wish)

            async def looping() -> bool:
                pods = await on.pods()
                if not pods or not pods[0].get("status", {}).get("containerStatuses"):
                    return False
                now = app_status(pods[0])
                reason = now["state"].get("waiting", {}).get("reason")
                return bool(now["restartCount"] >= 2 and reason == "CrashLoopBackOff")

            await on.until(looping)
            (pod,) = await on.pods()
            assert app_status(pod)["lastState"]["terminated"]["exitCode"] == 2
            assert pod["status"]["phase"] == "Running"
            assert await on.addresses() == []
            assert await on.told(pod["metadata"]["name"], "BackOff")
            # Deleting a pod that waits for its next start takes no grace period.
            await on.client.delete(PODS, pod["metadata"]["name"], NAMESPACE)
            assert await on.until(lambda: is_gone(on, pod["metadata"]["name"])) < 5

    asyncio.run(scene())


def test_deletion_without_grace_kills_at_once(tmp_path: Path) -> None:
    """Grace 0: the object is gone, the process soon after, and a replacement of another uid."""

    async def scene() -> None:
        async with cluster(tmp_path) as on:
            before = await deploy(on)
            victim = before[0]["metadata"]
            pid = on.processes[victim["uid"]]
            await on.client.delete(PODS, victim["name"], NAMESPACE, grace_s=0, uid=victim["uid"])
            assert await is_gone(on, victim["name"])

            async def dead() -> bool:
                return not psutil.pid_exists(pid)

            await on.until(dead, 5)
            after = await on.ready()
            assert victim["uid"] not in {pod["metadata"]["uid"] for pod in after}
            ips = {pod["status"]["podIP"] for pod in (*before, *after)}
            assert len(ips) == 3  # the replacement has a new address
            log = (on.settings.logs / "pods" / f"{victim['name']}.log").read_text()
            assert "SIGTERM" not in log

    asyncio.run(scene())


def test_deletion_with_grace_lets_the_process_finish(tmp_path: Path) -> None:
    """SIGTERM: the process says goodbye, the object is marked first and deleted afterwards."""

    async def scene() -> None:
        async with cluster(tmp_path) as on:
            victim = (await deploy(on))[0]["metadata"]
            await on.client.delete(PODS, victim["name"], NAMESPACE)
            await on.until(lambda: is_gone(on, victim["name"]))
            log = (on.settings.logs / "pods" / f"{victim['name']}.log").read_text()
            assert "stopped after" in log
            assert await on.told(victim["name"], "Killing")
            await on.ready()

    asyncio.run(scene())


def test_a_request_in_flight_survives_a_graceful_deletion(tmp_path: Path) -> None:
    """A pod is slow by 0.5 s and deleted meanwhile: the request is still answered with 200."""

    async def scene() -> None:
        async with cluster(tmp_path, default_grace_s=5.0) as on:
            pod = (await deploy(on, 1))[0]
            name, ip = pod["metadata"]["name"], pod["status"]["podIP"]
            await annotate(on, name, slow="500ms")
            url = f"http://{ip}:{on.settings.pod_port}/api/v1/payments/1"
            async with aiohttp.ClientSession() as session:
                request = asyncio.create_task(session.get(url))
                await asyncio.sleep(0.2)
                await on.client.delete(PODS, name, NAMESPACE)
                response = await request
                assert response.status == 200
            await on.until(lambda: is_gone(on, name))

    asyncio.run(scene())


def test_a_process_that_does_not_stop_is_killed_after_its_grace(tmp_path: Path) -> None:
    """A stopped (SIGSTOP) process ignores SIGTERM: after 1 s of grace it is killed."""

    async def scene() -> None:
        async with cluster(tmp_path, default_grace_s=1.0) as on:
            pod = (await deploy(on, 1))[0]["metadata"]
            pid = on.processes[pod["uid"]]
            os.kill(pid, signal.SIGSTOP)
            await on.client.delete(PODS, pod["name"], NAMESPACE)
            assert await on.until(lambda: is_gone(on, pod["name"])) > 0.9
            assert not psutil.pid_exists(pid)

    asyncio.run(scene())


def test_cancelling_the_kubelet_ends_every_process(tmp_path: Path) -> None:
    """The pods' objects stay, their processes do not."""

    async def scene() -> None:
        async with cluster(tmp_path) as on:
            await deploy(on)
            pids = list(on.processes.values())
            on.tasks[2].cancel()
            await asyncio.wait({on.tasks[2]})
            on.tasks.pop(2)
            assert len(pids) == 2
            assert not any(map(psutil.pid_exists, pids))
            assert len(await on.pods()) == 2

    asyncio.run(scene())


def test_a_new_kubelet_takes_the_pods_over(tmp_path: Path) -> None:
    """The kubelet is replaced: the same pods run again, counted as restarted once."""

    async def scene() -> None:
        async with cluster(tmp_path) as on:
            before = {pod["metadata"]["uid"] for pod in await deploy(on)}
            on.tasks[2].cancel()
            await asyncio.wait({on.tasks.pop(2)})
            work = run_kubelet(on.client, on.settings, on.processes)
            on.tasks.append(asyncio.create_task(work))

            async def again() -> bool:
                return all(app_status(pod)["restartCount"] == 1 for pod in await on.pods())

            await on.until(again)
            after = await on.ready()
            assert {pod["metadata"]["uid"] for pod in after} == before
            assert len(on.processes) == 2

    asyncio.run(scene())


def test_a_pod_that_is_not_restarted_ends(tmp_path: Path) -> None:
    """restartPolicy Never and a setting that cannot work: phase Failed, one attempt, exit 2."""

    async def scene() -> None:
        async with cluster(tmp_path) as on:
            own = container(on.settings, {"SHOP_SERVICE": "no-such-api"})
            spec = {"containers": [own], "restartPolicy": "Never"}
            await on.client.create(PODS, {"metadata": {"name": "once"}, "spec": spec}, NAMESPACE)

            async def failed() -> bool:
                return bool((await on.pod("once"))["status"]["phase"] == "Failed")

            await on.until(failed)
            now = app_status(await on.pod("once"))
            assert (now["state"]["terminated"]["exitCode"], now["restartCount"]) == (2, 0)
            await on.client.delete(PODS, "once", NAMESPACE)
            await on.until(lambda: is_gone(on, "once"))

    asyncio.run(scene())


ORPHANAGE = """
import asyncio, sys
from pathlib import Path
from workload_cluster import cluster, deploy

async def main():
    async with cluster(Path(sys.argv[1])) as on:
        await deploy(on)
        print(*on.processes.values(), flush=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""


def test_a_killed_kubelet_leaves_no_orphan(tmp_path: Path) -> None:
    """Goal: SIGKILL of the parent ends its pods. Method: a parent of our own, killed."""
    here = str(Path(__file__).parent)
    with subprocess.Popen(
        [sys.executable, "-c", ORPHANAGE, str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), here))},
    ) as parent:
        try:
            assert parent.stdout is not None
            pids = [int(word) for word in parent.stdout.readline().split()]
            pods = [psutil.Process(pid) for pid in pids]
        finally:
            parent.kill()
    assert len(pids) == 2
    _, alive = psutil.wait_procs(pods, timeout=5)
    assert alive == []
