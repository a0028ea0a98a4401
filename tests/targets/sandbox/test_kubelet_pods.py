"""Real pods on the embedded API server: their start, their end, and what restarts them."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest
from conftest import ROOT
from workload_cluster import APP, NAMESPACE, Cluster, cluster, container, deploy, deployment

from runner.targets.sandbox.apiclient import DEPLOYMENTS, PODS, ApiError, Obj
from runner.targets.sandbox.podprocess import PodProcess
from runner.targets.sandbox.podstatus import BackOff
from runner.targets.sandbox.programs import Program

pytestmark = pytest.mark.sandbox


def app_status(pod: Obj) -> dict[str, Any]:
    """The status of the application's container."""
    found: dict[str, Any] = next(
        each for each in pod["status"]["containerStatuses"] if each["name"] == APP
    )
    return found


async def is_gone(on: Cluster, name: str) -> bool:
    try:
        await on.pod(name)
    except ApiError as error:
        return error.status == 404
    return False


def test_a_pod_is_one_process_with_nothing_of_ours(tmp_path: Path) -> None:
    """Goal: no secret or descriptor leaks into a pod. Method: look at the process in /proc."""

    async def scene() -> None:
        os.environ["LEAKED_SECRET"] = "s"
        async with cluster(tmp_path) as on:
            (pod,) = await deploy(on, 1)
            assert [each["ready"] for each in pod["status"]["containerStatuses"]] == [True, True]
            process = psutil.Process(on.processes[pod["metadata"]["uid"]])
            env = process.environ()
            assert {name for name in env if not name.startswith("SHOP_")} == {"LC_ALL"}
            assert env["SHOP_POD"] == pod["metadata"]["name"]
            assert env["SHOP_ADDRESS"] == pod["status"]["podIP"] == "127.122.0.2"
            files = {entry.path for entry in process.open_files()}
            log = on.settings.logs / "pods" / f"{pod['metadata']['name']}.log"
            assert files == {str(log)}
            assert {each.status for each in process.net_connections()} <= {"LISTEN", "NONE"}
            assert os.getsid(process.pid) == process.pid

    asyncio.run(scene())


def test_the_shop_stays_small(tmp_path: Path) -> None:
    """A pod's process has not loaded what it must not: TLS, pydantic, aiohttp, our own parts."""

    async def scene() -> None:
        async with cluster(tmp_path) as on:
            (pod,) = await deploy(on, 1)
            maps = Path(f"/proc/{on.processes[pod['metadata']['uid']]}/maps").read_text()
            assert "httptools" in maps
            for name in ("libssl", "libcrypto", "pydantic", "aiohttp", "psutil"):
                assert name not in maps

    asyncio.run(scene())


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
    """Goal: nobody but the watcher reaps. Method: kill repeatedly until the end is seen, 20 times."""

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
            assert "BackOff" in await on.reasons(pod["metadata"]["name"])
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
            assert "Killing" in await on.reasons(victim["name"])
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


def test_a_pod_of_an_unknown_image_is_never_run(tmp_path: Path) -> None:
    """Goal: the API cannot start a command. Method: ask for one; no process, a warning, a state."""

    async def scene() -> None:
        async with cluster(tmp_path) as on:
            trap = tmp_path / "trap"
            command = ["sh", "-c", f"touch {trap}"]
            for name, spec in {
                "image": {"name": "a", "image": "busybox", "command": command},
                "command": container(on.settings, {"SHOP_SERVICE": APP}) | {"command": command},
            }.items():
                pod = {"metadata": {"name": name}, "spec": {"containers": [spec]}}
                await on.client.create(PODS, pod, NAMESPACE)

            async def refused() -> bool:
                return "Failed" in await on.reasons("image") and "Failed" in await on.reasons(
                    "command"
                )

            await on.until(refused)
            reasons = []
            for name in ("image", "command"):
                status = (await on.pod(name))["status"]["containerStatuses"][0]
                reasons.append(status["state"]["waiting"]["reason"])
            assert reasons == ["ErrImagePull", "CreateContainerConfigError"]
            assert on.processes == {}
            assert not trap.exists()

    asyncio.run(scene())


async def annotate(on: Cluster, name: str, **wishes: str | None) -> None:
    """Set behaviour annotations and wait until the kubelet has told the process."""
    annotations = {f"sandbox.seatrial.dev/{key}": value for key, value in wishes.items()}
    before = (await on.reasons(name)).get("Behaviour")
    await on.client.patch(PODS, name, NAMESPACE, {"metadata": {"annotations": annotations}})

    async def told() -> bool:
        return (await on.reasons(name)).get("Behaviour") != before

    await on.until(told)


def test_a_pod_misbehaves_and_recovers_by_annotation(tmp_path: Path) -> None:
    """fail 100% makes every answer 502; a restart keeps it; removing the annotation heals."""

    async def scene() -> None:
        async with cluster(tmp_path) as on, aiohttp.ClientSession() as session:
            pod = (await deploy(on, 1))[0]
            name, uid = pod["metadata"]["name"], pod["metadata"]["uid"]
            url = f"http://{pod['status']['podIP']}:{on.settings.pod_port}/api/v1/payments"

            async def status() -> int:
                try:
                    async with session.get(url) as response:
                        return response.status
                except aiohttp.ClientError:
                    return 0

            async def answers(code: int) -> bool:
                return await status() == code

            assert await status() == 200
            await annotate(on, name, fail="100% 502")
            assert await status() == 502
            os.kill(on.processes[uid], signal.SIGKILL)
            await on.until(lambda: answers(502))
            await on.client.patch(
                PODS,
                name,
                NAMESPACE,
                {"metadata": {"annotations": {"sandbox.seatrial.dev/fail": None}}},
            )
            await on.until(lambda: answers(200))

    asyncio.run(scene())


def test_an_unreadable_wish_is_a_warning(tmp_path: Path) -> None:
    """A malformed annotation changes nothing and is said on the pod."""

    async def scene() -> None:
        async with cluster(tmp_path) as on:
            name = (await deploy(on, 1))[0]["metadata"]["name"]
            annotations = {"sandbox.seatrial.dev/slow": "very"}
            change = {"metadata": {"annotations": annotations}}
            await on.client.patch(PODS, name, NAMESPACE, change)

            async def warned() -> bool:
                return "InvalidBehaviour" in await on.reasons(name)

            await on.until(warned)
            message = (await on.reasons(name))["InvalidBehaviour"]
            assert message.startswith("sandbox.seatrial.dev/slow: 'very'")

    asyncio.run(scene())


def test_a_leaky_pod_is_killed_at_its_memory_limit(tmp_path: Path) -> None:
    """100 MiB/s against a limit of 64 MiB: OOMKilled, restarted, and the leak starts again."""

    async def scene() -> None:
        async with cluster(tmp_path, BackOff(first_s=0.1)) as on:
            wish = deployment(on.settings, 1)
            template = wish["spec"]["template"]
            template["spec"]["containers"][0]["resources"] = {"limits": {"memory": "64Mi"}}
            template["metadata"]["annotations"] = {"sandbox.seatrial.dev/leak": "100MiB/s"}
            await on.client.create(DEPLOYMENTS, wish)

            async def killed() -> bool:
                pods = await on.pods()
                statuses = pods and pods[0].get("status", {}).get("containerStatuses")
                last = app_status(pods[0])["lastState"] if statuses else {}
                return bool(last.get("terminated", {}).get("reason") == "OOMKilled")

            await on.until(killed)

    asyncio.run(scene())


def test_logs_need_the_token(tmp_path: Path) -> None:
    """The kubelet's log port answers with the token only, and reads pods' logs only."""

    async def scene() -> None:
        async with cluster(tmp_path) as on, aiohttp.ClientSession() as session:
            name = (await deploy(on, 1))[0]["metadata"]["name"]
            base = f"http://127.0.0.1:{on.settings.kubelet_port}/containerLogs/{NAMESPACE}"
            async with session.get(f"{base}/{name}/{APP}") as response:
                assert response.status == 401
            token = {"Authorization": "Bearer token"}
            async with session.get(f"{base}/{name}/{APP}?tailLines=1", headers=token) as response:
                assert response.status == 200
                assert "payment-api listens on" in await response.text()
            async with session.get(f"{base}/..%2Fsecret/{APP}", headers=token) as response:
                assert response.status == 400
            async with session.get(f"{base}/nobody/{APP}", headers=token) as response:
                assert response.status == 400

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
