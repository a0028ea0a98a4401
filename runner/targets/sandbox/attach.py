"""Dealings with an API server as a guest: log-in, identity of kinds, versions, cleaning up.

The same for the sandbox's own server and for one that runs elsewhere.
"""

from __future__ import annotations

import contextlib
import json
import math
import secrets
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import aiohttp

from runner.errors import TargetBusyError, TargetError
from runner.targets.sandbox.apiclient import (
    DEPLOYMENTS,
    DESTINATIONRULES,
    GATEWAYS,
    HPAS,
    NAMESPACES,
    NODES,
    PODS,
    SERVICES,
    VIRTUALSERVICES,
    ApiClient,
    ApiError,
    Obj,
    Resource,
)
from runner.targets.sandbox.settings import NODE_NAME, SandboxSettings
from runner.targets.sandbox.state import write_atomically

_KINDS: Final = {
    (resource.api_version, resource.kind): resource
    for resource in (
        NAMESPACES,
        SERVICES,
        GATEWAYS,
        VIRTUALSERVICES,
        DESTINATIONRULES,
        DEPLOYMENTS,
        HPAS,
    )
}
HEARTBEAT_LIMIT_S: Final = 30.0
_FEW: Final = 3
_FILE_KEYS: Final = ("certificate-authority", "client-certificate", "client-key", "tokenFile")


def new_token() -> str:
    """A bearer token with 256 bits of entropy."""
    return secrets.token_urlsafe(32)


def resource_of(obj: Obj) -> Resource:
    """The kind of one of the shop's objects."""
    return _KINDS[obj["apiVersion"], obj["kind"]]


def copy_kubeconfig(source: Path, target: Path) -> None:
    """Copy a kubeconfig (mode 0600); relative file names in it are made absolute.

    Raises:
        TargetError: When it cannot be read.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        document = YAML(typ="safe", pure=True).load(source.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, YAMLError) as error:
        raise TargetError(f"{source}: cannot read the kubeconfig: {error}") from error
    if not isinstance(document, dict):
        raise TargetError(f"{source}: not a kubeconfig", accepted="a YAML mapping of kind Config")
    for section, key in (("clusters", "cluster"), ("users", "user")):
        for entry in document.get(section) or ():
            _make_absolute(entry.get(key) or {}, source.absolute().parent)
    write_atomically(target, json.dumps(document, default=str))


def _make_absolute(section: dict[str, Any], folder: Path) -> None:
    for key in _FILE_KEYS:
        if section.get(key):
            section[key] = str(folder / section[key])


async def check_reachable(client: ApiClient) -> None:
    """Ask the API server for its version.

    Raises:
        TargetError: When there is no answer, or it refuses us.
    """
    try:
        await client.list(NAMESPACES)
    except TargetError as error:
        raise TargetError(
            f"the API server {client.endpoint.server} cannot be used: {error.message}",
            hint="is it running, and is the kubeconfig's credential valid there?",
        ) from error


async def check_bare(client: ApiClient) -> None:
    """Refuse an API server that belongs to somebody: ours would run, and end, his pods.

    Raises:
        TargetError: When it has nodes of its own.
        TargetBusyError: When another sandbox is attached to it (or was, some seconds ago).
    """
    nodes, _ = await client.list(NODES)
    strangers = [node["metadata"]["name"] for node in nodes if not _is_ours(node)]
    if strangers:
        raise TargetError(
            f"the API server {client.endpoint.server} is a cluster's, with nodes of its own: "
            + ", ".join(strangers[:_FEW]),
            accepted="an API server without nodes",
            hint="to test a cluster, name it as the target of the run instead",
        )
    if any(_heartbeat_age_s(node) < HEARTBEAT_LIMIT_S for node in nodes):
        raise TargetBusyError(
            f"another sandbox is attached to the API server {client.endpoint.server}",
            hint=f"take it down; a killed one is forgotten after {HEARTBEAT_LIMIT_S:g} s",
        )


def _is_ours(node: Obj) -> bool:
    name = str(node["metadata"]["name"])
    return name == NODE_NAME or name.startswith(f"{NODE_NAME}-")


def _heartbeat_age_s(node: Obj) -> float:
    """Seconds since the node last said that it is ready; infinite when it does not say so."""
    for condition in node.get("status", {}).get("conditions") or ():
        if condition.get("type") == "Ready" and condition.get("status") == "True":
            with contextlib.suppress(KeyError, ValueError):
                seen = datetime.fromisoformat(condition["lastHeartbeatTime"])
                return (datetime.now(UTC) - seen).total_seconds()
    return math.inf


async def versions(
    settings: SandboxSettings, client: ApiClient, session: aiohttp.ClientSession
) -> dict[str, str]:
    """The version of each real part; a part that does not tell is left out."""
    found = {}
    with contextlib.suppress(TargetError, KeyError):
        answer = await client.request("GET", f"{client.endpoint.server}/version")
        found["kubernetes"] = str(answer["gitVersion"])
    envoy = await _get_json(session, settings.envoy_admin_port, "/server_info")
    if envoy.get("version"):
        # <revision>/<version>/<state>/<build type>/<TLS library>
        found["envoy"] = str(envoy["version"]).partition("/")[2].partition("/")[0]
    prometheus = await _get_json(session, settings.prometheus_port, "/api/v1/status/buildinfo")
    if version := (prometheus.get("data") or {}).get("version"):
        found["prometheus"] = str(version)
    return found


async def leave(client: ApiClient, applied: Iterable[Obj]) -> None:
    """Take our things along from a foreign API server, after all parts have stopped.

    That is what this sandbox had created (the newest first), and the nodes with their pods: their
    processes have ended, and no kubelet is left that could say so.
    """
    for obj in reversed(list(applied)):
        await _delete(client, resource_of(obj), obj["metadata"])
    nodes, _ = await client.list(NODES)
    for name in [node["metadata"]["name"] for node in nodes if _is_ours(node)]:
        pods, _ = await client.list(PODS, fields=f"spec.nodeName={name}")
        for pod in pods:
            await _delete(client, PODS, pod["metadata"])
        await _delete(client, NODES, {"name": name})


async def _delete(client: ApiClient, resource: Resource, metadata: Mapping[str, Any]) -> None:
    with contextlib.suppress(ApiError):
        await client.delete(resource, metadata["name"], metadata.get("namespace"), grace_s=0)


async def _get_json(session: aiohttp.ClientSession, port: int, path: str) -> dict[str, Any]:
    try:
        timeout = aiohttp.ClientTimeout(total=2.0)
        async with session.get(f"http://127.0.0.1:{port}{path}", timeout=timeout) as response:
            document = json.loads(await response.read())
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}
