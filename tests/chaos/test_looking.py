"""Looking for faults on a bad day: what is not seen is said, and does not hide the rest."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from chaos_fakes import FakeCluster
from chaos_objects import NAMESPACE, route, virtual_service

from runner.chaos import fields
from runner.chaos.annotation import Tag
from runner.chaos.carriers import CARRIERS, REPLICAS
from runner.chaos.client import ApiRefusalError
from runner.chaos.heal import Healing, Scope, heal
from runner.chaos.objects import DEPLOYMENTS
from runner.chaos.virtualservice import abort_block, add_fault

Object = dict[str, Any]
RUN = "R1"
SCALED = "deployment/order-api in ecommerce"


def tag() -> Tag:
    block = abort_block(503, 50)
    return Tag(RUN, "01-x", "o", "2999-01-01T00:00:00Z", service="payment-api", block=block)


def cluster(**refuse: list[int]) -> FakeCluster:
    """A cluster with a fault on a VirtualService and one on a Deployment."""
    metadata = {"name": "order-api", "namespace": NAMESPACE}
    deployment: Object = {"kind": "Deployment", "metadata": metadata, "spec": {"replicas": 3}}
    refusals = {name.replace("_", " "): statuses for name, statuses in refuse.items()}
    return (
        FakeCluster(refuse=refusals)
        .put(add_fault(virtual_service(), tag()))
        .put(fields.push(deployment, tag(), REPLICAS, 0), kind=DEPLOYMENTS)
    )


def healed(found: FakeCluster, **scope: Any) -> Healing:
    options: Any = {"deadline_s": 0.02, "sleep": lambda seconds: None}
    return heal(found, Scope(NAMESPACE, **{"run": RUN, **scope}), **options)


@pytest.mark.parametrize("status", [0, 409, 429, 500, 503, 401])
def test_a_kind_that_cannot_be_listed_keeps_nobody_from_healing_the_rest(status: int) -> None:
    """Goal: as much as possible is healed, and 0 is not said. Method: one kind is refused for
    ever; it is named with the reason, and the other one is healed."""
    found = cluster(items_virtualservices=[status] * 999)
    report = healed(found)
    assert report.removed == [SCALED]
    assert found.spec("order-api", DEPLOYMENTS)["spec"] == {"replicas": 3}
    (left,) = report.left
    reason = "no answer" if status == 0 else f"HTTP {status}: refused"
    assert left == f"virtualservices in ecommerce: items: {reason}"


def test_what_may_not_be_seen_is_a_note_unless_it_is_known_to_be_changed() -> None:
    """Goal: no false health, no false alarm. Method: 403 on a kind, without and with the run's own
    record that an object of it was changed."""
    report = healed(cluster(items_virtualservices=[403] * 9))
    assert report.left == []
    assert report.notes == ["not looked at: items: HTTP 403: refused"]
    expected = frozenset({"virtualservice/payment-api"})
    report = healed(cluster(items_virtualservices=[403] * 9), expected=expected)
    assert report.left == [
        "virtualservices in ecommerce (virtualservice/payment-api was changed): items: "
        "HTTP 403: refused"
    ]


def test_a_server_that_does_not_answer_is_not_asked_for_every_kind() -> None:
    """Goal: a bound in time although each request takes its own. Method: silence, and no time."""
    found = cluster(items=[0] * 99)
    with pytest.raises(ApiRefusalError, match="no answer"):
        heal(found, Scope(NAMESPACE, RUN), deadline_s=0.0, sleep=lambda seconds: None)
    assert len(found.calls) == 4  # Two looks of two requests each.


def test_a_server_that_answers_again_in_time_is_healed_as_a_whole() -> None:
    """Goal: retried, kind by kind. Method: every kind is refused twice."""
    found = cluster(items=[500] * (2 * len(CARRIERS)))
    options: Any = {"deadline_s": 60.0, "sleep": lambda seconds: None}
    report = heal(found, Scope(NAMESPACE, RUN), **options)
    assert (len(report.removed), report.left) == (2, [])


def test_without_a_second_look_nothing_is_taken_for_healed() -> None:
    """Goal: verified by looking again. Method: the API server falls silent after the writes."""
    found = cluster(items=[200] * len(CARRIERS) + [0] * 99)
    report = healed(found)
    assert len(report.removed) == 2
    assert report.left == ["what was healed: no second look: items: no answer"]


def test_what_could_not_be_written_and_not_be_seen_again_is_named() -> None:
    """Goal: exactly which object. Method: no PUT takes, and then one kind cannot be listed."""
    found = cluster(items_virtualservices=[200] + [500] * 99, replace_virtualservices=[500] * 99)
    report = healed(found)
    assert report.removed == [SCALED]
    assert report.left == [
        "virtualservice/payment-api in ecommerce: fault 01-x of run R1: replace: HTTP 500: refused",
        "virtualservices in ecommerce: items: HTTP 500: refused",
    ]


def test_writes_that_nobody_answers_are_not_all_waited_for() -> None:
    """Goal: a bound, whatever the number of objects. Method: five faults, and silence at each."""
    found = FakeCluster(refuse={"replace": [0] * 99})
    for name in "abcde":
        vs = virtual_service(name, route(name))
        one = Tag(RUN, "01-x", "o", "2999-01-01T00:00:00Z", name, abort_block(503, 50))
        found.put(add_fault(vs, one))
    report = heal(found, Scope(NAMESPACE, RUN), deadline_s=0.0, sleep=lambda seconds: None)
    assert found.calls.count("replace virtualservices") == 2
    assert [left.partition("R1: ")[2] for left in report.left] == [
        *["replace: no answer"] * 2,
        *["nobody answers, and the time is over"] * 3,
    ]


def test_an_object_that_nobody_understands_hides_no_other() -> None:
    """Goal: one odd object is not the end of all healing. Method: an annotation of endless depth,
    and routes that are none, on an object with our mark and on one without."""
    deep = add_fault(virtual_service("deep", route("deep")), replace(tag(), service="deep"))
    deep["metadata"]["annotations"]["seatrial.dev/faults"] = "[" * 100_000
    found = cluster().put(deep)
    for name, routes in (("odd", ["seatrial-x"]), ("his", ["x"])):
        found.put({**virtual_service(name), "spec": {"http": routes}})
    report = healed(found)
    assert {SCALED, "virtualservice/deep in ecommerce"} <= set(report.removed)
    assert report.left == [
        "virtualservice/odd: it cannot be understood: 'str' object has no attribute 'get'"
    ]
    assert found.spec("deep") == virtual_service("deep", route("deep"))


def test_an_object_that_cannot_be_changed_back_hides_no_other() -> None:
    """Goal: a mistake of ours on one object is told, and the rest is healed. Method: somebody has
    made a route of what is none, before which another run's fault stands, too."""
    twice = add_fault(virtual_service("odd", route("odd")), replace(tag(), service="odd"))
    twice = add_fault(twice, replace(tag(), service="odd", run="R2"))
    twice["spec"]["http"][-1]["route"] = ["nonsense"]
    found = cluster().put(twice)
    report = healed(found)
    assert report.removed == ["virtualservice/payment-api in ecommerce", SCALED]
    assert report.left == [
        "virtualservice/odd in ecommerce: fault 01-x of run R1: it cannot be understood: "
        "'str' object has no attribute 'get'"
    ]
