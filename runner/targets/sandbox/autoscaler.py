"""The horizontal pod autoscaler: a client of the API, decisions in ``scaling`` and its rules.

As in Kubernetes it looks at every autoscaler once a period and writes through the ``scale``
subresource of the workload, whatever that is; what others write there (kubectl, an experiment)
is where it starts from the next time.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from typing import Any, Final

from runner.errors import TargetError
from runner.targets.sandbox.apiclient import (
    DEPLOYMENTS,
    HPAS,
    PODS,
    REPLICASETS,
    STATEFULSETS,
    ApiClient,
    ApiError,
    Informer,
    Obj,
    Resource,
    key_of,
)
from runner.targets.sandbox.autoscaler_status import (
    metric_status,
    name_of,
    status_of,
)
from runner.targets.sandbox.exporter import Meter
from runner.targets.sandbox.pods import condition, is_ready, seconds_of
from runner.targets.sandbox.readings import Readings
from runner.targets.sandbox.reconcile import following
from runner.targets.sandbox.scaling import NoProposalError, Target, propose, target_of
from runner.targets.sandbox.scaling_rules import (
    Condition,
    History,
    bounds_of,
    forced,
    settle,
)
from runner.targets.sandbox.settings import SandboxSettings

log = logging.getLogger(__name__)

COMPONENT: Final = "horizontal-pod-autoscaler"
SAMPLE_S: Final = 1.0
GOT_SCALE: Final = Condition(
    "AbleToScale",
    True,
    "SucceededGetScale",
    "the HPA controller was able to get the target's current scale",
)
_WORKLOADS: Final = {
    (each.group, each.kind): each for each in (DEPLOYMENTS, REPLICASETS, STATEFULSETS)
}


async def run_autoscaler(
    client: ApiClient, settings: SandboxSettings, processes: Mapping[str, int]
) -> None:
    """Follow every HorizontalPodAutoscaler; until cancelled.

    Args:
        client: Client of the API server.
        settings: The sandbox's settings; ``autoscaler_sync_s`` is the period.
        processes: Pod uid → pid, kept up to date by the kubelet.

    Raises:
        TargetError: The API server gave no lists at the start.
    """
    await _Autoscaler(client, settings, processes).run()


class _RefusedError(Exception):
    """One look at one autoscaler ends here; ``condition`` says why."""

    def __init__(self, condition: Condition, replicas: int | None = None) -> None:
        super().__init__(condition.message)
        self.condition = condition
        self.replicas = replicas


class _Autoscaler:
    def __init__(
        self, client: ApiClient, settings: SandboxSettings, processes: Mapping[str, int]
    ) -> None:
        self._client = client
        self._sync_s = settings.autoscaler_sync_s
        self._processes = processes
        self._meter = Meter()
        self._readings = Readings(self._sync_s)
        self._autoscalers = Informer(client, HPAS)
        self._histories: dict[str, History] = {}

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        async with following(self._autoscalers):
            due = loop.time() + self._sync_s
            while True:
                self._readings.take(self._meter.read(self._processes), time.time())
                if loop.time() >= due:
                    # A period that was missed is not made up for.
                    due = max(due + self._sync_s, loop.time())
                    await self._sync_all()
                await asyncio.sleep(min(SAMPLE_S, self._sync_s / 4))

    async def _sync_all(self) -> None:
        found = list(self._autoscalers.objects.values())
        uids = {each["metadata"]["uid"] for each in found}
        self._histories = {uid: history for uid, history in self._histories.items() if uid in uids}
        for autoscaler in found:
            try:
                await self._sync(autoscaler)
            except ApiError as error:
                log.info("%s: %s", "/".join(key_of(autoscaler)), error.message)
            except TargetError as error:
                log.warning("autoscaler: %s", error.message)
            except (AttributeError, KeyError, TypeError, ValueError):
                # One object that makes no sense must not end the care for the others.
                log.exception("%s cannot be followed", "/".join(key_of(autoscaler)))

    async def _sync(self, autoscaler: Obj) -> None:
        """One look at one autoscaler: scale, measure, decide, write."""
        try:
            status = await self._look(autoscaler)
        except _RefusedError as refused:
            found = refused.condition
            await self._event(autoscaler, found.reason, found.message, "Warning")
            # A refusal for another reason comes after the scale was got.
            both = (GOT_SCALE, found)
            status = status_of(autoscaler, time.time(), both, current=refused.replicas)
        await self._write_status(autoscaler, status)

    async def _look(self, autoscaler: Obj) -> Obj:
        spec, now_s = autoscaler["spec"], time.time()
        url, scale = await self._scale(autoscaler)
        current = int((scale.get("spec") or {}).get("replicas") or 0)
        bounds = bounds_of(spec)
        conditions = [GOT_SCALE]
        if current == 0 and bounds.fewest != 0:
            text = "scaling is disabled since the replica count of the target is zero"
            conditions.append(Condition("ScalingActive", False, "ScalingDisabled", text))
            return status_of(autoscaler, now_s, conditions, current=0, desired=0)
        measured: list[Obj] = []
        if out_of_bounds := forced(current, bounds):
            wanted, reason = out_of_bounds
        else:
            pods = await self._selected(autoscaler, scale)
            proposed, best, measured, active = self._proposed(autoscaler, current, pods, now_s)
            history = self._histories.setdefault(autoscaler["metadata"]["uid"], History())
            wanted, found = settle(current, proposed, bounds, history, now_s)
            conditions += [active, *found]
            reason = f"{best} above target" if wanted > current else "All metrics below target"
        if wanted != current:
            conditions.append(await self._rescale(autoscaler, url, scale, wanted, reason))
            history = self._histories.setdefault(autoscaler["metadata"]["uid"], History())
            history.changed(current, wanted, now_s)
        return status_of(
            autoscaler, now_s, conditions, current=current, desired=wanted, metrics=measured
        )

    async def _scale(self, autoscaler: Obj) -> tuple[str, Obj]:
        """The workload's Scale, and the URL where it is."""
        reference = autoscaler["spec"].get("scaleTargetRef") or {}
        group = str(reference.get("apiVersion", "")).rpartition("/")[0]
        kind = str(reference.get("kind", ""))
        res: Resource | None = _WORKLOADS.get((group, kind))
        if res is None:
            raise _refused_scale(f'no matches for kind "{kind}" in group "{group}"')
        url = self._client.url(
            res, autoscaler["metadata"]["namespace"], str(reference.get("name", "")), "scale"
        )
        try:
            return url, await self._client.request("GET", url)
        except ApiError as error:
            raise _refused_scale(error.message) from error

    async def _selected(self, autoscaler: Obj, scale: Obj) -> list[Obj]:
        """The pods that the workload's selector matches."""
        selector = str((scale.get("status") or {}).get("selector") or "")
        if not selector:
            raise _RefusedError(
                Condition("ScalingActive", False, "InvalidSelector", "the selector is required"),
                int(scale["spec"]["replicas"]),
            )
        namespace = autoscaler["metadata"]["namespace"]
        return (await self._client.list(PODS, namespace, labels=selector))[0]

    def _proposed(
        self, autoscaler: Obj, current: int, pods: list[Obj], now_s: float
    ) -> tuple[int, str, list[Obj], Condition]:
        """The largest proposal of all metrics, its metric's name, the figures, ScalingActive.

        A metric that fails counts as one that forbids to scale down.
        """
        since = {
            pod["metadata"]["uid"]: seconds_of(
                str(condition(pod, "Ready").get("lastTransitionTime", ""))
            )
            for pod in pods
            if is_ready(pod)
        }
        best: tuple[int, str] = (-1, "")
        measured: list[Obj] = []
        failed: list[tuple[str, str]] = []
        metrics = autoscaler["spec"].get("metrics") or []
        for metric in metrics:
            try:
                target: Target = target_of(metric)
                seen = self._readings.of(target.resource, since)
                found = propose(target, current, pods, seen, now_s)
            except NoProposalError as error:
                resource = (metric.get("resource") or {}).get("name", "")
                text = f"failed to get {resource} usage: {error}" if resource else str(error)
                failed.append((f"FailedGet{metric.get('type', '')}Metric", text))
                continue
            measured.append(metric_status(target, found))
            best = max(best, (found.replicas, name_of(target)))
        if failed and (len(failed) == len(metrics) or best[0] < current):
            reason, text = failed[0]
            text = f"the HPA was unable to compute the replica count: {text}"
            raise _RefusedError(Condition("ScalingActive", False, reason, text), current)
        text = f"the HPA was able to successfully calculate a replica count from {best[1]}"
        return *best, measured, Condition("ScalingActive", True, "ValidMetricFound", text)

    async def _rescale(
        self, autoscaler: Obj, url: str, scale: Obj, wanted: int, reason: str
    ) -> Condition:
        """Write the number through the scale subresource; the condition AbleToScale."""
        body = {**scale, "spec": {**scale["spec"], "replicas": wanted}}
        what = f"New size: {wanted}; reason: {reason}"
        try:
            await self._client.request("PUT", url, body=body)
        except ApiError as error:
            text = f"the HPA controller was unable to update the target scale: {error.message}"
            await self._event(
                autoscaler, "FailedRescale", f"{what}; error: {error.message}", "Warning"
            )
            failed = Condition("AbleToScale", False, "FailedUpdateScale", text)
            raise _RefusedError(failed, int(scale["spec"]["replicas"])) from error
        await self._event(autoscaler, "SuccessfulRescale", what)
        log.info("%s: %s", "/".join(key_of(autoscaler)), what)
        text = f"the HPA controller was able to update the target scale to {wanted}"
        return Condition("AbleToScale", True, "SucceededRescale", text)

    async def _event(
        self, autoscaler: Obj, reason: str, message: str, kind: str = "Normal"
    ) -> None:
        await self._client.event(autoscaler, reason, message, kind, component=COMPONENT)

    async def _write_status(self, autoscaler: Obj, status: Mapping[str, Any]) -> None:
        if all((autoscaler.get("status") or {}).get(key) == value for key, value in status.items()):
            return
        namespace, name = key_of(autoscaler)
        await self._client.patch(
            HPAS, name, namespace, {"status": dict(status)}, subresource="status"
        )


def _refused_scale(why: str) -> _RefusedError:
    text = f"the HPA controller was unable to get the target's current scale: {why}"
    return _RefusedError(Condition("AbleToScale", False, "FailedGetScale", text))
