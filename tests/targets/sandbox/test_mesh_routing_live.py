"""Routing on the real Envoy: which requests a VirtualService sends where, and how changed."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from mesh_rig import MeshRig, Obj, destination_rule, on_mesh, to, virtual_service

VERSIONS = destination_rule("shop", subsets=["v1", "v2"])


def choose(match: Obj) -> Obj:
    """What matches goes to v2, the rest to v1."""
    http = [{"name": "chosen", "match": [match], "route": [to("shop", "v2")]}]
    return virtual_service("shop", [*http, {"route": [to("shop", "v1")]}])


# match, then requests that it takes, then requests that it must leave
MATCHES: list[tuple[Obj, list[dict[str, Any]], list[dict[str, Any]]]] = [
    ({"uri": {"exact": "/a"}}, [{"path": "/a"}, {"path": "/a?q=1"}], [{"path": "/a/b"}]),
    ({"uri": {"prefix": "/a"}}, [{"path": "/a/b"}, {"path": "/ab"}], [{"path": "/A"}]),
    (
        {"uri": {"prefix": "/a"}, "ignoreUriCase": True},
        [{"path": "/A/b"}],
        [{"path": "/b"}],
    ),
    ({"uri": {"regex": "/o/[0-9]+"}}, [{"path": "/o/12"}], [{"path": "/o/x"}, {"path": "/o/1/2"}]),
    ({"method": {"exact": "POST"}}, [{"method": "POST"}], [{"method": "GET"}]),
    (
        {"headers": {"x-version": {"exact": "v2"}}},
        [{"headers": {"X-Version": "v2"}}],
        [{"headers": {"x-version": "v22"}}, {}],
    ),
    (
        {"headers": {"cookie": {"regex": "^(.*?;)?\\s*(group=beta)(;.*)?$"}}},
        [{"headers": {"cookie": "a=1; group=beta"}}, {"headers": {"cookie": "group=beta"}}],
        [{"headers": {"cookie": "group=alpha"}}, {}],
    ),
    (
        {"withoutHeaders": {"x-bot": {"exact": "yes"}}},
        [{}, {"headers": {"x-bot": "no"}}],
        [{"headers": {"x-bot": "yes"}}],
    ),
    (
        {"queryParams": {"v": {"exact": "2"}, "q": {"regex": "*"}}},
        [{"path": "/?v=2&q"}, {"path": "/?q=7&v=2"}],
        [{"path": "/?v=2"}, {"path": "/?v=3&q=1"}],
    ),
    ({"authority": {"prefix": "shop.test"}}, [{"host": "shop.test:80"}], []),
    ({"scheme": {"exact": "https"}}, [], [{}]),
    ({"port": 80}, [{}], []),
    ({"port": 81}, [], [{}]),
    ({"gateways": ["edge"]}, [{}], []),
    ({"gateways": ["mesh"]}, [], [{}]),
    ({"sourceLabels": {"istio": "ingressgateway"}}, [{}], []),
    ({"sourceNamespace": "ecommerce"}, [], [{}]),
    (
        {"uri": {"prefix": "/a"}, "method": {"exact": "PUT"}},
        [{"path": "/a", "method": "PUT"}],
        [{"path": "/a"}, {"path": "/b", "method": "PUT"}],
    ),
]


@on_mesh
async def test_each_kind_of_match_takes_what_it_should_and_leaves_the_rest(rig: MeshRig) -> None:
    """Put each match into force, one after another, and ask with requests of both kinds."""
    first, second = await rig.service("shop", ["v1", "v2"])
    for match, taken, left in MATCHES:
        config = await rig.apply(choose(match), VERSIONS)
        assert config.unsupported == ()
        for expected, requests in ((second.name, taken), (first.name, left)):
            for request in requests:
                answer = await rig.get(**({"path": "/"} | request))
                assert (answer.status, answer.body) == (200, expected), (match, request)


@on_mesh
async def test_weights_split_requests_as_written(rig: MeshRig) -> None:
    """90 : 10 over 600 requests, then all to one, then the header that always wins."""
    await rig.service("shop", ["v1", "v2"])
    always = {
        "match": [{"headers": {"x-version": {"exact": "v2"}}}],
        "route": [to("shop", "v2", 100)],
    }

    def split(old: int, new: int) -> Obj:
        route = [to("shop", "v1", old), to("shop", "v2", new)]
        return virtual_service("shop", [always, {"route": route}])

    await rig.apply(split(90, 10), VERSIONS)
    bodies = Counter(answer.body for answer in await rig.many(600, "/"))
    assert 25 <= bodies["shop-abc-1"] <= 100  # 60, five standard deviations
    canary = await rig.many(20, "/", headers={"x-version": "v2"})
    assert {answer.body for answer in canary} == {"shop-abc-1"}
    await rig.apply(split(100, 0), VERSIONS)
    assert {answer.body for answer in await rig.many(60, "/")} == {"shop-abc-0"}
    seen = await rig.requests(reporter="destination", destination_version="v2")
    assert seen == {("200", "-"): bodies["shop-abc-1"] + 20}


@on_mesh
async def test_header_operations_reach_the_pod_and_the_client(rig: MeshRig) -> None:
    """Add, set and remove, on the route and on its destination, for requests and responses."""
    (pod,) = await rig.service("shop", ["v1"])
    on_route = {
        "request": {"set": {"x-a": "route"}, "add": {"x-b": "added"}, "remove": ["x-secret"]},
        "response": {"set": {"x-from": "mesh"}, "remove": ["x-extra"]},
    }
    on_destination = {"request": {"add": {"x-c": "destination"}}}
    route = {**to("shop"), "headers": on_destination}
    await rig.apply(virtual_service("shop", [{"headers": on_route, "route": [route]}]))

    answer = await rig.get("/", headers={"x-a": "user", "x-b": "user", "x-secret": "1"})

    got = pod.seen[0].headers
    assert (got["x-a"], got["x-c"], "x-secret" in got) == ("route", "destination", False)
    assert got["x-b"] in {"added", "user"}  # the tiny server keeps the last of both lines
    assert answer.headers["x-from"] == "mesh"
    assert "x-extra" not in answer.headers


@on_mesh
async def test_rewrite_redirect_and_direct_response(rig: MeshRig) -> None:
    """Paths and hosts are rewritten on the way; answers without a pod come from Envoy."""
    (pod,) = await rig.service("shop", ["v1"])
    http = [
        {
            "match": [{"uri": {"prefix": "/old/"}}],
            "rewrite": {"uri": "/new/", "authority": "inner"},
            "route": [to("shop")],
        },
        {
            "match": [{"uri": {"prefix": "/re/"}}],
            "rewrite": {"uriRegexRewrite": {"match": "^/re/(\\w+)", "rewrite": "/\\1/x"}},
            "route": [to("shop")],
        },
        {
            "match": [{"uri": {"prefix": "/moved"}}],
            "redirect": {"uri": "/there", "authority": "else.test", "redirectCode": 302},
        },
        {
            "match": [{"uri": {"exact": "/fixed"}}],
            "directResponse": {"status": 429, "body": {"string": "slow down"}},
        },
    ]
    config = await rig.apply(virtual_service("shop", http))

    assert config.unsupported == ()
    await rig.get("/old/1")
    await rig.get("/re/abc")
    assert [(seen.path, seen.headers["host"]) for seen in pod.seen] == [
        ("/new/1", "inner"),
        ("/abc/x", "shop.test"),
    ]
    moved = await rig.get("/moved")
    assert (moved.status, moved.headers["location"]) == (302, "http://else.test/there")
    fixed = await rig.get("/fixed")
    assert (fixed.status, fixed.body) == (429, "slow down")
    nothing = await rig.get("/unmatched")
    assert nothing.status == 404
    assert (await rig.requests(reporter="source"))["404", "NR"] == 1


@on_mesh
async def test_pods_reach_services_by_every_name_and_nothing_else(rig: MeshRig) -> None:
    """Short and full names, with and without port, with and without a VirtualService."""
    await rig.service("plain", ["v1"])
    caller = await rig.caller()
    await rig.apply()
    names = ["plain", "plain.ecommerce", "plain.ecommerce.svc", "plain.ecommerce.svc.cluster.local"]
    for name in [*names, *(f"{name}:80" for name in names)]:
        assert (await rig.get("/", by=caller, host=name)).body == "plain-abc-0", name
    assert (await rig.get("/", by=caller, host="example.test")).status == 502
    assert (await rig.get("/", host="plain")).status == 404  # the gateway has no route to it
    labels = (await rig.series("^istio.*requests_total"))[0][0]
    assert labels["source_workload"] in {"order-api", "istio-ingressgateway"}


@on_mesh
async def test_virtual_services_of_one_host_are_merged_at_the_gateway(rig: MeshRig) -> None:
    """Two objects for one host: both serve, the older first, the one without condition last."""
    await rig.service("one", ["v1"])
    await rig.service("two", ["v1"])
    wide = virtual_service("one", [{"route": [to("one")]}], age=0)
    narrow = virtual_service(
        "two", [{"match": [{"uri": {"prefix": "/two"}}], "route": [to("two")]}], age=9
    )
    config = await rig.apply(wide, narrow)

    assert config.unsupported == ()
    assert (await rig.get("/two")).body == "two-abc-0"
    assert (await rig.get("/else")).body == "one-abc-0"


@on_mesh
async def test_destination_that_does_not_exist_answers_503_and_is_reported(rig: MeshRig) -> None:
    """A route to a missing service and to a missing subset: 503 with NC, and two reports."""
    await rig.service("shop", ["v1"])
    http = [
        {"match": [{"uri": {"prefix": "/s"}}], "route": [to("shop", "v9")]},
        {"route": [to("nowhere")]},
    ]
    config = await rig.apply(virtual_service("shop", http))

    assert [(await rig.get(path)).status for path in ("/s", "/n")] == [503, 503]
    assert await rig.requests(reporter="source") == {("503", "NC"): 2}
    assert [field.path for field in config.unsupported] == [
        "spec.http[0].route[0].destination.subset",
        "spec.http[1].route[0].destination.host",
    ]


@on_mesh
async def test_consistent_hash_keeps_a_user_on_a_pod(rig: MeshRig) -> None:
    """By header: one value always meets one pod, many values meet more than one; cookie too."""
    await rig.service("shop", ["v1", "v1", "v1"])
    route = virtual_service("shop", [{"route": [to("shop")]}])
    by_header = {"loadBalancer": {"consistentHash": {"httpHeaderName": "x-user"}}}
    await rig.apply(route, destination_rule("shop", by_header))
    bodies = {
        user: {answer.body for answer in await rig.many(8, "/", headers={"x-user": user})}
        for user in map(str, range(12))
    }
    assert all(len(pods) == 1 for pods in bodies.values())
    assert len(set.union(*bodies.values())) > 1

    cookie = {"name": "sticky", "ttl": "60s"}
    by_cookie = {"loadBalancer": {"consistentHash": {"httpCookie": cookie, "maglev": {}}}}
    await rig.apply(route, destination_rule("shop", by_cookie))
    first = await rig.get("/")
    value = first.headers["set-cookie"].partition(";")[0]
    again = await rig.many(10, "/", headers={"cookie": value})
    assert {answer.body for answer in again} == {first.body}


@pytest.mark.sandbox
@pytest.mark.parametrize("policy", ["ROUND_ROBIN", "LEAST_REQUEST", "LEAST_CONN", "RANDOM"])
def test_simple_load_balancers_use_every_pod(policy: str, tmp_path: object) -> None:
    """60 requests over three pods, with each policy that Istio names."""

    async def scenario(rig: MeshRig) -> None:
        await rig.service("shop", ["v1", "v1", "v1"])
        rule = destination_rule("shop", {"loadBalancer": {"simple": policy}})
        await rig.apply(virtual_service("shop", [{"route": [to("shop")]}]), rule)
        bodies = Counter(answer.body for answer in await rig.many(60, "/", at_once=3))
        assert len(bodies) == 3
        if policy == "ROUND_ROBIN":
            assert set(bodies.values()) == {20}

    on_mesh(scenario)(tmp_path)  # type: ignore[arg-type]
