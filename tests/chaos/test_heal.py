"""Healing: by name, from nothing but the cluster, again and again, on a bad day as well."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from chaos_fakes import FakeCluster
from chaos_objects import NAMESPACE, route, virtual_service

from runner.chaos import virtualservice as vs_
from runner.chaos.annotation import Tag
from runner.chaos.client import ApiRefusalError, edit
from runner.chaos.heal import CAME_BACK, Healing, Scope, heal
from runner.chaos.heal import main as heal_main
from runner.chaos.objects import VIRTUAL_SERVICES
from runner.errors import SeatrialError

Object = dict[str, Any]
PAYMENT = "virtualservice/payment-api in ecommerce"


def faulty(
    vs: Object, run: str = "R1", fault: str = "01-abort", expires_at: str = "2999-01-01T00:00:00Z"
) -> Object:
    service = vs["metadata"]["name"]
    tag = Tag(run, fault, "o", expires_at, service, vs_.abort_block(503, 50))
    return vs_.add_fault(vs, tag)


def healed(cluster: FakeCluster, deadline_s: float = 5.0, **scope: Any) -> Healing:
    return heal(
        cluster, Scope(NAMESPACE, **scope), deadline_s=deadline_s, sleep=lambda seconds: None
    )


def test_run_is_healed_and_others_are_left_alone() -> None:
    """Goal: only this run's faults go. Method: two runs on one object, one on another."""
    mine = faulty(virtual_service("payment-api"))
    both = faulty(mine, run="R2", fault="02-x")
    other = faulty(virtual_service("order-api"), run="R2")
    cluster = FakeCluster().put(both, other)
    assert healed(cluster, run="R1") == Healing(removed=[PAYMENT], left=[], looked_at=2)
    assert healed(cluster, run="R1").others == [
        "virtualservice/payment-api still carries the fault 02-x of run R2",
        "virtualservice/order-api still carries the fault 01-abort of run R2",
    ]
    alone = faulty(virtual_service("payment-api"), run="R2", fault="02-x")
    assert cluster.spec("payment-api") == alone
    assert cluster.spec("order-api") == other


def test_run_whose_id_starts_another_is_not_taken_for_it() -> None:
    """Goal: run R is not run R-2. Method: ids of which one is the start of the other."""
    other = faulty(virtual_service(), run="R-2")
    cluster = FakeCluster().put(other)
    assert healed(cluster, run="R").removed == []
    assert cluster.spec("payment-api") == other


def test_one_fault_of_a_run() -> None:
    """Goal: one fault ends, the other goes on. Method: two faults of a run on one object."""
    both = faulty(faulty(virtual_service()), fault="02-x")
    cluster = FakeCluster().put(both)
    assert healed(cluster, run="R1", fault="02-x").removed == [PAYMENT]
    assert cluster.spec("payment-api") == faulty(virtual_service())


def test_healing_twice_is_healing_once() -> None:
    """Goal: idempotence. Method: heal again, and count the writes."""
    cluster = FakeCluster().put(faulty(virtual_service()))
    assert healed(cluster, run="R1").removed == [PAYMENT]
    cluster.calls.clear()
    assert healed(cluster, run="R1") == Healing(looked_at=1)
    assert {call.split()[0] for call in cluster.calls} == {"items"}
    assert cluster.spec("payment-api") == virtual_service()


def test_only_what_is_past_its_time() -> None:
    """Goal: a reaper does not end running faults. Method: expired, current, and without a tag."""
    expired = faulty(virtual_service("a", route("a")), expires_at="2001-01-01T00:00:00Z")
    current = faulty(virtual_service("b", route("b")))
    orphan = faulty(virtual_service("c", route("c")))
    del orphan["metadata"]["annotations"]
    cluster = FakeCluster().put(expired, current, orphan)
    report = healed(cluster, expired=True)
    assert report.removed == [f"virtualservice/{n} in ecommerce" for n in "ac"]
    assert cluster.spec("a") == virtual_service("a", route("a"))
    assert cluster.spec("b") == current
    assert cluster.spec("c") == virtual_service("c", route("c"))


def test_everything_of_every_run_even_when_the_annotation_is_damaged() -> None:
    """Goal: --all leaves nothing of ours. Method: a good, a damaged and a lonely annotation."""
    damaged = faulty(virtual_service("a", route("a")))
    damaged["metadata"]["annotations"]["seatrial.dev/faults"] = "{"
    lonely = virtual_service("b", route("b"), annotations={"seatrial.dev/faults": "?"})
    cluster = FakeCluster().put(damaged, lonely, faulty(virtual_service("payment-api")))
    assert len(healed(cluster).removed) == 3
    for name in "ab":
        assert cluster.spec(name) == virtual_service(name, route(name))


def test_conflict_is_retried_from_a_fresh_read_and_the_rivals_edit_stays() -> None:
    """Goal: optimistic concurrency. Method: a rival writes before each of our first two PUTs."""
    edits = ["10s", "20s"]

    def rival(cluster: FakeCluster) -> None:
        if edits:
            now = cluster.spec("payment-api")
            now["metadata"]["resourceVersion"] = "ignored"
            now["spec"]["http"][-1]["timeout"] = edits.pop()
            cluster.objects["virtualservices"]["payment-api"]["metadata"]["resourceVersion"] += (
                "-moved"
            )
            cluster.objects["virtualservices"]["payment-api"]["spec"] = now["spec"]

    cluster = FakeCluster(meanwhile=rival).put(faulty(virtual_service()))
    assert healed(cluster, run="R1").left == []
    assert cluster.calls.count("replace virtualservices") == 3
    assert cluster.spec("payment-api")["spec"]["http"] == [route(timeout="10s")]
    assert "annotations" not in cluster.spec("payment-api")["metadata"]


def test_object_that_is_deleted_meanwhile_is_healed() -> None:
    """Goal: no object, no fault. Method: it disappears between the list and the PUT."""
    cluster = FakeCluster(meanwhile=lambda c: c.objects.clear()).put(faulty(virtual_service()))
    assert healed(cluster, run="R1").left == []


@pytest.mark.parametrize("status", [0, 429, 500, 503])
def test_passing_refusals_are_retried(status: int) -> None:
    """Goal: a bad moment is not the end. Method: list and PUT are refused twice each."""
    cluster = FakeCluster(refuse={"items": [status] * 2, "replace": [status] * 2})
    cluster.put(faulty(virtual_service()))
    assert healed(cluster, run="R1") == Healing(removed=[PAYMENT], looked_at=1)


def test_what_cannot_be_healed_is_named_with_its_reason() -> None:
    """Goal: exit 5 says which object. Method: PUT is forbidden for good."""
    cluster = FakeCluster(refuse={"replace": [403] * 9}).put(faulty(virtual_service()))
    report = healed(cluster, run="R1")
    assert report.removed == []
    assert report.left == [f"{PAYMENT}: fault 01-abort of run R1: replace: HTTP 403: refused"]


def test_fault_that_comes_back_is_left() -> None:
    """Goal: a fight with somebody who puts it back is reported. Method: it is back at each look."""
    bad = faulty(virtual_service())
    cluster = FakeCluster().put(bad)
    report = heal(cluster, Scope(NAMESPACE, "R1"), sleep=lambda seconds: void(cluster.put(bad)))
    assert report.left == [f"{PAYMENT}: fault 01-abort of run R1: {CAME_BACK}"]


def void(anything: object) -> None:
    """Drop a result."""


def test_request_that_arrives_late_is_caught_by_the_second_look() -> None:
    """Goal: the PUT of a killed injector may land after the first look. Method: it does."""
    cluster = FakeCluster().put(virtual_service())
    late = [faulty(virtual_service())]
    report = heal(
        cluster, Scope(NAMESPACE, "R1"), sleep=lambda s: void(late and cluster.put(late.pop()))
    )
    assert (report.removed, report.left) == ([PAYMENT], [])
    assert cluster.spec("payment-api") == virtual_service()


def test_not_being_able_to_look_is_an_error() -> None:
    """Goal: silence is not health. Method: every list is refused."""
    with pytest.raises(ApiRefusalError, match="403"):
        healed(FakeCluster(refuse={"items": [403] * 7}), run="R1")


def test_namespace_alone_where_the_rest_is_not_allowed() -> None:
    """Goal: a namespaced Role is enough. Method: listing everywhere is forbidden."""
    cluster = FakeCluster(refuse={"items-everywhere virtualservices": [403] * 2}).put(
        faulty(virtual_service())
    )
    report = healed(cluster, run="R1", everywhere=True)
    assert report.removed == [PAYMENT]
    assert report.notes == ["only ecommerce was looked at: items-everywhere: HTTP 403: refused"]


def test_edit_is_bounded_in_time() -> None:
    """Goal: no wait without an end. Method: conflicts for ever, a deadline of nothing."""
    cluster = FakeCluster(refuse={"replace": [409] * 99}).put(virtual_service())
    started_s = time.monotonic()
    with pytest.raises(ApiRefusalError, match="409"):
        edit(
            cluster,
            VIRTUAL_SERVICES,
            cluster.read(VIRTUAL_SERVICES, NAMESPACE, "payment-api"),
            faulty,
            deadline_s=0.0,
            pause=lambda s: None,
        )
    assert cluster.calls.count("replace virtualservices") == 1
    assert time.monotonic() - started_s < 5


def test_lost_answer_to_an_injection_is_not_injected_twice() -> None:
    """Goal: a PUT may take although its answer is lost. Method: it takes, then answers 0."""

    def lose(cluster: FakeCluster) -> None:
        if cluster.calls.count("replace virtualservices") == 0:
            cluster.put(faulty(cluster.spec("payment-api")))

    cluster = FakeCluster(meanwhile=lose, refuse={"replace": [0]}).put(virtual_service())
    now = cluster.read(VIRTUAL_SERVICES, NAMESPACE, "payment-api")
    after = edit(cluster, VIRTUAL_SERVICES, now, faulty, pause=lambda s: None)
    assert after is not None
    assert cluster.spec("payment-api") == faulty(virtual_service())


def test_refusals_are_errors_of_ours() -> None:
    """Goal: one family of errors. Method: its class, and what it says."""
    error = ApiRefusalError("get virtualservice/x", 403, "no")
    assert isinstance(error, SeatrialError)
    assert (error.message, error.transient) == ("get virtualservice/x: HTTP 403: no", False)


@pytest.mark.parametrize(
    ("refuse", "code"), [({}, 0), ({"replace": [403] * 99}, 5), ({"items": [403] * 7}, 3)]
)
def test_exit_code_of_the_program(
    capsys: pytest.CaptureFixture[str], refuse: dict[str, list[int]], code: int
) -> None:
    """Goal: 0 means nothing is left. Method: all goes well, no PUT is allowed, no look is."""
    cluster = FakeCluster(refuse=refuse).put(faulty(virtual_service("payment-api")))
    assert heal_main(["-n", NAMESPACE, "--all"], lambda kubeconfig, context: cluster) == code
    report = json.loads(capsys.readouterr().out)
    assert bool(report.get("left")) == (code == 5)
    assert ("error" in report) == (code == 3)
