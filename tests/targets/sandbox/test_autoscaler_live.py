"""The autoscaler on real pods: their CPU is the reason, the number of pods the effect."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from workload_cluster import APP, NAMESPACE, Cluster, cluster, deployment

from runner.targets.sandbox.apiclient import DEPLOYMENTS, HPAS, Obj
from runner.targets.sandbox.controllers import run_autoscaler

pytestmark = pytest.mark.sandbox


@asynccontextmanager
async def scaled(home: Path, requests: dict[str, str], **spec: Any) -> AsyncIterator[Cluster]:
    """A cluster with two ready pods and an autoscaler for them that looks every second."""
    async with cluster(home, autoscaler_sync_s=1.0) as on:
        on.tasks.append(asyncio.create_task(run_autoscaler(on.client, on.settings, on.processes)))
        workload = deployment(on.settings)
        pod = workload["spec"]["template"]["spec"]
        pod["containers"][0]["resources"] = {"requests": requests}
        await on.client.create(DEPLOYMENTS, workload)
        await on.ready(2)
        reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": APP}
        whole = {"scaleTargetRef": reference, "minReplicas": 2, "maxReplicas": 3} | spec
        body = {"metadata": {"name": APP, "namespace": NAMESPACE}, "spec": whole}
        await on.client.create(HPAS, body)
        yield on


async def status(on: Cluster) -> Obj:
    found: Obj = (await on.client.get(HPAS, APP, NAMESPACE)).get("status") or {}
    return found


async def reason(on: Cluster, kind: str) -> str:
    conditions = (await status(on)).get("conditions") or ()
    return next((str(each["reason"]) for each in conditions if each["type"] == kind), "")


async def replicas(on: Cluster) -> int:
    return int((await on.client.get(DEPLOYMENTS, APP, NAMESPACE))["spec"]["replicas"])


async def set_replicas(on: Cluster, number: int) -> None:
    change = {"spec": {"replicas": number}}
    await on.client.patch(DEPLOYMENTS, APP, NAMESPACE, change, subresource="scale")


@asynccontextmanager
async def busy(on: Cluster) -> AsyncIterator[None]:
    """Ask two pods one question after the other, each without a pause."""

    async def ask(session: aiohttp.ClientSession, address: str) -> None:
        url = f"http://{address}:{on.settings.pod_port}/api/v1/payments"
        while True:
            with contextlib.suppress(aiohttp.ClientError):
                async with session.get(url) as answer:
                    await answer.read()

    async with aiohttp.ClientSession() as session:
        tasks = [asyncio.create_task(ask(session, each)) for each in await on.addresses()]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def test_load_starts_pods_and_its_end_takes_them_away(tmp_path: Path) -> None:
    """40m requested, 50 % wanted: two busy pods become three, idle ones two after a second."""

    async def check() -> None:
        target = {"type": "Utilization", "averageUtilization": 50}
        behavior = {"scaleDown": {"stabilizationWindowSeconds": 1}}
        metrics = [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]
        async with scaled(tmp_path, {"cpu": "40m"}, metrics=metrics, behavior=behavior) as on:
            async with busy(on):
                await on.ready(3)
                told = await on.reasons(APP)
                why = "cpu resource utilization (percentage of request) above target"
                assert told["SuccessfulRescale"] == f"New size: 3; reason: {why}"

                async def is_limited() -> bool:
                    return await reason(on, "ScalingLimited") == "TooManyReplicas"

                await on.until(is_limited)
                now = await status(on)
                (seen,) = now["currentMetrics"]
                assert seen["resource"]["current"]["averageUtilization"] > 55
                assert await reason(on, "ScalingActive") == "ValidMetricFound"
            await on.ready(2)

            async def is_told() -> bool:
                return bool((await status(on))["currentReplicas"] == 2)

            await on.until(is_told)
            assert (await status(on))["desiredReplicas"] == 2

    asyncio.run(check())


def test_numbers_that_others_write_are_where_it_begins(tmp_path: Path) -> None:
    """Above the most it comes back to the most at once; zero switches it off; one is too few."""

    async def check() -> None:
        metric = {"name": "memory", "target": {"type": "AverageValue", "averageValue": "1Gi"}}
        metrics = [{"type": "Resource", "resource": metric}]
        async with scaled(tmp_path, {}, metrics=metrics) as on:

            async def is_measured() -> bool:
                return bool((await status(on)).get("currentMetrics"))

            await on.until(is_measured)
            current = (await status(on))["currentMetrics"][0]["resource"]["current"]
            assert int(current["averageValue"]) > 2**20
            await set_replicas(on, 5)

            async def is_reduced() -> bool:
                return await replicas(on) == 3

            await on.until(is_reduced)
            message = "New size: 3; reason: Current number of replicas above Spec.MaxReplicas"
            assert await on.told(APP, "SuccessfulRescale") == message
            await set_replicas(on, 0)

            async def is_off() -> bool:
                return await reason(on, "ScalingActive") == "ScalingDisabled"

            await on.until(is_off)
            assert await replicas(on) == 0
            await set_replicas(on, 1)
            assert len(await on.ready(2)) == 2

    asyncio.run(check())


def test_what_cannot_be_measured_or_found_is_told(tmp_path: Path) -> None:
    """Pods without a request have no utilization; a workload that is not there has no scale.

    An autoscaler that makes no sense stands beside it, and keeps nobody from being looked at.
    """

    async def check() -> None:
        async with scaled(tmp_path, {}) as on:
            sound = (await on.client.get(HPAS, APP, NAMESPACE))["spec"]
            nonsense = {"spec": sound | {"metrics": [{"type": "Pods", "resource": 3}]}}
            await on.client.create(
                HPAS, nonsense | {"metadata": {"name": "mad", "namespace": NAMESPACE}}
            )

            async def is_told() -> bool:
                return "FailedGetResourceMetric" in await on.reasons(APP)

            await on.until(is_told)
            assert await reason(on, "ScalingActive") == "FailedGetResourceMetric"
            assert await reason(on, "AbleToScale") == "SucceededGetScale"
            assert await replicas(on) == 2
            change = {"spec": {"scaleTargetRef": {"name": "nobody"}}}
            await on.client.patch(HPAS, APP, NAMESPACE, change)

            async def is_lost() -> bool:
                return await reason(on, "AbleToScale") == "FailedGetScale"

            await on.until(is_lost)
            assert "not found" in await on.told(APP, "FailedGetScale")

    asyncio.run(check())
