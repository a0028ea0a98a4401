"""What a pod may run, what it is told and what it is refused, on the embedded API server."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest
from workload_cluster import (
    APP,
    NAMESPACE,
    annotate,
    app_status,
    cluster,
    container,
    deploy,
    deployment,
)

from runner.targets.sandbox.apiclient import DEPLOYMENTS, PODS
from runner.targets.sandbox.podstatus import BackOff

pytestmark = pytest.mark.sandbox


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
            misspelt = {"sandbox.seatrial.dev/slow": "800ms", "sandbox.seatrial.dev/sluggish": "1s"}
            await on.client.patch(PODS, name, NAMESPACE, {"metadata": {"annotations": misspelt}})

            async def told() -> bool:
                return {"Behaviour", "UnknownBehaviour"} <= (await on.reasons(name)).keys()

            await on.until(told)
            reasons = await on.reasons(name)
            assert reasons["Behaviour"] == "now slower by 0.8 s"
            assert reasons["UnknownBehaviour"].startswith(
                "sandbox.seatrial.dev/sluggish: there are"
            )

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


def test_a_followed_log_ends_with_its_process(tmp_path: Path) -> None:
    """kubectl logs -f gets the last words of a pod that is deleted, and then an end."""

    async def scene() -> str:
        async with cluster(tmp_path) as on, aiohttp.ClientSession() as session:
            name = (await deploy(on, 1))[0]["metadata"]["name"]
            url = f"http://127.0.0.1:{on.settings.kubelet_port}/containerLogs/{NAMESPACE}"
            token = {"Authorization": "Bearer token"}
            query = f"{url}/{name}/{APP}?follow=true&tailLines=0"
            async with session.get(query, headers=token) as response:
                await on.client.delete(PODS, name, NAMESPACE)
                async with asyncio.timeout(10):
                    return await response.text()

    assert "INFO shop: stopped after " in asyncio.run(scene()).splitlines()[-1]


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


@pytest.mark.parametrize(
    ("spec", "reason", "words"),
    [
        ({"readinessProbe": {"httpGet": {"port": "nowhere"}}}, "Failed", "no port named"),
        ({"resources": {"limits": {"memory": "lots"}}}, "Failed", "lots"),
        ({"volumeMounts": [{"name": "v", "mountPath": "/v"}]}, "FieldNotHonoured", "volumeMounts"),
    ],
)
def test_what_cannot_be_honoured_is_said(
    tmp_path: Path, spec: dict[str, Any], reason: str, words: str
) -> None:
    """A field that makes no sense stops the container; one that is ignored is named in an event."""

    async def scene() -> None:
        async with cluster(tmp_path) as on:
            own = container(on.settings, {"SHOP_SERVICE": APP}) | spec
            pod = {"metadata": {"name": "odd"}, "spec": {"containers": [own]}}
            await on.client.create(PODS, pod, NAMESPACE)

            async def said() -> bool:
                return reason in await on.reasons("odd")

            await on.until(said)
            assert words in (await on.reasons("odd"))[reason]

    asyncio.run(scene())


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
