"""The faults that are written into Istio's objects, as the real Envoy carries them out."""

from __future__ import annotations

from typing import Any

from mesh_rig import NAMESPACE, MeshRig, on_mesh, to, virtual_service

from runner.chaos import envoyfilter
from runner.chaos import virtualservice as copies
from runner.chaos.annotation import Tag
from runner.chaos.objects import Object

EXPIRY = "2030-01-01T00:00:00Z"


def tag(fault: str, block: Object, **scope: Any) -> Tag:
    return Tag("R", fault, "ann", EXPIRY, service="payment-api", block=block, **scope)


@on_mesh
async def test_scopes_of_callers_and_headers_overlap_as_they_should(rig: MeshRig) -> None:
    """Goal: each request meets exactly the faults that are meant for it. Method: one for callers
    (a pod, then the gateway), one for a header's prefix, and requests in each and in both."""
    await rig.service("payment-api")
    caller = await rig.caller()
    vs = virtual_service("payment-api", [{"route": [to("payment-api")]}])
    scopes: list[tuple[str, int, dict[str, Any]]] = [
        ("pod", 501, {"source": {"app": "order-api"}}),
        ("edge", 502, {"source": {"istio": "ingressgateway"}}),
        ("marked", 504, {"headers": {"x-user": {"prefix": "b"}}}),
    ]
    for fault, status, scope in scopes:
        vs = copies.add_fault(vs, tag(fault, copies.abort_block(status, 100), **scope))
    slow = copies.delay_block(0.2, 100)
    vs = copies.add_fault(vs, tag("slow", slow, headers={"x-slow": {"exact": "1"}}))
    config = await rig.apply(vs)
    marked, both = {"x-user": "bob"}, {"x-user": "bob", "x-slow": "1"}

    async def answered(headers: dict[str, str], *, edge: bool) -> tuple[int, bool]:
        by = None if edge else caller
        host = "shop.test" if edge else "payment-api"
        answer = await rig.get("/pay", by=by, host=host, headers=headers)
        return answer.status, answer.seconds > 0.19

    assert config.unsupported == ()
    assert await answered({}, edge=False) == (501, False)
    assert await answered({}, edge=True) == (502, False)
    assert await answered(marked, edge=False) == (504, False)  # the newest one wins
    assert await answered({"x-user": "ann"}, edge=True) == (502, False)
    assert await answered(both, edge=True) == (504, True)
    assert await answered({"x-slow": "1"}, edge=False) == (501, True)


@on_mesh
async def test_inbound_fault_hits_only_requests_with_its_headers(rig: MeshRig) -> None:
    """Goal: the filter that is written is one that Envoy takes, conditions and shares included.
    Method: a prefix and an expression together; the mesh honours every field."""
    (pod,) = await rig.service("payment-api", ["v1"])
    route = virtual_service("payment-api", [{"route": [to("payment-api")]}])
    headers = {"x-user": {"prefix": "b"}, "x-tier": {"regex": "go.d"}}
    config = envoyfilter.abort_config(418, 100)
    body = envoyfilter.make(
        NAMESPACE, tag("teapot", config), config, headers, {"app": "payment-api"}
    )
    rare = envoyfilter.abort_config(500, 0.0001)
    nobody = envoyfilter.make(NAMESPACE, tag("rare", rare), rare, {}, {"app": "payment-api"})

    mesh = await rig.apply(route, body, nobody)

    hit = {"x-user": "bob", "x-tier": "gold"}
    assert mesh.unsupported == ()
    assert (await rig.get("/pay", headers=hit)).status == 418
    assert (await rig.get("/pay", headers={**hit, "x-tier": "silver"})).status == 200
    assert (await rig.get("/pay", headers={"x-tier": "gold"})).status == 200
    assert len(pod.seen) == 2
    assert await rig.requests(reporter="destination") == {("418", "FI"): 1, ("200", "-"): 2}
    assert await rig.requests(reporter="source") == {("418", "-"): 1, ("200", "-"): 2}
