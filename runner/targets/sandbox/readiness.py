"""Is the sandbox ready? Every part is asked, from the outside, what a run would ask of it.

The judgements are pure functions over what was read; :func:`missing` reads it. What is missing
is said in words, because those words are what a user sees while he waits.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

import aiohttp

from runner.targets.sandbox.apiclient import DEPLOYMENTS, ENDPOINTS, PODS, ApiClient
from runner.targets.sandbox.manifests import SERVICES
from runner.targets.sandbox.prometheus import JOB_ENVOY, JOB_PODS
from runner.targets.sandbox.settings import HOST, SandboxSettings

Object = Mapping[str, Any]

_REQUEST_LIMIT_S: Final = 3.0
_HTTP_OK: Final = 200


def is_pod_ready(pod: Object) -> bool:
    """True for a pod whose condition Ready is True and that is not being deleted."""
    if pod["metadata"].get("deletionTimestamp"):
        return False
    conditions = pod.get("status", {}).get("conditions") or ()
    return any(c.get("type") == "Ready" and c.get("status") == "True" for c in conditions)


def unready_deployments(deployments: Iterable[Object], pods: Iterable[Object]) -> list[str]:
    """Which Deployments have fewer ready pods than they should, as ``name 1/2``."""
    ready = [pod for pod in pods if is_pod_ready(pod)]
    found = []
    for deployment in deployments:
        wanted = int(deployment["spec"].get("replicas", 1))
        selector = deployment["spec"].get("selector", {}).get("matchLabels") or {}
        have = sum(1 for pod in ready if _is_selected(pod, selector))
        if have < wanted:
            found.append(f"{deployment['metadata']['name']} {have}/{wanted}")
    return found


def thin_endpoints(deployments: Iterable[Object], endpoints: Iterable[Object]) -> list[str]:
    """Which of the shop's services have fewer addresses than their Deployment has replicas."""
    addresses = {item["metadata"]["name"]: _count_addresses(item) for item in endpoints}
    found = []
    for deployment in deployments:
        name = deployment["metadata"]["name"]
        wanted = int(deployment["spec"].get("replicas", 1))
        if any(service.name == name for service in SERVICES) and addresses.get(name, 0) < wanted:
            found.append(f"{name} {addresses.get(name, 0)}/{wanted}")
    return found


def silent_targets(answer: Mapping[str, Any]) -> list[str]:
    """Which scrape jobs have no successful scrape in Prometheus' answer to ``up``."""
    results = answer.get("data", {}).get("result") or ()
    good = {item["metric"].get("job") for item in results if item["value"][1] == "1"}
    return [job for job in (JOB_ENVOY, JOB_PODS) if job not in good]


async def missing(
    client: ApiClient, settings: SandboxSettings, session: aiohttp.ClientSession
) -> str:
    """What is still missing before the sandbox can be used; empty when it is ready."""
    deployments, _ = await client.list(DEPLOYMENTS, settings.namespace)
    pods, _ = await client.list(PODS, settings.namespace)
    if not deployments:
        return f"no Deployment in the namespace {settings.namespace}"
    if unready := unready_deployments(deployments, pods):
        return "pods not ready: " + ", ".join(unready)
    endpoints, _ = await client.list(ENDPOINTS, settings.namespace)
    if thin := thin_endpoints(deployments, endpoints):
        return "endpoints not complete: " + ", ".join(thin)
    names = {deployment["metadata"]["name"] for deployment in deployments}
    if dead := await _dead_routes(session, settings, names):
        return "the gateway does not answer 200: " + ", ".join(dead)
    if silent := await _silent_jobs(session, settings):
        return "Prometheus has no sample yet of: " + ", ".join(silent)
    return ""


async def _dead_routes(
    session: aiohttp.ClientSession, settings: SandboxSettings, names: set[str]
) -> list[str]:
    routes = [service.route for service in SERVICES if service.name in names]
    base = f"http://127.0.0.1:{settings.ingress_port}"
    answers = await asyncio.gather(*(_get_status(session, base + route) for route in routes))
    return [
        f"{route} ({answer})"
        for route, answer in zip(routes, answers, strict=True)
        if answer != str(_HTTP_OK)
    ]


async def _get_status(session: aiohttp.ClientSession, url: str) -> str:
    try:
        async with (
            asyncio.timeout(_REQUEST_LIMIT_S),
            session.get(url, headers={"Host": HOST}) as response,
        ):
            await response.read()
            return str(response.status)
    except (aiohttp.ClientError, OSError):
        return "no answer"
    except TimeoutError:
        return "too slow"


async def _silent_jobs(session: aiohttp.ClientSession, settings: SandboxSettings) -> list[str]:
    url = f"http://127.0.0.1:{settings.prometheus_port}/api/v1/query"
    try:
        async with (
            asyncio.timeout(_REQUEST_LIMIT_S),
            session.get(url, params={"query": "up"}) as response,
        ):
            return silent_targets(json.loads(await response.read()))
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError):
        return [JOB_ENVOY, JOB_PODS]


def _is_selected(pod: Object, selector: Mapping[str, str]) -> bool:
    labels = pod["metadata"].get("labels") or {}
    return bool(selector) and all(labels.get(key) == value for key, value in selector.items())


def _count_addresses(endpoints: Object) -> int:
    subsets = endpoints.get("subsets") or ()
    return max((len(subset.get("addresses") or ()) for subset in subsets), default=0)
