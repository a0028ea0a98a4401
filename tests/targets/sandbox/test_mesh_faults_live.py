"""Faults on the real Envoy: what the client gets, what the pods see, what the metrics say."""

from __future__ import annotations

import asyncio

from mesh_rig import MeshRig, Obj, destination_rule, inbound_fault, on_mesh, to, virtual_service

EJECTING = {
    "outlierDetection": {
        "consecutive5xxErrors": 3,
        "interval": "100ms",
        "baseEjectionTime": "30s",
        "maxEjectionPercent": 50,
    }
}


def copied_route(fault: Obj) -> list[Obj]:
    """The user's route with a named copy that injects a fault before it."""
    match = [{"uri": {"prefix": "/pay"}}]
    copy = {"name": "seatrial-1-a", "match": match, "fault": fault, "route": [to("payment-api")]}
    return [copy, {"name": "users", "match": match, "route": [to("payment-api")]}]


@on_mesh
async def test_abort_hits_its_share_is_flagged_and_never_reaches_a_pod(rig: MeshRig) -> None:
    """Send 400 requests through a 50 % abort: counts of client, pods and metrics must agree."""
    pods = await rig.service("payment-api")
    fault = {"abort": {"httpStatus": 418, "percentage": {"value": 50}}}
    await rig.apply(virtual_service("payment-api", copied_route(fault)))

    answers = await rig.many(400, "/pay")

    aborted = sum(answer.status == 418 for answer in answers)
    assert 140 <= aborted <= 260  # six standard deviations
    assert sum(len(pod.seen) for pod in pods) == 400 - aborted
    source = await rig.requests(reporter="source", destination_service_name="payment-api")
    assert source == {("418", "FI"): aborted, ("200", "-"): 400 - aborted}
    destination = await rig.requests(reporter="destination")
    assert destination == {("200", "-"): 400 - aborted}


@on_mesh
async def test_fractions_of_a_percent_and_absent_percentages(rig: MeshRig) -> None:
    """0.0001 % and no percentage at all must leave 200 requests alone, 100 must hit each."""
    await rig.service("payment-api")
    cases: list[tuple[Obj, int]] = [
        ({"abort": {"httpStatus": 500, "percentage": {"value": 0.0001}}}, 200),
        ({"abort": {"httpStatus": 500}}, 200),
        ({"delay": {"fixedDelay": "5s"}}, 200),
        ({"abort": {"httpStatus": 500, "percentage": {"value": 100}}}, 500),
    ]
    for fault, expected in cases:
        await rig.apply(virtual_service("payment-api", copied_route(fault)))
        answers = await rig.many(50, "/pay")
        assert {answer.status for answer in answers} == {expected}, fault
        assert max(answer.seconds for answer in answers) < 4


@on_mesh
async def test_delay_is_slow_at_the_source_only(rig: MeshRig) -> None:
    """A 100 % delay of 0.3 s: the client waits, the flag is DI, the pod's own time is short."""
    await rig.service("payment-api")
    fault = {"delay": {"fixedDelay": "300ms", "percentage": {"value": 100}}}
    await rig.apply(virtual_service("payment-api", copied_route(fault)))

    answers = await rig.many(5, "/pay")

    assert all(answer.status == 200 and 0.29 < answer.seconds < 3 for answer in answers)
    assert await rig.requests(reporter="source") == {("200", "DI"): 5}
    assert await rig.requests(reporter="destination") == {("200", "-"): 5}

    async def merged() -> bool:
        sums = [value for _, value in await _sums(rig)]
        return len(sums) == 2 and min(sums) > 0

    await rig.until(merged)
    sums = {series["reporter"]: value for series, value in await _sums(rig)}
    assert sums["source"] > 5 * 290
    assert sums["destination"] < 5 * 290


async def _sums(rig: MeshRig) -> list[tuple[dict[str, str], float]]:
    found = await rig.series("^istio.*duration_milliseconds")
    return [pair for pair in found if pair[0]["__name__"].endswith("_sum")]


@on_mesh
async def test_fault_for_one_caller_leaves_the_others_alone(rig: MeshRig) -> None:
    """A fault with sourceLabels must hit the pod with them, and not the gateway."""
    await rig.service("payment-api")
    caller = await rig.caller()
    http = copied_route({"abort": {"httpStatus": 503, "percentage": {"value": 100}}})
    http[0]["match"] = [{"uri": {"prefix": "/pay"}, "sourceLabels": {"app": "order-api"}}]
    await rig.apply(virtual_service("payment-api", http))

    assert (await rig.get("/pay", by=caller, host="payment-api")).status == 503
    assert (await rig.get("/pay")).status == 200
    aborted = await rig.requests(reporter="source", source_workload="order-api")
    assert aborted == {("503", "FI"): 1}


@on_mesh
async def test_client_side_abort_never_trips_the_breaker_of_its_hop(rig: MeshRig) -> None:
    """20 aborted requests against a limit of 3 errors: no host may be ejected."""
    await rig.service("payment-api")
    fault = {"abort": {"httpStatus": 503, "percentage": {"value": 100}}}
    rule = destination_rule("payment-api", EJECTING)
    await rig.apply(virtual_service("payment-api", copied_route(fault)), rule)

    await rig.many(20, "/pay")

    assert await ejections(rig) == 0


@on_mesh
async def test_inbound_fault_is_what_a_breaker_sees_and_is_counted_once(rig: MeshRig) -> None:
    """Break one of two pods on its inbound side: its client ejects it; each attempt counts once."""
    healthy, broken = await rig.service("payment-api", ["v1", "v2"])
    route = [{"route": [to("payment-api")], "retries": {"attempts": 0}}]
    objects = [virtual_service("payment-api", route), destination_rule("payment-api", EJECTING)]
    fault = {"abort": {"http_status": 503, "percentage": {"numerator": 100}}}
    await rig.apply(*objects, inbound_fault("broken", {"version": "v2"}, fault))

    answers = [await rig.get("/pay") for _ in range(40)]

    failed = sum(answer.status == 503 for answer in answers)
    assert 3 <= failed <= 6  # then it is out; the news of it takes a moment
    assert broken.seen == []
    assert len(healthy.seen) == 40 - failed
    assert await ejections(rig) == 1
    pod = await rig.requests(reporter="destination", destination_version="v2")
    assert pod == {("503", "FI"): failed}
    served = {("200", "-"): 40 - failed}
    assert await rig.requests(reporter="destination") == {("503", "FI"): failed} | served
    assert await rig.requests(reporter="source") == {("503", "-"): failed} | served
    labels = next(
        series
        for series, _ in await rig.series("^istio.*requests_total")
        if series["response_flags"] == "FI"
    )
    assert labels["source_workload"] == "istio-ingressgateway"
    assert labels["source_workload_namespace"] == "istio-system"
    assert labels["destination_workload"] == "payment-api"
    assert labels["destination_service"] == "payment-api.ecommerce.svc.cluster.local"


@on_mesh
async def test_ejection_outlives_the_inbound_fault(rig: MeshRig) -> None:
    """Heal the pod while it is ejected: it must stay out, as behind a proxy of its own."""
    _, broken = await rig.service("payment-api", ["v1", "v2"])
    route = [{"route": [to("payment-api")], "retries": {"attempts": 0}}]
    objects = [virtual_service("payment-api", route), destination_rule("payment-api", EJECTING)]
    fault = {"abort": {"http_status": 503, "percentage": {"numerator": 100}}}
    await rig.apply(*objects, inbound_fault("broken", {"version": "v2"}, fault))
    await rig.many(40, "/pay", at_once=1)

    config = await rig.apply(*objects)
    answers = await rig.many(20, "/pay", at_once=1)

    assert {answer.status for answer in answers} == {200}
    assert broken.seen == []
    assert config.inbound_pods == {f"ecommerce/{broken.name}"}


@on_mesh
async def test_healed_pod_answers_through_its_inbound_listener(rig: MeshRig) -> None:
    """Without a breaker the healed pod gets requests at once, and hides the caller's header."""
    (pod,) = await rig.service("payment-api", ["v1"])
    caller = await rig.caller()
    route = virtual_service("payment-api", [{"route": [to("payment-api")]}])
    delay = {"fixed_delay": "0.2s", "percentage": {"numerator": 100}}
    fault = inbound_fault("slow", {"app": "payment-api"}, {"delay": delay})
    await rig.apply(route, fault)
    slow = await rig.get("/pay", by=caller, host="payment-api")
    await rig.apply(route)
    fast = await rig.get("/pay", by=caller, host="payment-api")

    assert (slow.status, slow.seconds > 0.19) == (200, True)
    assert (fast.status, fast.seconds < 0.19) == (200, True)
    assert [seen.path for seen in pod.seen] == ["/pay", "/pay"]
    assert "x-seatrial-peer" not in pod.seen[0].headers
    counted = await rig.requests(reporter="destination", source_workload="order-api")
    assert counted == {("200", "DI"): 1, ("200", "-"): 1}


@on_mesh
async def test_two_inbound_faults_add_up(rig: MeshRig) -> None:
    """A delay and, created later, an abort by EnvoyFilters: the answer must be late and bad."""
    await rig.service("payment-api", ["v1"])
    route = virtual_service("payment-api", [{"route": [to("payment-api")]}])
    late = {"delay": {"fixed_delay": "0.2s", "percentage": {"numerator": 100}}}
    bad = {"abort": {"http_status": 501, "percentage": {"numerator": 100}}}
    labels = {"app": "payment-api"}
    second = inbound_fault("b", labels, bad, age=1)
    await rig.apply(route, second, inbound_fault("l", labels, late))

    answer = await rig.get("/pay")

    assert (answer.status, 0.19 < answer.seconds < 2) == (501, True)
    assert await rig.requests(reporter="destination") == {("501", "DI,FI"): 1}


@on_mesh
async def test_faults_come_and_go_under_load_without_a_lost_request(rig: MeshRig) -> None:
    """Switch a fault that hits nobody 20 times while requests run: every one must be served."""
    await rig.service("payment-api")
    plain = virtual_service("payment-api", copied_route({})[1:])
    nobody = copied_route({"abort": {"httpStatus": 503, "percentage": {"value": 100}}})
    nobody[0]["match"] = [{"headers": {"x-nobody": {"exact": "1"}}}]
    await rig.apply(plain)
    statuses: list[int] = []
    over = asyncio.Event()

    async def hammer() -> None:
        while not over.is_set():
            statuses.append((await rig.get("/pay")).status)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(4):
            tasks.create_task(hammer())
        turn = 0
        while turn < 20 or len(statuses) < 50:
            turn += 1
            await rig.apply(virtual_service("payment-api", nobody) if turn % 2 else plain)
        over.set()

    assert set(statuses) == {200}


async def ejections(rig: MeshRig) -> int:
    """How many ejections were enforced, over all clients."""
    found = await rig.series("outlier_detection.ejections_enforced_total")
    return int(sum(value for _, value in found))
