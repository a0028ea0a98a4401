"""The deployment and replicaset controllers: clients of the API, decisions in ``rollout``."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Iterator, Mapping
from typing import Any, Final

from runner.targets.sandbox.apiclient import (
    DEPLOYMENTS,
    NAMESPACES,
    PODS,
    REPLICASETS,
    ApiClient,
    ApiError,
    Informer,
    Obj,
    key_of,
)
from runner.targets.sandbox.pods import (
    REVISION,
    controlled_by,
    is_active,
    is_ready,
    matches,
    pod_of,
    short_name,
    wants_proxy,
)
from runner.targets.sandbox.reconcile import CONFLICT, NOT_FOUND, FreshView, following, reconcile
from runner.targets.sandbox.rollout import (
    Action,
    CreateReplicaSet,
    DeleteReplicaSet,
    ScaleReplicaSet,
    SetRevision,
    newest,
    plan_replicas,
    plan_rollout,
    replicaset_status,
)
from runner.targets.sandbox.rollout_status import deployment_status
from runner.targets.sandbox.settings import SandboxSettings

log = logging.getLogger(__name__)

COMPONENT: Final = "deployment-controller"
# A ReplicaSet that asks for a thousand pods gets them in portions.
MAX_BURST: Final = 50


async def run_deployments(client: ApiClient, settings: SandboxSettings) -> None:
    """Keep every Deployment and ReplicaSet as its spec says; until cancelled.

    Raises:
        TargetError: The API server gave no lists at the start.
    """
    await _Workloads(client, settings).run()


class _Workloads:
    def __init__(self, client: ApiClient, settings: SandboxSettings) -> None:
        self._client = client
        self._seed = settings.seed
        self._grace_s = settings.default_grace_s
        self._wake = asyncio.Event()
        self._made: dict[str, int] = {}
        self._deployments = self._informer(DEPLOYMENTS)
        self._namespaces = self._informer(NAMESPACES)
        self._replicasets = self._informer(REPLICASETS)
        self._pods = self._informer(PODS)
        self._fresh_replicasets = FreshView(self._replicasets)
        self._fresh_pods = FreshView(self._pods)

    def _informer(self, res: Any) -> Informer:
        return Informer(self._client, res, on_change=lambda *_: self._wake.set())

    async def run(self) -> None:
        async with following(self._deployments, self._namespaces, self._replicasets, self._pods):
            await reconcile("deployments", self._wake, self._step)

    async def _step(self) -> float | None:
        for deployment in list(self._deployments.objects.values()):
            with _one_turn():
                await self._sync_deployment(deployment)
        again_s: float | None = None
        for replicaset in self._fresh_replicasets.objects():
            with _one_turn():
                if await self._sync_replicaset(replicaset):
                    again_s = 0.5
        return again_s

    async def _sync_deployment(self, deployment: Obj) -> None:
        mine = [dict(each) for each in self._controlled(deployment, self._fresh_replicasets)]
        for action in plan_rollout(deployment, mine):
            await self._do(deployment, action)
        mine = [dict(each) for each in self._controlled(deployment, self._fresh_replicasets)]
        await self._annotate(deployment, newest(deployment, mine))
        status = deployment_status(deployment, mine, time.time())
        await self._write_status(DEPLOYMENTS, deployment, status)

    def _controlled(self, owner: Obj, view: FreshView) -> list[Mapping[str, Any]]:
        selector = owner["spec"].get("selector") or {}
        return [
            each
            for each in controlled_by(owner, view.objects())
            if matches(selector, each["metadata"].get("labels") or {})
        ]

    async def _do(self, deployment: Obj, action: Action) -> None:
        namespace, name = key_of(deployment)
        match action:
            case CreateReplicaSet(body):
                self._fresh_replicasets.wrote(await self._client.create(REPLICASETS, body))
            case ScaleReplicaSet(replicaset, replicas):
                before = self._replicasets.objects.get((namespace, replicaset))
                change: Obj = {"spec": {"replicas": replicas}}
                await self._patch_replicaset(namespace, replicaset, change)
                had = before["spec"].get("replicas", 0) if before else 0
                way = "up" if replicas > had else "down"
                message = f"Scaled {way} replica set {replicaset} from {had} to {replicas}"
                await self._client.event(
                    deployment, "ScalingReplicaSet", message, component=COMPONENT
                )
            case SetRevision(replicaset, revision):
                change = {"metadata": {"annotations": {REVISION: str(revision)}}}
                await self._patch_replicaset(namespace, replicaset, change)
            case DeleteReplicaSet(replicaset):
                await self._client.delete(REPLICASETS, replicaset, namespace)
        log.info("%s/%s: %s", namespace, name, type(action).__name__)

    async def _patch_replicaset(self, namespace: str, name: str, change: Obj) -> None:
        answer = await self._client.patch(REPLICASETS, name, namespace, change)
        self._fresh_replicasets.wrote(answer)

    async def _annotate(self, deployment: Obj, new: Mapping[str, Any] | None) -> None:
        """Show the newest ReplicaSet's revision on the Deployment, where kubectl looks for it."""
        revision = ((new or {}).get("metadata", {}).get("annotations") or {}).get(REVISION)
        shown = (deployment["metadata"].get("annotations") or {}).get(REVISION)
        if revision is not None and revision != shown:
            namespace, name = key_of(deployment)
            change = {"metadata": {"annotations": {REVISION: revision}}}
            await self._client.patch(DEPLOYMENTS, name, namespace, change)

    async def _sync_replicaset(self, replicaset: Obj) -> bool:
        """Create or delete pods and write the status; True if time alone will change it."""
        pods = self._controlled(replicaset, self._fresh_pods)
        plan = plan_replicas(replicaset, pods)
        for _ in range(min(plan.create, MAX_BURST)):
            await self._create_pod(replicaset)
        for pod in plan.delete:
            await self._delete_pod(replicaset, dict(pod))
        pods = self._controlled(replicaset, self._fresh_pods)
        status = replicaset_status(replicaset, pods, time.time())
        written = await self._write_status(REPLICASETS, replicaset, status)
        if written is not None:
            self._fresh_replicasets.wrote(written)
        ready = sum(is_active(pod) and is_ready(pod) for pod in pods)
        return plan.create > MAX_BURST or ready > status["availableReplicas"]

    async def _create_pod(self, replicaset: Obj) -> None:
        namespace, name = key_of(replicaset)
        inject = wants_proxy(
            replicaset["spec"]["template"], self._namespaces.objects.get(("", namespace))
        )
        while True:
            number = self._made[name] = self._made.get(name, 0) + 1
            # Drawn from the seed, so that a fresh sandbox has the same pods every time.
            suffix = short_name(f"{self._seed}/{namespace}/{name}/{number}")
            try:
                made = pod_of(replicaset, suffix, inject=inject, grace_s=self._grace_s)
                pod = await self._client.create(PODS, made)
            except ApiError as error:
                if error.reason != "AlreadyExists":
                    raise
                continue
            break
        self._fresh_pods.wrote(pod)
        message = f"Created pod: {pod['metadata']['name']}"
        await self._client.event(
            replicaset, "SuccessfulCreate", message, component="replicaset-controller"
        )

    async def _delete_pod(self, replicaset: Obj, pod: Obj) -> None:
        namespace, name = key_of(pod)
        with contextlib.suppress(ApiError):  # gone already, or another pod of that name
            await self._client.delete(PODS, name, namespace, uid=pod["metadata"]["uid"])
        self._fresh_pods.deleted(pod)
        await self._client.event(
            replicaset,
            "SuccessfulDelete",
            f"Deleted pod: {name}",
            component="replicaset-controller",
        )

    async def _write_status(self, res: Any, obj: Obj, status: Obj) -> Obj | None:
        if all(obj.get("status", {}).get(key) == value for key, value in status.items()):
            return None
        namespace, name = key_of(obj)
        return await self._client.patch(
            res, name, namespace, {"status": status}, subresource="status"
        )


@contextlib.contextmanager
def _one_turn() -> Iterator[None]:
    """End one object's turn, not everybody's, when it has changed or gone meanwhile."""
    try:
        yield
    except ApiError as error:
        if error.status not in (NOT_FOUND, CONFLICT):
            raise
        log.debug("%s", error.message)
