"""The API server as a process: who is let in, and what ApiClient and Informer see of it."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from api_rig import Server, api_server, deployment, pod

from runner.errors import TargetError
from runner.targets.sandbox.apiclient import (
    CONFIGMAPS,
    DEPLOYMENTS,
    ENVOYFILTERS,
    EVENTS,
    NAMESPACES,
    PODS,
    VIRTUALSERVICES,
    ApiClient,
    ApiError,
    Informer,
)
from runner.targets.sandbox.apiserver import serve

pytestmark = pytest.mark.sandbox
NS = "shop"
STEP_S = 5.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with api_server(tmp_path_factory.mktemp("api") / "sandbox-blue") as running:
        running.api.post("/api/v1/namespaces", {"metadata": {"name": NS}})
        yield running


def test_kubeconfig_is_private_and_names_the_sandbox(server: Server) -> None:
    """Mode 0600, everything else in the home too, one context after the home's name."""
    config = json.loads(server.kubeconfig.read_text())
    assert config["current-context"] == "seatrial-blue"
    assert config["contexts"][0]["context"]["namespace"] == "ecommerce"
    assert stat.S_IMODE(server.kubeconfig.stat().st_mode) == 0o600
    assert stat.S_IMODE(server.home.stat().st_mode) == 0o700
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (server.home / "pki").iterdir()}
    assert modes == {0o600}
    assert b"PRIVATE" not in (server.home / "pki" / "ca.pem").read_bytes()


@pytest.mark.parametrize(
    ("headers", "code", "reason"),
    [
        ({"Authorization": ""}, 401, "Unauthorized"),
        ({"Authorization": "Bearer wrong"}, 401, "Unauthorized"),
        ({"Authorization": "Basic wrong"}, 401, "Unauthorized"),
        ({"Host": "evil.example"}, 421, "MisdirectedRequest"),
        ({"Host": "127.0.0.1"}, 421, "MisdirectedRequest"),
    ],
)
@pytest.mark.parametrize("path", ["/api/v1/pods", "/healthz", "/version", "/nothing"])
def test_strangers_learn_nothing(
    server: Server, path: str, headers: dict[str, str], code: int, reason: str
) -> None:
    """Without the token, or under a foreign Host, every path answers the same refusal."""
    status, answer = server.api.send("GET", path, **headers)
    assert (status, answer["kind"], answer["reason"]) == (code, "Status", reason)


def test_listens_on_loopback_only_and_refuses_old_tls(server: Server) -> None:
    """The socket is bound to 127.0.0.1; a TLS 1.1 client is turned away."""
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.2", server.api.port), timeout=2).close()
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    with (
        socket.create_connection(("127.0.0.1", server.api.port), timeout=2) as raw,
        pytest.raises(ssl.SSLError),
    ):
        old.wrap_socket(raw)


def test_unknown_namespace_and_wrong_token_are_api_errors(server: Server) -> None:
    """ApiClient turns refusals into ApiError with status, reason and message."""

    async def scene() -> tuple[ApiError, ApiError]:
        async with ApiClient.from_kubeconfig(server.kubeconfig) as client:
            with pytest.raises(ApiError) as missing:
                await client.create(PODS, pod("a"), "nowhere")
            client.session.headers["Authorization"] = "Bearer wrong"
            with pytest.raises(ApiError) as stranger:
                await client.list(PODS)
        return missing.value, stranger.value

    missing, stranger = asyncio.run(scene())
    assert (missing.status, missing.reason) == (404, "NotFound")
    assert missing.message == 'namespaces "nowhere" not found'
    assert (stranger.status, stranger.reason) == (401, "Unauthorized")


def test_client_does_all_it_promises(server: Server) -> None:
    """Create, get, list, replace (and its conflict), the four patches, delete with a UID."""

    async def scene() -> dict[str, Any]:
        seen: dict[str, Any] = {}
        async with ApiClient.from_kubeconfig(server.kubeconfig, component="tester") as client:
            made = await client.create(DEPLOYMENTS, deployment("all"), NS)
            replaced = await client.replace(
                DEPLOYMENTS, made | {"spec": made["spec"] | {"replicas": 3}}
            )
            with pytest.raises(ApiError) as stale:
                await client.replace(DEPLOYMENTS, made)
            seen["stale"] = stale.value.status, replaced["spec"]["replicas"]
            where = (DEPLOYMENTS, "all", NS)
            await client.patch(*where, {"metadata": {"labels": {"a": "1"}}})
            operation = {"op": "add", "path": "/metadata/labels/b", "value": "2"}
            await client.patch(*where, [operation], kind="json")
            container = {"name": "app", "tty": True}
            template = {"spec": {"containers": [container]}}
            await client.patch(*where, {"spec": {"template": template}}, kind="strategic")
            config = {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": {"labels": {"c": "3"}},
            }
            await client.patch(*where, config, kind="apply")
            await client.patch(*where, {"status": {"replicas": 3}}, subresource="status")
            live = await client.get(*where)
            seen["labels"] = live["metadata"]["labels"]
            seen["container"] = live["spec"]["template"]["spec"]["containers"][0]["image"]
            seen["status"] = live["status"]
            found, version = await client.list(
                DEPLOYMENTS, NS, labels="c=3", fields="spec.replicas=3"
            )
            seen["list"] = (
                [one["metadata"]["name"] for one in found],
                found[0]["kind"],
                int(version) > 0,
            )
            with pytest.raises(ApiError) as other:
                await client.delete(*where, uid="other")
            seen["other"] = other.value.status
            await client.delete(*where, uid=live["metadata"]["uid"])
            with pytest.raises(ApiError) as gone:
                await client.get(*where)
            seen["gone"] = gone.value.status, gone.value.reason
        return seen

    assert asyncio.run(scene()) == {
        "stale": (409, 3),
        "labels": {"app": "all", "a": "1", "b": "2", "c": "3"},
        "container": "seatrial.dev/shop:1",
        "status": {"replicas": 3},
        "list": (["all"], "Deployment", True),
        "other": 409,
        "gone": (404, "NotFound"),
    }


def test_events_are_counted_not_repeated(server: Server) -> None:
    """Three equal events are one object with count 3; another message is a second one."""

    async def scene() -> list[tuple[str, int, str]]:
        async with ApiClient.from_kubeconfig(server.kubeconfig, component="mesh") as client:
            about = await client.create(CONFIGMAPS, {"metadata": {"name": "told"}}, NS)
            for _ in range(3):
                await client.event(about, "FieldNotHonoured", "spec.tls", "Warning")
            await client.event(about, "FieldNotHonoured", "spec.other", "Warning")
            found, _ = await client.list(EVENTS, NS, fields="involvedObject.name=told")
            return sorted((e["message"], e["count"], e["source"]["component"]) for e in found)

    assert asyncio.run(scene()) == [("spec.other", 1, "mesh"), ("spec.tls", 3, "mesh")]


async def until(condition: Any) -> None:
    async with asyncio.timeout(STEP_S):
        while not condition():
            await asyncio.sleep(0.01)


def test_informer_follows_and_survives_a_restart_of_the_server(tmp_path: Path) -> None:
    """Changes arrive in order; after a restart with other objects the copy is right.

    The second life of the server has none of the first one's objects, so the informer must say
    that they are deleted, and must not miss what is new.
    """

    async def scene() -> list[tuple[str, str]]:
        seen: list[tuple[str, str]] = []
        home = tmp_path / "sandbox-x"
        first = await serve(home, 0, "secret")
        port = int(first.url.rpartition(":")[2])
        client = ApiClient.from_kubeconfig(first.kubeconfig)
        informer = Informer(
            client, NAMESPACES, None, lambda kind, obj: seen.append((kind, obj["metadata"]["name"]))
        )
        task = asyncio.create_task(informer.run())
        try:
            await informer.synced(STEP_S)
            seen.clear()
            await client.create(NAMESPACES, {"metadata": {"name": "one"}})
            await client.patch(NAMESPACES, "one", None, {"metadata": {"labels": {"a": "b"}}})
            await until(lambda: len(seen) == 2)
            await first.close()
            second = await serve(home, port, "secret")
            other = ApiClient.from_kubeconfig(second.kubeconfig)
            await other.create(NAMESPACES, {"metadata": {"name": "two"}})
            await other.close()
            # The certificate is a new one: the informer's client must be told, as a restart would.
            client.endpoint = ApiClient.from_kubeconfig(second.kubeconfig).endpoint
            await client.close()
            await until(lambda: ("", "two") in informer.objects)
            await until(lambda: ("", "one") not in informer.objects)
            await second.close()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await client.close()
        return seen

    seen = asyncio.run(scene())
    assert seen[:2] == [("ADDED", "one"), ("MODIFIED", "one")]
    assert [entry for entry in seen if entry[1] in {"one", "two"}][2:] == [
        ("DELETED", "one"),
        ("ADDED", "two"),
    ]


def test_a_reader_that_raises_does_not_stop_the_informer(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    """The error is logged and the copy goes on."""

    def explode(_kind: str, _obj: dict[str, Any]) -> None:
        raise ValueError("boom")

    async def scene() -> bool:
        async with ApiClient.from_kubeconfig(server.kubeconfig) as client:
            informer = Informer(client, NAMESPACES, None, explode)
            task = asyncio.create_task(informer.run())
            await informer.synced(STEP_S)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            return ("", NS) in informer.objects

    assert asyncio.run(scene())
    assert "boom" in caplog.text


def test_an_unreachable_server_is_a_target_error(tmp_path: Path) -> None:
    """Nothing listens: requests and ``synced`` fail with a bound, and say what was wanted."""

    async def scene() -> None:
        handle = await serve(tmp_path / "sandbox-y", 0, "secret")
        client = ApiClient.from_kubeconfig(handle.kubeconfig)
        await handle.close()
        with pytest.raises(TargetError, match="GET https://127"):
            await client.list(PODS)
        informer = Informer(client, PODS)
        task = asyncio.create_task(informer.run())
        with pytest.raises(TargetError, match=r"no list of pods .* within 0\.05 s"):
            await informer.synced(0.05)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await client.close()

    asyncio.run(scene())


def test_a_taken_port_is_named(server: Server, tmp_path: Path) -> None:
    """A second server on the same port fails at once and leaves no kubeconfig."""
    with pytest.raises(TargetError, match=f"127.0.0.1:{server.api.port}: Address already in use"):
        asyncio.run(serve(tmp_path / "sandbox-z", server.api.port, "secret"))
    assert not (tmp_path / "sandbox-z" / "kubeconfig").exists()


def test_istio_objects_are_one_under_all_versions(server: Server) -> None:
    """Created under v1, seen and patched under v1alpha3; EnvoyFilter by its real version."""

    async def scene() -> tuple[Any, ...]:
        old = VIRTUALSERVICES._replace(version="v1alpha3")
        async with ApiClient.from_kubeconfig(server.kubeconfig) as client:
            made = await client.create(
                VIRTUALSERVICES, {"metadata": {"name": "v"}, "spec": {"hosts": ["a"]}}, NS
            )
            patched = await client.patch(old, "v", NS, {"spec": {"hosts": ["b"]}})
            new = await client.get(VIRTUALSERVICES, "v", NS)
            filters = await client.create(
                ENVOYFILTERS, {"metadata": {"name": "f"}, "spec": {"configPatches": []}}, NS
            )
            same = made["metadata"]["uid"] == new["metadata"]["uid"]
            return (
                patched["apiVersion"],
                new["apiVersion"],
                new["spec"],
                same,
                filters["apiVersion"],
            )

    assert asyncio.run(scene()) == (
        "networking.istio.io/v1alpha3",
        "networking.istio.io/v1",
        {"hosts": ["b"]},
        True,
        "networking.istio.io/v1alpha3",
    )


def test_watch_resumes_ends_in_time_and_marks_its_place(server: Server) -> None:
    """A watch of one second from an old version: the change since, then a bookmark at its end."""
    path = f"/api/v1/namespaces/{NS}/configmaps"
    version = server.api.get(path)["metadata"]["resourceVersion"]
    server.api.post(path, {"metadata": {"name": "later"}})

    async def scene() -> list[tuple[str, dict[str, Any]]]:
        async with ApiClient.from_kubeconfig(server.kubeconfig) as client:
            url = client.url(CONFIGMAPS, NS)
            query = {"watch": "True", "resourceVersion": version, "timeoutSeconds": "1"}
            query["allowWatchBookmarks"] = "true"
            async with client.session.get(url, params=query) as response:
                lines = [json.loads(line) async for line in response.content]
        return [(line["type"], line["object"]) for line in lines]

    events = asyncio.run(scene())
    assert [kind for kind, _ in events] == ["ADDED", "BOOKMARK"]
    assert events[0][1]["metadata"]["name"] == "later"
    assert events[0][1]["kind"] == "ConfigMap"
    assert events[1][1]["kind"] == "ConfigMap"
    reached = int(events[1][1]["metadata"]["resourceVersion"])
    assert reached >= int(events[0][1]["metadata"]["resourceVersion"])


def test_a_watch_from_a_forgotten_version_is_told_to_list_again(server: Server) -> None:
    """The answer is a stream whose only event is an ERROR with a Status of 410."""
    path = f"/api/v1/namespaces/{NS}/configmaps?watch=1&resourceVersion=5"
    status, event = server.api.send("GET", path)
    assert (status, event["type"]) == (200, "ERROR")
    assert (event["object"]["code"], event["object"]["reason"]) == (410, "Expired")
