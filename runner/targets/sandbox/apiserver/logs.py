"""Pod logs: passed on from the kubelet of the pod's node."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from urllib.parse import quote

import aiohttp
from aiohttp import web

from runner.targets.sandbox.apiobjects import Obj
from runner.targets.sandbox.apiserver.errors import StatusError, bad_request
from runner.targets.sandbox.apiserver.kinds import NODES
from runner.targets.sandbox.apiserver.store import Store

log = logging.getLogger(__name__)

CONNECT_TIMEOUT_S = 5.0
LOG_MAX_S = 1800.0
PASSED_ON = (
    "follow",
    "tailLines",
    "sinceSeconds",
    "sinceTime",
    "timestamps",
    "previous",
    "limitBytes",
)


def log_url(store: Store, pod: Obj, query: Mapping[str, str]) -> str:
    """Where the log of a pod's container is.

    Raises:
        StatusError: 400 when the pod has no node yet or the container is unknown; 502 when the
            node does not say where its kubelet is.
    """
    name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
    declared = [one["name"] for one in pod["spec"]["containers"]]
    running = [one["name"] for one in pod.get("status", {}).get("containerStatuses") or []]
    containers = list(dict.fromkeys([*declared, *running]))
    container = query.get("container") or declared[0]
    if container not in containers:
        message = f"container {container} is not valid for pod {name}"
        raise bad_request(f"{message}; it has: {', '.join(containers)}")
    node = store.get(NODES, "", pod["spec"].get("nodeName") or "")
    if node is None:
        raise bad_request(f'container "{container}" in pod "{name}" is waiting to start: no node')
    status = node.get("status") or {}
    addresses = {one["type"]: one["address"] for one in status.get("addresses") or []}
    port = ((status.get("daemonEndpoints") or {}).get("kubeletEndpoint") or {}).get("Port")
    if "InternalIP" not in addresses or not port:
        raise StatusError(502, f"node {node['metadata']['name']} does not say where its kubelet is")
    path = "/".join(quote(part, safe="") for part in (namespace, name, container))
    return f"http://{addresses['InternalIP']}:{port}/containerLogs/{path}"


async def pass_log(
    request: web.Request, session: aiohttp.ClientSession, url: str, token: str
) -> web.StreamResponse:
    """Answer a request with what the kubelet says, as it comes.

    Raises:
        StatusError: 502 when the kubelet cannot be reached, else the kubelet's own refusal.
    """
    query = {name: request.query[name] for name in PASSED_ON if name in request.query}
    timeout = aiohttp.ClientTimeout(total=LOG_MAX_S, sock_connect=CONNECT_TIMEOUT_S)
    headers = {"Authorization": f"Bearer {token}"}
    response = web.StreamResponse(headers={"Content-Type": "text/plain; charset=utf-8"})
    try:
        async with session.get(url, params=query, headers=headers, timeout=timeout) as answer:
            if answer.status >= 400:
                text = (await answer.text())[:2000]
                raise StatusError(answer.status, text.strip() or f"kubelet: {answer.status}")
            await response.prepare(request)
            async for chunk in answer.content.iter_any():
                await response.write(chunk)
            await response.write_eof()
    except ConnectionResetError:
        log.debug("the reader of %s has gone", url)
    except (aiohttp.ClientError, TimeoutError) as error:
        if not response.prepared:
            raise StatusError(502, f"cannot reach the kubelet at {url}: {error}") from error
        log.info("the log at %s broke off: %r", url, error)
        await response.write_eof()
    return response
