"""Actions, probes and heal against an API server, in this process: what they do to objects."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bare_api import NAMESPACE, BareApi, users_part
from chaos_objects import pod, route, service, virtual_service
from chaoslib.exceptions import ActivityFailed, InterruptExecution

from runner.chaos import actions, probes
from runner.chaos.activities.around import EXIT_WITH_ROLLBACKS, activity, rollback
from runner.chaos.annotation import ANNOTATION
from runner.chaos.client import KubeCluster
from runner.chaos.heal import main as heal_main
from runner.chaos.objects import PODS
from runner.errors import FaultError, TargetError

pytestmark = pytest.mark.sandbox


@pytest.fixture
def where(bare_api: BareApi, tmp_path: Path) -> dict[str, Any]:
    """Arguments that all activities share."""
    return {
        "namespace": NAMESPACE,
        "run": "Run-1",
        "fault": "01-x",
        "kubeconfig": str(bare_api.kubeconfig),
        "context": "seatrial-bare",
        "effects": str(tmp_path / "effects.jsonl"),
    }


def without(where: dict[str, Any], *names: str) -> dict[str, Any]:
    return {key: value for key, value in where.items() if key not in names}


def effects(where: dict[str, Any]) -> list[tuple[str, str]]:
    lines = Path(where["effects"]).read_text().splitlines()
    return [(e["what"], e["subject"]) for e in map(json.loads, lines)]


def test_fault_is_put_in_place_proved_and_taken_away(
    bare_api: BareApi, where: dict[str, Any]
) -> None:
    """Goal: the whole life of a fault. Method: two VirtualServices with a route to one service."""
    objects = [
        virtual_service("one", route("svc-a"), route("svc-b")),
        virtual_service("two", route(f"svc-a.{NAMESPACE}.svc.cluster.local"), labels={"a": "b"}),
    ]
    before = [users_part(bare_api.put(vs)) for vs in objects]
    subjects = ["virtualservice/one", "virtualservice/two"]
    assert actions.delay_requests(service="svc-a", delay_s=1.5, percent=10, **where) == subjects
    assert probes.fault_is_in_place(service="svc-a", **where)
    copied = bare_api.routes("one")[0]
    assert copied["name"] == "seatrial-run-1-01-x-1"
    assert copied["fault"] == {"delay": {"fixedDelay": "1500ms", "percentage": {"value": 10.0}}}
    with pytest.raises(ActivityFailed, match=r"still on virtualservice/one, virtualservice/two"):
        probes.fault_is_gone(**where)
    assert actions.remove_fault(**where) == subjects
    assert probes.fault_is_gone(**where)
    assert [users_part(bare_api.get(name)) for name in ("one", "two")] == before
    expected = [(what, s) for what in ("injected", "verified", "removed") for s in subjects]
    assert effects(where) == [*expected, ("gone", "fault/seatrial-run-1-01-x")]
    for name in ("one", "two"):
        bare_api.delete(name)


def test_no_route_is_a_failure_that_says_where_it_looked(
    bare_api: BareApi, where: dict[str, Any]
) -> None:
    """Goal: no silent success. Method: a service that nobody routes to."""
    bare_api.put(virtual_service("three", route("svc-c")))
    message = r"no VirtualService in ecommerce routes HTTP requests to nobody; looked at: .*three"
    with pytest.raises(ActivityFailed, match=message):
        actions.abort_requests(service="nobody", status=503, **where)
    with pytest.raises(ActivityFailed, match=message):
        probes.routes_exist("nobody", NAMESPACE, where["kubeconfig"], where["context"])
    assert users_part(bare_api.get("three"))["metadata"] == {}


def test_share_of_nothing_is_refused_before_anything_is_touched(where: dict[str, Any]) -> None:
    """Goal: no fault of 0 %. Method: percent 0."""
    with pytest.raises(ActivityFailed, match="cannot be measured"):
        actions.abort_requests(service="svc", status=503, percent=0, **where)


def test_fault_that_somebody_takes_away_is_noticed_while_it_should_hold(
    bare_api: BareApi, where: dict[str, Any]
) -> None:
    """Goal: a fault that vanished is no proof. Method: the user applies his own version."""
    bare_api.put(virtual_service("svc-d"))
    actions.abort_requests(service="svc-d", status=503, **where)
    current = bare_api.get("svc-d")
    bare_api.edit({**current, "spec": virtual_service("svc-d")["spec"]})
    hold = without(where, "effects") | {"until_wall_s": time.time() + 60}
    with pytest.raises(ActivityFailed, match=r"svc-d does not carry seatrial-run-1-01-x"):
        probes.fault_holds(service="svc-d", **hold)
    actions.remove_fault(**where)
    assert ANNOTATION not in bare_api.get("svc-d")["metadata"].get("annotations", {})


def test_hold_ends_at_its_time(bare_api: BareApi, where: dict[str, Any]) -> None:
    """Goal: an absolute end. Method: an end in the near future, and one that has passed."""
    bare_api.put(virtual_service("svc-e"))
    actions.abort_requests(service="svc-e", status=503, **where)
    hold = without(where, "effects") | {"service": "svc-e"}
    end_s = time.time() + 0.3
    assert probes.fault_holds(until_wall_s=end_s, **hold)
    assert time.time() >= end_s
    assert probes.fault_holds(until_wall_s=0.0, **hold)
    actions.remove_fault(**where)


def test_wait_ends_at_its_time() -> None:
    """Goal: exact offsets. Method: a wait of a moment, and one whose time has passed."""
    end_s = time.time() + 0.05
    late_s = actions.wait_until(end_s)
    assert time.time() >= end_s
    assert late_s >= 0
    assert actions.wait_until(time.time() - 5) >= 5


def test_undo_against_a_rival_who_keeps_writing(bare_api: BareApi, where: dict[str, Any]) -> None:
    """Goal: conflicts are retried and the rival's work stays. Method: he writes all the time."""
    bare_api.put(virtual_service("svc-f"))
    actions.abort_requests(service="svc-f", status=503, **where)
    stop, writes = threading.Event(), [0]

    def write() -> None:
        from kubernetes.client.exceptions import ApiException

        while not stop.is_set():
            mine = bare_api.get("svc-f")
            mine["spec"]["http"][-1]["timeout"] = f"{writes[0] + 1}s"
            try:
                bare_api.edit(mine)
            except ApiException:  # We were faster: a conflict.
                continue
            writes[0] += 1
            stop.wait(0.002)

    rival = threading.Thread(target=write)
    rival.start()
    try:
        actions.remove_fault(**where)
    finally:
        stop.set()
        rival.join()
    assert probes.fault_is_gone(**where)
    expected = [route("svc-f", timeout=f"{writes[0]}s" if writes[0] else "30s")]
    assert bare_api.routes("svc-f") == expected


def test_object_that_was_deleted_needs_no_undo(bare_api: BareApi, where: dict[str, Any]) -> None:
    """Goal: undo does not fail on what is gone. Method: delete the object during the fault."""
    bare_api.put(virtual_service("svc-g"))
    actions.abort_requests(service="svc-g", status=503, **where)
    bare_api.delete("svc-g")
    assert actions.remove_fault(**where) == []
    assert probes.fault_is_gone(**where)


def test_heal_as_a_program_reports_in_json(
    bare_api: BareApi, where: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    """Goal: heal works for other programs. Method: its output and exit code, twice, and blind."""
    before = users_part(bare_api.put(virtual_service("svc-h")))
    actions.abort_requests(service="svc-h", status=503, **where)
    argv = ["--kubeconfig", where["kubeconfig"], "-n", NAMESPACE, "--run", "Run-1"]
    subject = "virtualservice/svc-h in ecommerce"
    for removed in ([subject], []):
        assert heal_main([*argv, "--everywhere"]) == 0
        report = json.loads(capsys.readouterr().out)
        assert (report["removed"], report["left"]) == (removed, [])
    assert users_part(bare_api.get("svc-h")) == before
    assert heal_main(["--kubeconfig", "nowhere", "-n", NAMESPACE, "--all"]) == 3
    assert "nowhere" in json.loads(capsys.readouterr().out)["error"]


def test_kubeconfig_and_context_must_be_there(bare_api: BareApi) -> None:
    """Goal: never another cluster by accident. Method: no file, and a context that is not in it."""
    with pytest.raises(TargetError, match="no kubeconfig"):
        KubeCluster("")
    with pytest.raises(TargetError, match="production"):
        KubeCluster(str(bare_api.kubeconfig), "production")


# -- pods ----------------------------------------------------------------------------------------


@pytest.fixture
def order_pods(bare_api: BareApi) -> Iterator[str]:
    """Two ready pods of a ReplicaSet, and a Service; yields the ReplicaSet's UID."""
    labels = {"app": "order-api"}
    template = {"metadata": {"labels": labels}, "spec": pod("x")["spec"]}
    replica_sets = ("apps", "v1", NAMESPACE, "replicasets")
    created = bare_api.custom.create_namespaced_custom_object(
        *replica_sets,
        {
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "metadata": {"name": "order-api-1"},
            "spec": {"replicas": 2, "selector": {"matchLabels": labels}, "template": template},
        },
    )
    uid = str(created["metadata"]["uid"])
    bare_api.core.create_namespaced_service(NAMESPACE, service())
    for name in ("order-api-a", "order-api-b"):
        make_pod(bare_api, name, uid)
    yield uid
    bare_api.core.delete_namespaced_service("order-api", NAMESPACE, _preload_content=False)
    for item in bare_api.core.list_namespaced_pod(NAMESPACE).items:
        bare_api.core.delete_namespaced_pod(
            item.metadata.name, NAMESPACE, grace_period_seconds=0, _preload_content=False
        )
    bare_api.custom.delete_namespaced_custom_object(*replica_sets, "order-api-1")


def make_pod(api: BareApi, name: str, owner: str) -> None:
    body = pod(name, owner=owner)
    status = body.pop("status")
    del body["metadata"]["uid"]
    api.core.create_namespaced_pod(NAMESPACE, body)
    api.core.patch_namespaced_pod_status(name, NAMESPACE, {"status": status})


def test_killed_pod_is_followed_until_its_replacement_is_ready(
    bare_api: BareApi, order_pods: str, where: dict[str, Any]
) -> None:
    """Goal: evidence of the kill and of the return. Method: a stand-in for the controller."""
    kill = without(where, "run", "fault") | {"service": "order-api", "seed": 3}
    pods_before = {
        item.metadata.name: item.metadata.uid
        for item in bare_api.core.list_namespaced_pod(NAMESPACE).items
    }

    def replace() -> None:
        while len(bare_api.core.list_namespaced_pod(NAMESPACE).items) == 2:
            time.sleep(0.02)
        make_pod(bare_api, "order-api-c", order_pods)

    controller = threading.Thread(target=replace)
    controller.start()
    done = actions.kill_pods(follow_until_wall_s=time.time() + 30, **kill)
    controller.join()
    (victim,) = done["killed"]
    assert done["candidates"] == ["order-api-a", "order-api-b"]
    assert victim["uid"] == pods_before[victim["name"]]
    assert (victim["node"], victim["owner"]) == ("node-a", order_pods)
    assert done["recovered_after_s"] > 0
    assert effects(where) == [
        ("killed", f"pod/{victim['name']}"),
        ("replaced", "pod/order-api-c"),
        ("ready", f"pods/{victim['name']}"),
    ]


def test_kill_that_would_leave_too_few_is_refused_and_recorded(
    bare_api: BareApi, order_pods: str, where: dict[str, Any]
) -> None:
    """Goal: bounds hold. Method: both of two pods, with one to be left healthy."""
    kill = without(where, "run", "fault")
    with pytest.raises(ActivityFailed, match="2 ready pods have app=order-api"):
        actions.kill_pods(service="order-api", count=2, **kill)
    assert effects(where) == [("skipped", "pods/app=order-api")]
    assert len(bare_api.core.list_namespaced_pod(NAMESPACE).items) == 2
    with pytest.raises(ActivityFailed, match="needs to know its candidates"):
        actions.kill_pods(**kill)
    look = without(kill, "effects") | {"selector": "app=order-api"}
    assert probes.pods_can_be_killed(count=1, **look)
    with pytest.raises(ActivityFailed, match="killing 2"):
        probes.pods_can_be_killed(count=2, **look)


def test_pod_that_has_changed_hands_is_not_killed(bare_api: BareApi, order_pods: str) -> None:
    """Goal: the UID is a precondition. Method: the name of a living pod, the UID of another."""
    cluster = KubeCluster(str(bare_api.kubeconfig))
    with pytest.raises(TargetError, match="HTTP 409"):
        cluster.delete(
            PODS, {"metadata": {"name": "order-api-a", "namespace": NAMESPACE, "uid": "other"}}, 0.0
        )
    assert bare_api.core.read_namespaced_pod("order-api-a", NAMESPACE).status.phase == "Running"


# -- what Chaos Toolkit hears --------------------------------------------------------------------


def test_errors_reach_the_journal_as_one_line() -> None:
    """Goal: readable journals. Method: an error of ours with everything in it."""

    @activity
    def fails() -> None:
        raise FaultError("no route\nto it", accepted="a route", hint="make one")

    with pytest.raises(ActivityFailed) as caught:
        fails()
    assert str(caught.value) == "no route to it; accepted: a route; make one"


def test_sigterm_ends_the_experiment_instead_of_one_step() -> None:
    """Goal: the library's swallowed SIGTERM. Method: what it raises inside of an activity."""

    @activity
    def interrupted() -> None:
        raise InterruptExecution("SIGTERM")

    with pytest.raises(SystemExit) as caught:
        interrupted()
    assert caught.value.code == EXIT_WITH_ROLLBACKS


@pytest.mark.parametrize("signal", [InterruptExecution("SIGTERM"), SystemExit(20)])
def test_rollback_that_is_interrupted_is_carried_out_all_the_same(signal: BaseException) -> None:
    """Goal: a signal never skips an undo. Method: interrupt its first try."""
    tries = []

    @rollback
    def undo() -> None:
        tries.append(1)
        if len(tries) == 1:
            raise signal

    with pytest.raises(SystemExit):
        undo()
    assert len(tries) == 2
