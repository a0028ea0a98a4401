"""Updates of the real Envoy: what it rejects, what stays in force, pods that come and go."""

from __future__ import annotations

import asyncio
import socket
import sys
from pathlib import Path

import aiohttp
import pytest
from mesh_rig import (
    MeshRig,
    Obj,
    destination_rule,
    inbound_fault,
    on_mesh,
    settings_in,
    to,
    virtual_service,
)

from runner.errors import MissingPartError, TargetError
from runner.targets.sandbox.mesh.envoy import EnvoyProcess, find_envoy

BROKEN = [{"match": [{"uri": {"regex": "("}}], "route": [to("shop")]}]


def good(status: int) -> Obj:
    """A VirtualService that answers every request with this status."""
    return virtual_service("shop", [{"directResponse": {"status": status}}])


@on_mesh
async def test_rejected_update_keeps_what_was_and_names_the_object(rig: MeshRig) -> None:
    """A regular expression that Envoy cannot read: the old route stays, the reason is told."""
    await rig.service("shop", ["v1"])
    await rig.apply(good(201))
    assert rig.trials.rejected == []

    await rig.apply(virtual_service("shop", BROKEN))

    assert (await rig.get("/")).status == 201
    (rejected,) = rig.trials.rejected
    assert rejected.ref is not None
    assert (rejected.ref.kind, rejected.ref.name) == ("VirtualService", "shop")
    assert "missing )" in rejected.reason or "no argument" in rejected.reason


@on_mesh
async def test_rejected_object_does_not_stop_the_others(rig: MeshRig) -> None:
    """With a bad object in place, another one is created, changed and in force each time."""
    await rig.service("shop", ["v1"])
    await rig.service("other", ["v1"])
    bad = virtual_service("shop", BROKEN)
    for status in (201, 202):
        other = virtual_service(
            "other", [{"directResponse": {"status": status}}], hosts=["other.test"]
        )
        await rig.apply(bad, other)
        assert (await rig.get("/", host="other.test")).status == status
        assert len(rig.trials.rejected) == 1


@on_mesh
async def test_corrected_object_is_in_force_and_no_longer_rejected(rig: MeshRig) -> None:
    """First bad from the start, then corrected."""
    await rig.service("shop", ["v1"])
    await rig.apply(virtual_service("shop", BROKEN))
    assert (await rig.get("/")).status == 404
    assert len(rig.trials.rejected) == 1

    await rig.apply(good(203))

    assert (await rig.get("/")).status == 203
    assert rig.trials.rejected == []


@on_mesh
async def test_deleted_bad_object_is_forgotten(rig: MeshRig) -> None:
    """The bad object goes: nothing is rejected any more."""
    await rig.service("shop", ["v1"])
    await rig.apply(virtual_service("shop", BROKEN))
    await rig.apply()
    assert rig.trials.rejected == []


@on_mesh
async def test_of_two_changes_at_once_only_the_bad_one_is_set_aside(rig: MeshRig) -> None:
    """Two objects change in one update, one cannot be read: the other must be in force."""
    await rig.service("shop", ["v1"])
    await rig.service("other", ["v1"])
    answer = [{"directResponse": {"status": 207}}]
    fine = virtual_service("other", answer, hosts=["other.test"], age=5)

    await rig.apply(virtual_service("shop", BROKEN), fine)

    assert (await rig.get("/", host="other.test")).status == 207
    assert [str(item.ref) for item in rig.trials.rejected] == ["VirtualService ecommerce/shop"]


@on_mesh
async def test_bad_inbound_fault_is_rejected_without_a_lost_request(rig: MeshRig) -> None:
    """An EnvoyFilter with a field that HTTPFault does not have, under load: no request fails."""
    await rig.service("shop")
    route = virtual_service("shop", [{"route": [to("shop")], "retries": {"attempts": 0}}])
    await rig.apply(route)
    statuses: list[int] = []
    over = asyncio.Event()

    async def hammer() -> None:
        while not over.is_set():
            statuses.append((await rig.get("/")).status)

    fault = {"abort": {"http_status": 503, "percentage": {"numerator": 100}}, "abrot": {}}
    async with asyncio.TaskGroup() as tasks:
        for _ in range(3):
            tasks.create_task(hammer())
        await rig.apply(route, inbound_fault("typo", {"app": "shop"}, fault))
        over.set()

    assert set(statuses) == {200}
    (rejected,) = rig.trials.rejected
    assert rejected.ref is not None
    assert (rejected.ref.kind, rejected.ref.name) == ("EnvoyFilter", "typo")
    assert "abrot" in rejected.reason


@on_mesh
async def test_one_typo_after_another_is_seen_each_time(rig: MeshRig) -> None:
    """Three EnvoyFilters that Envoy rejects, one after another, for the same pod."""
    await rig.service("shop", ["v1"])
    route = virtual_service("shop", [{"route": [to("shop")]}])
    for typo in ("abrot", "abotr", "aborr"):
        fault = inbound_fault("typo", {"app": "shop"}, {typo: {}})
        await rig.apply(route, fault)
        (rejected,) = rig.trials.rejected
        assert typo in rejected.reason
        await rig.apply(route)
        assert rig.trials.rejected == []
    right = {"abort": {"http_status": 555, "percentage": {"numerator": 100}}}
    await rig.apply(route, inbound_fault("typo", {"app": "shop"}, right))
    assert (await rig.get("/")).status == 555


@on_mesh
async def test_taken_ingress_port_is_told_and_nobody_is_blamed(rig: MeshRig) -> None:
    """Another program holds the ingress port: the reason names it, objects are taken, and when
    the port is free again the next update serves it."""
    await rig.service("shop", ["v1"])
    with socket.create_server(("127.0.0.1", rig.settings.ingress_port)):
        await rig.apply(good(201))
        (trouble,) = rig.trials.rejected
        assert trouble.ref is None
        assert str(rig.settings.ingress_port) in trouble.reason
        assert "in use" in trouble.reason
        await rig.apply(good(202))
        assert [item.ref for item in rig.trials.rejected] == [None]
    await rig.apply(good(202))
    assert rig.trials.rejected == []
    assert (await rig.get("/")).status == 202


@on_mesh
async def test_bad_cluster_is_rejected_and_the_old_one_stays(rig: MeshRig) -> None:
    """A Maglev table of a size that is not prime: the breaker before it stays."""
    await rig.service("shop", ["v1"])
    route = virtual_service("shop", [{"route": [to("shop")]}])
    pool = {"connectionPool": {"http": {"http2MaxRequests": 7}}}
    await rig.apply(route, destination_rule("shop", pool))
    table = {"loadBalancer": {"consistentHash": {"useSourceIp": True, "maglev": {"tableSize": 4}}}}

    config = await rig.apply(route, destination_rule("shop", pool | table))

    assert [str(item.ref) for item in rig.trials.rejected] == ["DestinationRule ecommerce/shop"]
    assert (await rig.get("/")).status == 200
    cluster = config.clusters["outbound|80||shop.ecommerce.svc.cluster.local@istio-ingressgateway"]
    assert cluster["lb_policy"] == "LEAST_REQUEST"
    remaining = await rig.envoy.stats("shop.*circuit_breakers.default.remaining_rq$")
    assert set(remaining.values()) == {7}


@on_mesh
async def test_three_bad_objects_at_once_are_three_rejections(rig: MeshRig) -> None:
    """A bad cluster, a bad route and a bad fault from the start, and a good route beside them."""
    await rig.service("shop", ["v1"])
    table = {"loadBalancer": {"consistentHash": {"useSourceIp": True, "maglev": {"tableSize": 4}}}}
    fine = virtual_service("other", [{"directResponse": {"status": 207}}], hosts=["other.test"])
    await rig.apply(
        destination_rule("shop", table),
        virtual_service("shop", BROKEN),
        inbound_fault("typo", {"app": "shop"}, {"abrot": {}}),
        fine,
    )
    found = [(item.ref.kind, item.ref.name) for item in rig.trials.rejected if item.ref]
    assert found == [
        ("DestinationRule", "shop"),
        ("VirtualService", "shop"),
        ("EnvoyFilter", "typo"),
    ]
    assert (await rig.get("/", host="other.test")).status == 207


@on_mesh
async def test_inbound_faults_come_and_go_under_load_without_a_lost_request(rig: MeshRig) -> None:
    """An inbound delay of nothing is put before both pods and removed, under load."""
    pods = await rig.service("shop")
    route = virtual_service("shop", [{"route": [to("shop")], "retries": {"attempts": 0}}])
    delay = {"fixed_delay": "0.001s", "percentage": {"numerator": 100}}
    await rig.apply(route)
    statuses: list[int] = []
    over = asyncio.Event()

    async def hammer() -> None:
        while not over.is_set():
            statuses.append((await rig.get("/")).status)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(3):
            tasks.create_task(hammer())
        for _ in range(4):
            await rig.apply(route, inbound_fault("slow", {"app": "shop"}, {"delay": delay}))
            await asyncio.sleep(0.05)
            await rig.apply(route)
        over.set()

    assert set(statuses) == {200}
    assert (await rig.requests(reporter="destination"))["200", "DI"] > 10
    total = sum((await rig.requests(reporter="destination")).values())
    assert total == sum(len(pod.seen) for pod in pods)


@on_mesh
async def test_pods_with_outbound_side_come_and_go(rig: MeshRig) -> None:
    """A caller is replaced: the old listener and its clusters go, the new one serves."""
    await rig.service("shop", ["v1"])
    old = await rig.caller("order-api")
    await rig.apply()
    assert (await rig.get("/", by=old, host="shop")).status == 200
    rig.gone.add(old.name)
    del rig.pods[old.name]
    new = await rig.caller("basket-api")

    config = await rig.apply()

    assert (await rig.get("/", by=new, host="shop")).status == 200
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(old.address, 15001)
    assert not [name for name in config.clusters if old.name in name]
    assert await rig.envoy.stats(f"{old.name};.*upstream_rq_total") == {}
    files = {path.name for path in rig.settings.xds.glob("*.json")}
    assert not [name for name in files if old.name in name]
    await old.kill()


@on_mesh
async def test_dead_pods_inbound_listener_goes_with_it(rig: MeshRig) -> None:
    """A pod with an inbound fault is gone: nobody listens on its address any more."""
    first, second = await rig.service("shop", ["v1", "v2"])
    route = virtual_service("shop", [{"route": [to("shop")]}])
    fault = inbound_fault("f", {"app": "shop"}, {"abort": {"http_status": 500}})
    await rig.apply(route, fault)
    rig.gone.add(first.name)
    await first.kill()

    config = await rig.apply(route, fault)

    assert config.inbound_pods == {f"ecommerce/{second.name}"}
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(first.address, 15006)
    assert (await rig.get("/")).body == second.name


@on_mesh
async def test_envoy_can_not_be_ended_through_its_admin_port(rig: MeshRig) -> None:
    """POST to the paths that change Envoy: 403, and it goes on serving."""
    async with aiohttp.ClientSession() as session:
        for path in (
            "/quitquitquit",
            "/drain_listeners",
            "/logging?level=trace",
            "/runtime_modify",
        ):
            async with session.post(rig.envoy.url + path) as answer:
                assert answer.status == 403, path
    assert rig.envoy.pid is not None


@on_mesh
async def test_stop_is_idempotent_and_leaves_no_process(rig: MeshRig) -> None:
    """Stop twice; the process id is gone both times."""
    await rig.envoy.stop()
    await rig.envoy.stop()
    assert rig.envoy.pid is None


@pytest.mark.sandbox
def test_envoy_that_can_not_start_says_why(tmp_path: Path) -> None:
    """Its admin port is taken: the error quotes Envoy and names its log."""
    settings = settings_in(tmp_path)

    async def run() -> None:
        envoy = EnvoyProcess(settings)
        try:
            await envoy.start()
            await envoy.wait_ready(5)
        finally:
            await envoy.stop()

    with (
        socket.create_server(("127.0.0.1", settings.envoy_admin_port)),
        pytest.raises(TargetError, match="Envoy has ended while it started") as caught,
    ):
        asyncio.run(run())
    assert "in use" in caught.value.message
    assert "envoy.log" in caught.value.hint


def test_missing_envoy_is_a_missing_part(monkeypatch: pytest.MonkeyPatch) -> None:
    """A platform without the package: the error says what is needed and what to do."""
    monkeypatch.setitem(sys.modules, "envoy", None)
    with pytest.raises(MissingPartError, match="there is none on this machine") as caught:
        find_envoy()
    assert "Linux" in caught.value.accepted
