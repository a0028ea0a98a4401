"""Retries, timeouts, breakers and outlier detection on the real Envoy, with Istio's defaults."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

from mesh_rig import MeshRig, Obj, destination_rule, on_mesh, to, virtual_service

ALL_FAILURES = "5xx,reset,connect-failure,refused-stream"
IN_TURN = destination_rule("shop", {"loadBalancer": {"simple": "ROUND_ROBIN"}})


def plain(**route: Any) -> Obj:
    """A VirtualService of ``shop`` with one route."""
    return virtual_service("shop", [{"route": [to("shop")], **route}])


def outlier(**fields: Any) -> Obj:
    """A DestinationRule of ``shop`` with quick outlier detection."""
    quick = {"interval": "100ms", "baseEjectionTime": "30s", "maxEjectionPercent": 100}
    return destination_rule("shop", {"outlierDetection": quick | fields})


@on_mesh
async def test_dead_host_is_retried_elsewhere_before_anybody_removes_it(rig: MeshRig) -> None:
    """Kill one of two pods and leave it in the endpoints: with retries no request may fail.

    Istio's default policy: 2 attempts, connect-failure among their reasons. In turn, because
    LEAST_REQUEST prefers the host with nothing to do, which a dead one is: about one request in
    sixty then meets it three times.
    """
    pod, _ = await rig.service("shop")
    await rig.apply(plain(), IN_TURN)
    await rig.many(10, "/")
    await pod.kill()

    answers = await rig.many(100, "/")

    assert {answer.status for answer in answers} == {200}
    assert max(answer.seconds for answer in answers) < 5
    flags = {flag for _, flag in await rig.requests(reporter="source")}
    assert flags == {"-"}
    assert set(await rig.requests(reporter="destination")) == {("200", "-")}


@on_mesh
async def test_dead_host_without_retries_fails_at_once_as_uf(rig: MeshRig) -> None:
    """The same without attempts: part of the requests fail, each in no time, flagged UF."""
    pod, _ = await rig.service("shop")
    await rig.apply(plain(retries={"attempts": 0}))
    await pod.kill()

    answers = await rig.many(60, "/")

    statuses = Counter(answer.status for answer in answers)
    assert set(statuses) == {200, 503}
    assert max(answer.seconds for answer in answers) < 2
    assert (await rig.requests(reporter="source"))["503", "UF"] == statuses[503]
    # what never reached a pod is not counted by a pod
    assert await rig.requests(reporter="destination") == {("200", "-"): statuses[200]}


@on_mesh
async def test_all_retries_go_through_while_a_pod_is_dead(rig: MeshRig) -> None:
    """60 requests at a time with one dead pod: Envoy's limit of 3 parallel retries is not ours."""
    pod, _ = await rig.service("shop")
    await rig.apply(plain(retries={"attempts": 3, "retryOn": ALL_FAILURES}), IN_TURN)
    await pod.kill()

    answers = await rig.many(300, "/", at_once=60)

    assert {answer.status for answer in answers} == {200}


@on_mesh
async def test_request_on_a_pod_that_dies_ends_at_once(rig: MeshRig) -> None:
    """Kill the only pod while it works on a request: the client hears of it, nothing hangs."""
    (pod,) = await rig.service("shop", ["v1"])
    pod.delay_s = 60.0
    await rig.apply(plain(retries={"attempts": 0}))
    request = asyncio.create_task(rig.get("/"))

    async def arrived() -> bool:
        return bool(pod.seen)

    await rig.until(arrived)
    await pod.kill()
    answer = await asyncio.wait_for(request, 2)

    assert answer.status == 503
    assert await rig.requests(reporter="source") == {("503", "UC"): 1}


@on_mesh
async def test_removed_endpoint_finishes_what_it_has_and_gets_no_more(rig: MeshRig) -> None:
    """Take a pod out of the endpoints while it answers: that answer arrives, the next go on."""
    leaving, staying = await rig.service("shop")
    leaving.delay_s = staying.delay_s = 0.4
    await rig.apply(plain())
    running = asyncio.gather(*(rig.get("/") for _ in range(8)))

    async def both_busy() -> bool:
        return bool(leaving.seen) and bool(staying.seen)

    await rig.until(both_busy)
    rig.gone.add(leaving.name)
    await rig.apply(plain())
    before = len(leaving.seen)
    staying.delay_s = 0
    after = await rig.many(20, "/")

    assert {answer.status for answer in await running} == {200}
    assert {answer.body for answer in after} == {staying.name}
    assert len(leaving.seen) == before


@on_mesh
async def test_no_endpoint_is_uh(rig: MeshRig) -> None:
    """All pods gone from the endpoints: 503 with UH, at once."""
    pods = await rig.service("shop")
    rig.gone |= {pod.name for pod in pods}
    await rig.apply(plain())

    answer = await rig.get("/")

    assert (answer.status, answer.seconds < 2) == (503, True)
    assert await rig.requests(reporter="source") == {("503", "UH"): 1}


@on_mesh
async def test_503_of_the_application_is_retried_only_when_asked(rig: MeshRig) -> None:
    """One bad pod: Istio's default lets its 503 through, ``5xx`` and ``503`` in retryOn do not."""
    bad, _ = await rig.service("shop")
    bad.status = 503
    await rig.apply(plain())
    default = Counter(answer.status for answer in await rig.many(60, "/"))
    assert default[503] == len(bad.seen) > 0
    for retry_on in ("5xx", "503"):
        bad.seen.clear()
        await rig.apply(plain(retries={"attempts": 3, "retryOn": retry_on}), IN_TURN)
        retried = {answer.status for answer in await rig.many(60, "/")}
        assert retried == {200}, retry_on
        assert bad.seen


@on_mesh
async def test_attempts_bound_the_retries(rig: MeshRig) -> None:
    """A pod that always fails is asked 1 + attempts times; the flag is URX."""
    (pod,) = await rig.service("shop", ["v1"])
    pod.status = 500
    await rig.apply(plain(retries={"attempts": 3, "retryOn": ALL_FAILURES, "backoff": "1ms"}))

    assert (await rig.get("/")).status == 500
    assert len(pod.seen) == 4
    assert await rig.requests(reporter="source") == {("500", "URX"): 1}
    assert await rig.requests(reporter="destination") == {("500", "-"): 4}


@on_mesh
async def test_timeouts_of_the_route_and_of_each_try(rig: MeshRig) -> None:
    """A pod of 1 s against 0.2 s: 504 with UT; with tries of 0.1 s: each try is given up."""
    (pod,) = await rig.service("shop", ["v1"])
    pod.delay_s = 1.0
    await rig.apply(plain(timeout="200ms", retries={"attempts": 0}))
    whole = await rig.get("/")
    assert (whole.status, 0.19 < whole.seconds < 0.9) == (504, True)
    assert await rig.requests(reporter="source") == {("504", "UT"): 1}

    retries = {"attempts": 2, "perTryTimeout": "100ms", "retryOn": ALL_FAILURES, "backoff": "1ms"}
    await rig.apply(plain(timeout="5s", retries=retries))
    pod.seen.clear()
    tries = await rig.get("/")
    assert (tries.status, 0.29 < tries.seconds < 0.9) == (504, True)
    assert len(pod.seen) == 3
    flags = [flag for code, flag in await rig.requests(reporter="source") if "URX" in flag]
    assert len(flags) == 1
    assert await rig.requests(reporter="destination") == {}  # nobody answered


@on_mesh
async def test_without_timeout_a_slow_answer_is_waited_for(rig: MeshRig) -> None:
    """No ``timeout``: Istio disables Envoy's 15 s; the route says 0 s and a slow answer comes."""
    (pod,) = await rig.service("shop", ["v1"])
    pod.delay_s = 0.3
    config = await rig.apply(plain())

    assert (await rig.get("/")).status == 200
    routes = config.routes["http.80"]["virtual_hosts"][0]["routes"]
    assert routes[0]["route"]["timeout"] == "0s"


@on_mesh
async def test_full_connection_pool_overflows_as_uo(rig: MeshRig) -> None:
    """One busy connection, room for one to wait: of 9 more, 8 are refused with UO."""
    (pod,) = await rig.service("shop", ["v1"])
    pod.delay_s = 0.3
    pool = {"tcp": {"maxConnections": 1}, "http": {"http1MaxPendingRequests": 1}}
    rule = destination_rule("shop", {"connectionPool": pool})
    await rig.apply(plain(), rule)
    first = asyncio.create_task(rig.get("/"))

    async def busy() -> bool:
        return bool(pod.seen)

    await rig.until(busy)
    statuses = Counter(answer.status for answer in await rig.many(9, "/"))

    assert (await first).status == 200
    assert statuses == {200: 1, 503: 8}
    assert await rig.requests(reporter="source") == {("200", "-"): 2, ("503", "UO"): 8}
    assert await rig.requests(reporter="destination") == {("200", "-"): 2}
    open_now = await rig.series("circuit_breakers.default.cx_open")
    assert {labels["cluster_name"] for labels, _ in open_now} == {
        "outbound|80||shop.ecommerce.svc.cluster.local"
    }
    assert {labels["pod"] for labels, _ in open_now} == {"istio-ingressgateway"}


@on_mesh
async def test_breakers_are_each_clients_own(rig: MeshRig) -> None:
    """The gateway's pool is full; a pod that calls the same service has its own."""
    (pod,) = await rig.service("shop", ["v1"])
    caller = await rig.caller()
    pod.delay_s = 0.5
    rule = destination_rule("shop", {"connectionPool": {"http": {"http2MaxRequests": 1}}})
    await rig.apply(plain(), rule)
    first = asyncio.create_task(rig.get("/"))

    async def arrived() -> bool:
        return bool(pod.seen)

    await rig.until(arrived)
    refused = await rig.get("/")
    other = await rig.get("/", by=caller, host="shop")

    assert (refused.status, other.status, (await first).status) == (503, 200, 200)


@on_mesh
async def test_outlier_is_ejected_after_its_errors_and_comes_back(rig: MeshRig) -> None:
    """Three 500s eject the bad pod; when it is well again, it is back after its ejection time."""
    bad, good = await rig.service("shop")
    bad.status = 500
    fields = {"consecutive5xxErrors": 3, "baseEjectionTime": "300ms"}
    await rig.apply(plain(retries={"attempts": 0}), outlier(**fields))

    statuses = [(await rig.get("/")).status for _ in range(30)]

    assert 3 <= statuses.count(500) <= 6  # the news of it takes a moment
    assert len(good.seen) == 30 - statuses.count(500)
    bad.status = 200

    async def back() -> bool:
        return (await rig.get("/")).body == bad.name

    await rig.until(back)


@on_mesh
async def test_default_ejection_percentage_ejects_none_of_two(rig: MeshRig) -> None:
    """Outlier detection without maxEjectionPercent: 10 % of two pods is none, as with Istio."""
    bad, _ = await rig.service("shop")
    bad.status = 500
    rule = destination_rule("shop", {"outlierDetection": {"interval": "100ms"}})
    await rig.apply(plain(retries={"attempts": 0}), rule)

    statuses = Counter(answer.status for answer in await rig.many(40, "/", at_once=1))

    assert statuses[500] > 10
    (overflow,) = [v for _, v in await rig.series("ejections_overflow") if v]
    assert overflow > 0


@on_mesh
async def test_all_ejected_is_uh_unless_min_health_percent_says_else(rig: MeshRig) -> None:
    """Both pods bad: no panic by default (503 UH), with minHealthPercent 60 traffic goes on."""
    for pod in await rig.service("shop"):
        pod.status = 500
    quiet = plain(retries={"attempts": 0})
    await rig.apply(quiet, outlier(consecutive5xxErrors=2))
    answers = []

    async def refused() -> bool:
        answers.append((await rig.get("/")).status)
        return answers[-1] == 503

    await rig.until(refused)
    assert (await rig.requests(reporter="source"))["503", "UH"] == 1

    await rig.apply(quiet, outlier(consecutive5xxErrors=2, minHealthPercent=60))
    assert {(await rig.get("/")).status for _ in range(30)} == {500}


@on_mesh
async def test_gateway_errors_count_502_and_not_500(rig: MeshRig) -> None:
    """consecutiveGatewayErrors 2 with 5xx counting off: 500 never ejects, 502 does."""
    bad, _ = await rig.service("shop")
    fields = {"consecutiveGatewayErrors": 2, "consecutive5xxErrors": 0}
    await rig.apply(plain(retries={"attempts": 0}), outlier(**fields))
    bad.status = 500
    # Envoy draws which of the two is asked: 60 draws give one of them 10 or fewer once in 10^7.
    before = Counter(answer.status for answer in await rig.many(60, "/", at_once=1))
    bad.status = 502
    after = Counter(answer.status for answer in await rig.many(30, "/", at_once=1))

    assert before[500] > 10
    assert 2 <= after[502] <= 5


@on_mesh
async def test_connections_serve_no_more_requests_than_allowed(rig: MeshRig) -> None:
    """maxRequestsPerConnection 2: ten requests one after another need five connections."""
    await rig.service("shop", ["v1"])
    pool = {"http": {"maxRequestsPerConnection": 2}}
    await rig.apply(plain(), destination_rule("shop", {"connectionPool": pool}))

    for _ in range(10):
        await rig.get("/")

    opened = await rig.series("upstream_cx_total")
    assert [value for labels, value in opened if "shop" in labels["cluster_name"]] == [5]


@on_mesh
async def test_subset_has_a_policy_of_its_own(rig: MeshRig) -> None:
    """Only v2 is limited to one request at a time; v1 keeps the host's policy, which has none."""
    for pod in await rig.service("shop", ["v1", "v2"]):
        pod.delay_s = 0.1
    rule = destination_rule("shop", subsets=["v1", "v2"])
    pool = {"connectionPool": {"http": {"http2MaxRequests": 1}}}
    rule["spec"]["subsets"][1]["trafficPolicy"] = pool
    two = {"match": [{"uri": {"prefix": "/2"}}], "route": [to("shop", "v2")]}
    await rig.apply(virtual_service("shop", [two, {"route": [to("shop", "v1")]}]), rule)

    first = Counter(answer.status for answer in await rig.many(6, "/1"))
    second = Counter(answer.status for answer in await rig.many(6, "/2"))

    assert first == {200: 6}
    assert second == {200: 1, 503: 5}
