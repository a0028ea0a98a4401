"""Deployments, endpoints and the exporter against the embedded API server, with real pods."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from workload_cluster import APP, NAMESPACE, Cluster, cluster, deploy, deployment, free_port

from runner.targets.sandbox.apiclient import DEPLOYMENTS, PODS, REPLICASETS, Informer, Obj
from runner.targets.sandbox.pods import condition, is_ready

pytestmark = pytest.mark.sandbox

RESTART = {
    "spec": {
        "template": {"metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": "now"}}}
    }
}


async def is_rolled_out(on: Cluster, replicas: int) -> bool:
    """What ``kubectl rollout status`` waits for."""
    now = await on.client.get(DEPLOYMENTS, APP, NAMESPACE)
    status = now["status"]
    counts = [status.get(f) for f in ("updatedReplicas", "replicas", "availableReplicas")]
    generation = now["metadata"]["generation"]
    return status.get("observedGeneration") == generation and counts == [replicas] * 3


def test_a_deployment_becomes_ready_pods(tmp_path: Path) -> None:
    """Owner references, hash labels, status, conditions and events are as in Kubernetes."""

    async def scene() -> None:
        async with cluster(tmp_path) as on:
            pods = await deploy(on)
            await on.until(lambda: is_rolled_out(on, 2))
            (replicaset,), _ = await on.client.list(REPLICASETS, NAMESPACE)
            own = await on.client.get(DEPLOYMENTS, APP, NAMESPACE)
            assert replicaset["metadata"]["ownerReferences"][0]["uid"] == own["metadata"]["uid"]
            digest = replicaset["metadata"]["labels"]["pod-template-hash"]
            for pod in pods:
                owner = pod["metadata"]["ownerReferences"][0]
                assert owner["uid"] == replicaset["metadata"]["uid"]
                assert pod["metadata"]["labels"]["pod-template-hash"] == digest
            assert condition(own, "Available")["status"] == "True"
            assert condition(own, "Progressing")["reason"] == "NewReplicaSetAvailable"
            assert own["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "1"
            assert await on.told(APP, "ScalingReplicaSet")

    asyncio.run(scene())


def test_the_same_seed_gives_the_same_pods(tmp_path: Path) -> None:
    """Three fresh clusters: names (and so service times) follow from the seed alone."""
    port = free_port()

    async def names(home: str, seed: int) -> list[str]:
        async with cluster(tmp_path / home, seed=seed, pod_port=port) as on:
            return [pod["metadata"]["name"] for pod in await deploy(on)]

    first, again, other = (
        asyncio.run(names(home, seed)) for home, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    assert first == again
    assert set(first).isdisjoint(other)


def test_a_rolling_restart_never_goes_below_its_limit(tmp_path: Path) -> None:
    """Goal: no downtime. Method: watch every change of the pods while 3 are replaced, 25 % each."""

    async def scene() -> None:
        async with cluster(tmp_path, pod_recreation_delay_s=0.0) as on:
            before = {pod["metadata"]["uid"] for pod in await deploy(on, 3)}
            ready: list[int] = []
            alive: list[int] = []
            informer = Informer(on.client, PODS, NAMESPACE)

            def look(change: str, obj: Obj) -> None:
                del change, obj
                pods = [
                    pod
                    for pod in informer.objects.values()
                    if not pod["metadata"].get("deletionTimestamp")
                ]
                alive.append(len(pods))
                ready.append(sum(map(is_ready, pods)))

            following = asyncio.create_task(informer.run())
            await informer.synced(5)
            informer._on_change = look
            await on.client.patch(DEPLOYMENTS, APP, NAMESPACE, RESTART)
            await on.until(lambda: is_rolled_out(on, 3))
            after = await on.ready(3)
            following.cancel()
            assert before.isdisjoint(pod["metadata"]["uid"] for pod in after)
            assert max(alive) == 4  # 25 % of 3, rounded up, more
            assert min(ready) == 3  # 25 % of 3, rounded down, fewer

    asyncio.run(scene())


def test_a_broken_template_does_not_harm_the_running_pods(tmp_path: Path) -> None:
    """An unknown image is rolled out: the old pods stay; the template put back heals it."""

    async def scene() -> None:
        async with cluster(tmp_path, pod_recreation_delay_s=0.0) as on:
            before = {pod["metadata"]["uid"] for pod in await deploy(on)}
            good = deployment(on.settings)["spec"]["template"]["spec"]["containers"]
            bad = [good[0] | {"image": "busybox"}]
            change = {"spec": {"template": {"spec": {"containers": bad}}}}
            await on.client.patch(DEPLOYMENTS, APP, NAMESPACE, change)

            async def stuck() -> bool:
                pods = await on.pods()
                return len(pods) == 3 and sum(map(is_ready, pods)) == 2

            await on.until(stuck)
            change = {"spec": {"template": {"spec": {"containers": good}}}}
            await on.client.patch(DEPLOYMENTS, APP, NAMESPACE, change)
            await on.until(lambda: is_rolled_out(on, 2))
            assert {pod["metadata"]["uid"] for pod in await on.ready()} == before

    asyncio.run(scene())


def test_scaling_to_zero_and_deleting(tmp_path: Path) -> None:
    """Scaled to 0, the Service has no address; with the Deployment everything else goes too."""

    async def scene() -> None:
        async with cluster(tmp_path) as on:
            await deploy(on)
            await on.client.patch(DEPLOYMENTS, APP, NAMESPACE, {"spec": {"replicas": 0}})
            await on.ready(0)
            await on.client.patch(DEPLOYMENTS, APP, NAMESPACE, {"spec": {"replicas": 1}})
            await on.ready(1)
            await on.client.delete(DEPLOYMENTS, APP, NAMESPACE)
            await on.ready(0)

            async def no_process() -> bool:
                return not on.processes

            await on.until(no_process)
            assert (await on.client.list(REPLICASETS, NAMESPACE))[0] == []

    asyncio.run(scene())


@pytest.mark.parametrize("grace_s", [0, None])
def test_both_delays_are_settings(tmp_path: Path, grace_s: int | None) -> None:
    """Goal: the two delays act. Method: delete a pod; its address leaves after at least 0.8 s,
    its replacement's process starts after at least 1.2 s.
    """

    async def scene() -> None:
        delays: dict[str, Any] = {"endpoint_removal_delay_s": 0.8, "pod_recreation_delay_s": 1.2}
        async with cluster(tmp_path, **delays) as on:
            pods = await deploy(on)
            victim, survivor = (pod["metadata"]["uid"] for pod in pods)
            address = pods[0]["status"]["podIP"]
            begun = time.monotonic()
            await on.client.delete(PODS, pods[0]["metadata"]["name"], NAMESPACE, grace_s=grace_s)

            async def unlisted() -> bool:
                return address not in await on.addresses()

            async def replaced() -> bool:
                return bool(set(on.processes) - {victim, survivor})

            await on.until(unlisted)
            assert time.monotonic() - begun >= 0.8
            assert not set(on.processes) - {victim, survivor}
            await on.until(replaced)
            assert time.monotonic() - begun >= 1.2

    asyncio.run(scene())


def test_the_exporter_follows_the_pods(tmp_path: Path) -> None:
    """The scraped text has one usage series per pod and the Deployment's availability."""

    async def scene() -> None:
        async with cluster(tmp_path) as on, aiohttp.ClientSession() as session:
            names = {pod["metadata"]["name"] for pod in await deploy(on)}
            await on.until(lambda: is_rolled_out(on, 2))
            url = f"http://127.0.0.1:{on.settings.exporter_port}/metrics"

            async def lines(prefix: str) -> list[str]:
                async with session.get(url) as response:
                    assert response.headers["Content-Type"].startswith("text/plain")
                    text = await response.text()
                return [line for line in text.splitlines() if line.startswith(prefix)]

            async def available() -> bool:
                (line,) = await lines("kube_deployment_status_replicas_available")
                return line.endswith(" 2.0")

            await on.until(available)
            cpu = await lines("container_cpu_usage_seconds_total")
            assert len(cpu) == 2
            assert all(any(f'pod="{name}"' in line for line in cpu) for name in names)
            memory = await lines("container_memory_working_set_bytes")
            assert all(float(line.split()[-1]) > 2**20 for line in memory)

    asyncio.run(scene())


@pytest.mark.kubectl
def test_kubectl_works_on_workloads(tmp_path: Path) -> None:
    """kubectl's rollout, scale, wait, delete, logs and undo, as people type them."""
    program = shutil.which("kubectl")
    assert program is not None

    async def scene() -> None:
        async with cluster(tmp_path, pod_recreation_delay_s=0.0) as on:
            before = await deploy(on)

            async def kubectl(*words: str) -> str:
                def call() -> str:
                    return subprocess.run(
                        [program, "-n", NAMESPACE, *words],
                        env={**os.environ, "KUBECONFIG": str(tmp_path / "kubeconfig")},
                        capture_output=True,
                        text=True,
                        timeout=30,
                        check=True,
                    ).stdout

                return await asyncio.to_thread(call)

            name = before[0]["metadata"]["name"]
            assert f"{name}   2/2     Running" in await kubectl("get", "pods")
            assert "listens on" in await kubectl("logs", name, "-c", APP)
            await kubectl("rollout", "restart", f"deploy/{APP}")
            status = await kubectl("rollout", "status", f"deploy/{APP}", "--timeout=20s")
            assert "successfully rolled out" in status
            after = {pod["metadata"]["uid"] for pod in await on.ready()}
            assert after.isdisjoint(pod["metadata"]["uid"] for pod in before)
            await kubectl("scale", f"deploy/{APP}", "--replicas=3")
            await kubectl("wait", "--for=condition=Available", f"deploy/{APP}", "--timeout=20s")
            pods = await on.ready(3)
            name = pods[0]["metadata"]["name"]
            await kubectl("delete", "pod", name, "--timeout=20s")
            assert name not in {pod["metadata"]["name"] for pod in await on.ready(3)}
            await kubectl("rollout", "undo", f"deploy/{APP}")
            await kubectl("rollout", "status", f"deploy/{APP}", "--timeout=20s")
            history = await kubectl("rollout", "history", f"deploy/{APP}")
            assert [line.split()[0] for line in history.splitlines()[2:] if line] == ["2", "3"]

    asyncio.run(scene())
