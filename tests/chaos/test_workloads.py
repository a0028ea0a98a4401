"""Deployments that are scaled or restarted: what is done, what is refused, what is on record."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from chaos_deployments import autoscaler, deployment
from chaos_fakes import FakeCluster
from chaos_objects import NAMESPACE, Object, pod
from chaoslib.exceptions import ActivityFailed

from runner.chaos import actions, probes
from runner.chaos.activities.shared import standing_in
from runner.chaos.annotation import ANNOTATION
from runner.chaos.deployments import (
    RESTARTED_AT,
    replicas_of,
)
from runner.chaos.objects import AUTOSCALERS, DEPLOYMENTS, PODS, Kind

WHICH: dict[str, Any] = {"namespace": NAMESPACE, "deployment": "order-api"}
NAMED = {"namespace": NAMESPACE, "run": "Run-1", "fault": "01-scale"}


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeCluster]:
    """A Deployment with two ready pods; all activities speak to it."""
    monkeypatch.setenv("SEATRIAL_EFFECTS", str(tmp_path / "effects.jsonl"))
    fake = FakeCluster().put(deployment(), kind=DEPLOYMENTS).put(pod("a"), pod("b"), kind=PODS)
    with standing_in(fake):
        yield fake


def effects(tmp_path: Path) -> list[tuple[str, str, str]]:
    file = tmp_path / "effects.jsonl"
    lines = file.read_text().splitlines() if file.exists() else []
    return [(e["what"], e["subject"], e["detail"]) for e in map(json.loads, lines)]


def scale(replicas: int = 5, **more: Any) -> None:
    actions.scale_deployment(**WHICH, replicas=replicas, run="Run-1", fault="01-scale", **more)


# -- scale ---------------------------------------------------------------------------------------


def test_scaling_and_the_way_back_are_exact(cluster: FakeCluster, tmp_path: Path) -> None:
    """Goal: the replicas, and what they were, in one request. Method: scale, look, remove."""
    before = cluster.spec("order-api", DEPLOYMENTS)
    scale()
    scaled = cluster.spec("order-api", DEPLOYMENTS)
    assert scaled["spec"]["replicas"] == 5
    (tag,) = json.loads(scaled["metadata"]["annotations"][ANNOTATION]).values()
    assert (tag["kind"], tag["service"]) == ("scale", "order-api")
    assert tag["state"] == {"was": 2, "set": 5}
    assert cluster.calls.count("replace deployments") == 1
    assert probes.deployment_is_scaled(**NAMED)
    assert actions.remove_fault(**NAMED, kinds=["deployments"]) == ["deployment/order-api"]
    assert probes.fault_is_gone(**NAMED, kinds=["deployments"])
    assert cluster.spec("order-api", DEPLOYMENTS) == before
    assert effects(tmp_path)[:2] == [
        ("injected", "deployment/order-api", "spec.replicas 2 → 5"),
        ("verified", "deployment/order-api", "5 replicas"),
    ]
    assert [what for what, _, _ in effects(tmp_path)[2:]] == ["removed", "gone"]


def test_replicas_that_were_not_stated_are_not_stated_again(cluster: FakeCluster) -> None:
    """Goal: exact undo. Method: a Deployment that leaves its replicas to the default."""
    cluster.put(deployment(None, ready=1), kind=DEPLOYMENTS)
    before = cluster.spec("order-api", DEPLOYMENTS)
    scale(3)
    actions.remove_fault(**NAMED)
    assert cluster.spec("order-api", DEPLOYMENTS) == before


@pytest.mark.parametrize(
    ("replicas", "stated", "reason"),
    [
        (2, 2, "has 2 replicas already: nothing would change"),
        (1, None, "has 1 replicas already"),
        (-1, 2, "cannot have -1 replicas"),
    ],
)
def test_scaling_that_changes_nothing_is_refused(
    cluster: FakeCluster, replicas: int, stated: int | None, reason: str
) -> None:
    """Goal: no fault that is none. Method: the present replicas, the default, a negative one."""
    cluster.put(deployment(stated), kind=DEPLOYMENTS)
    with pytest.raises(ActivityFailed, match=reason):
        probes.deployment_can_be_scaled(**WHICH, replicas=replicas)
    with pytest.raises(ActivityFailed, match=reason):
        scale(replicas)
    assert "replace deployments" not in cluster.calls


def test_autoscaler_forbids_scaling_except_to_nothing(cluster: FakeCluster) -> None:
    """Goal: no fight with a controller. Method: an autoscaler of this Deployment, 5 and 0."""
    cluster.put(autoscaler("hpa-1"), kind=AUTOSCALERS)
    with pytest.raises(ActivityFailed, match="horizontalpodautoscaler/hpa-1 takes care") as caught:
        scale(5)
    assert "replicas: 0" in str(caught.value)
    assert probes.deployment_can_be_scaled(**WHICH, replicas=0)
    scale(0)
    assert replicas_of(cluster.spec("order-api", DEPLOYMENTS)) == 0


def test_autoscalers_that_may_not_be_listed_are_no_obstacle(cluster: FakeCluster) -> None:
    """Goal: a role without autoscalers suffices. Method: refused, not there, and broken."""
    for status in (403, 404):
        cluster.refuse = {"items horizontalpodautoscalers": [status]}
        assert probes.deployment_can_be_scaled(**WHICH, replicas=1)
    cluster.refuse = {"items horizontalpodautoscalers": [400]}
    with pytest.raises(ActivityFailed, match="HTTP 400"):
        probes.deployment_can_be_scaled(**WHICH, replicas=1)


def test_deployment_that_is_not_there_is_named_with_those_that_are(cluster: FakeCluster) -> None:
    """Goal: help with a wrong name. Method: a name that is none."""
    with pytest.raises(ActivityFailed, match=r"no deployment/nobody .*accepted: order-api"):
        probes.deployment_can_be_scaled(namespace=NAMESPACE, deployment="nobody", replicas=1)


def test_fault_of_the_same_name_is_not_put_on_top_of_itself(cluster: FakeCluster) -> None:
    """Goal: no silent success of a second injection. Method: scale twice under one name."""
    scale(5)
    with pytest.raises(ActivityFailed, match="named seatrial-run-1-01-scale already") as caught:
        scale(6)
    assert "seatrial heal Run-1" in str(caught.value)


def test_faults_stack_and_the_lower_one_holds_under_the_upper(cluster: FakeCluster) -> None:
    """Goal: overlap. Method: two scalings; the first is looked at while the second is on."""
    scale(5)
    actions.scale_deployment(**WHICH, replicas=0, run="Run-1", fault="02-scale")
    now = time.time()
    assert probes.scaling_holds(**NAMED, until_wall_s=now)
    actions.remove_fault(**NAMED)
    assert replicas_of(cluster.spec("order-api", DEPLOYMENTS)) == 0
    actions.remove_fault(**NAMED | {"fault": "02-scale"})
    assert replicas_of(cluster.spec("order-api", DEPLOYMENTS)) == 2


def test_names_have_defaults_for_experiments_of_other_people(cluster: FakeCluster) -> None:
    """Goal: usable without a run. Method: no run, no fault, and the removal that fits."""
    actions.scale_deployment(**WHICH, replicas=0)
    removed = actions.remove_fault(namespace=NAMESPACE, fault="scale-order-api")
    assert removed == ["deployment/order-api"]


def test_somebody_elses_replicas_end_the_hold(cluster: FakeCluster) -> None:
    """Goal: a fault that vanished is no proof. Method: a user's number, and his own manifest."""
    scale(5)
    users = cluster.spec("order-api", DEPLOYMENTS)
    users["spec"]["replicas"] = 7
    cluster.put(users, kind=DEPLOYMENTS)
    with pytest.raises(ActivityFailed, match=r"has set spec\.replicas of .*order-api to 7"):
        probes.scaling_holds(**NAMED, until_wall_s=time.time() + 60)
    cluster.put(deployment(), kind=DEPLOYMENTS)
    with pytest.raises(ActivityFailed, match=r"no deployment carries seatrial-run-1-01-scale"):
        probes.scaling_holds(**NAMED, until_wall_s=time.time() + 60)


@pytest.mark.parametrize(
    ("ready", "generation", "seen"), [(5, 4, True), (4, 4, False), (5, 5, False)]
)
def test_replicas_are_seen_when_the_status_shows_them(
    cluster: FakeCluster, tmp_path: Path, ready: int, generation: int, seen: bool
) -> None:
    """Goal: somebody else's word. Method: as many ready pods as asked for, too few, an old word."""
    scale(5)
    shown = cluster.spec("order-api", DEPLOYMENTS)
    shown["metadata"]["generation"] = generation
    shown["status"] = deployment(ready=ready)["status"]
    cluster.put(shown, kind=DEPLOYMENTS)
    assert probes.scaling_holds(**NAMED, until_wall_s=time.time() + 0.3)
    found = [subject for what, subject, _ in effects(tmp_path) if what == "seen"]
    assert found == (["deployment/order-api"] if seen else [])


@dataclass
class Slow(FakeCluster):
    """A cluster whose list of Deployments comes when it is let go.

    Attributes:
        go: Set by the test.
    """

    go: threading.Event = field(default_factory=threading.Event)

    def items(self, kind: Kind, namespace: str | None, selector: str = "") -> list[Object]:
        if kind is DEPLOYMENTS:
            self.go.wait(60)
        return super().items(kind, namespace, selector)


def test_slow_api_server_does_not_end_a_scaling_late(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Goal: an absolute end; and what the status shows after it is no word about the fault. Method:
    a list that is not answered before the end, and shows the replicas after it."""
    monkeypatch.setenv("SEATRIAL_EFFECTS", str(tmp_path / "effects.jsonl"))
    fake = Slow()
    fake.put(deployment(), kind=DEPLOYMENTS)
    with standing_in(fake):
        scale(5)
        shown = fake.spec("order-api", DEPLOYMENTS)
        fake.put({**shown, "status": deployment(ready=5)["status"]}, kind=DEPLOYMENTS)
        before = set(threading.enumerate())
        assert probes.scaling_holds(**NAMED, until_wall_s=time.time() + 0.05)
    assert not fake.go.is_set()
    fake.go.set()
    for look in set(threading.enumerate()) - before:
        look.join(60)
    assert fake.calls.count("items deployments") == 1
    assert [what for what, _, _ in effects(tmp_path)] == ["injected"]


def test_who_may_not_look_does_not_hold_or_watch(cluster: FakeCluster) -> None:
    """Goal: a refusal for good is told at once. Method: 403 while it holds, and while pods are
    watched, long before the end."""
    scale(5)
    far_s = time.time() + 60
    cluster.refuse = {"items deployments": [503, 403]}
    with pytest.raises(ActivityFailed, match="HTTP 403"):
        probes.scaling_holds(**NAMED, until_wall_s=far_s)
    cluster.refuse = {"read deployments": [403, 403]}
    with pytest.raises(ActivityFailed, match="HTTP 403"):
        actions.watch_deployment(**WHICH, until_wall_s=far_s)
    with pytest.raises(ActivityFailed, match="HTTP 403"):
        probes.deployment_is_ready(**WHICH, within_s=60)
    cluster.refuse = {"items pods": [403]}
    with pytest.raises(ActivityFailed, match="HTTP 403"):
        actions.watch_pods(namespace=NAMESPACE, until_wall_s=far_s)


def test_return_is_on_record_unless_the_fault_was_cut_short(
    cluster: FakeCluster, tmp_path: Path
) -> None:
    """Goal: 'ready' after the way back. Method: whole, not whole, and before the planned end."""
    now = time.time()
    assert actions.watch_deployment(**WHICH, until_wall_s=now, not_before_wall_s=now + 60) is None
    assert cluster.calls == []
    cluster.put(deployment(ready=1), kind=DEPLOYMENTS)
    assert actions.watch_deployment(**WHICH, until_wall_s=now) is None
    assert effects(tmp_path) == []
    cluster.put(deployment(), kind=DEPLOYMENTS)
    took_s = actions.watch_deployment(**WHICH, until_wall_s=now)
    assert took_s is not None
    assert [entry[:2] for entry in effects(tmp_path)] == [("ready", "deployment/order-api")]


def test_api_server_that_is_away_does_not_end_a_watch(cluster: FakeCluster) -> None:
    """Goal: patience. Method: one answer is lost, and refused for a passing reason."""
    cluster.refuse = {"read deployments": [0, 503]}
    assert actions.watch_deployment(**WHICH, until_wall_s=time.time() + 20) is not None


@pytest.mark.parametrize(
    ("status", "ready"),
    [({}, True), ({"updatedReplicas": 1}, False), ({"availableReplicas": 1}, False)],
)
def test_deployment_is_ready_when_all_pods_are_new_and_available(
    cluster: FakeCluster, status: dict[str, int], ready: bool
) -> None:
    """Goal: a probe for anybody. Method: each count that can be behind."""
    cluster.put(deployment(**status), kind=DEPLOYMENTS)
    if ready:
        assert probes.deployment_is_ready(**WHICH)
        return
    with pytest.raises(ActivityFailed, match=r"order-api is not ready: 2 of 2 pods ready"):
        probes.deployment_is_ready(**WHICH)


# -- rollout-restart -----------------------------------------------------------------------------


@dataclass
class Rolling(FakeCluster):
    """A cluster whose controller replaces pods, one step at each list of pods."""

    steps: tuple[list[Object], ...] = ()
    last: Object = field(default_factory=dict)

    def items(self, kind: Kind, namespace: str | None, selector: str = "") -> list[Object]:
        if kind is PODS and self.steps:
            self.objects["pods"] = {}
            self.put(*self.steps[0], kind=PODS)
            self.steps = self.steps[1:]
            if not self.steps:
                done = self.spec("order-api", DEPLOYMENTS)
                self.put({**done, "status": self.last}, kind=DEPLOYMENTS)
        return super().items(kind, namespace, selector)

    def replace(self, kind: Kind, body: Object) -> Object:
        body = {**body, "metadata": {**body["metadata"], "generation": 5}}
        return super().replace(kind, body)


def rolling(*steps: list[Object]) -> Rolling:
    fake = Rolling()
    fake.put(deployment(), kind=DEPLOYMENTS)
    leaving = pod("z")
    leaving["metadata"]["deletionTimestamp"] = "2026-11-20T10:00:00Z"
    fake.steps = ([pod("a"), pod("b"), leaving], *steps)
    fake.last = {**deployment()["status"], "observedGeneration": 5}
    return fake


def test_restart_is_followed_until_every_pod_is_new_and_ready(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Goal: each old pod gone, each new one on record, how many were ready. Method: three steps."""
    monkeypatch.setenv("SEATRIAL_EFFECTS", str(tmp_path / "effects.jsonl"))
    steps = (
        [pod("a"), pod("b"), pod("c", ready=False)],
        [pod("b"), pod("c")],
        [pod("c"), pod("d")],
        [pod("c"), pod("d")],
    )
    fake = rolling(*steps)
    with standing_in(fake):
        done = actions.restart_rollout(**WHICH, follow_until_wall_s=time.time() + 60)
    template = fake.spec("order-api", DEPLOYMENTS)["spec"]["template"]
    assert list(template["metadata"]["annotations"]) == [RESTARTED_AT]
    assert done["before"] == {"a": "uid-a", "b": "uid-b"}
    assert done["after"] == {"c": "uid-c", "d": "uid-d"}
    assert done["fewest_ready"] == 2
    assert done["finished_after_s"] > 0
    assert [entry[:2] for entry in effects(tmp_path)] == [
        ("injected", "deployment/order-api"),
        ("replaced", "pod/c"),
        ("replaced", "pod/d"),
        ("ready", "deployment/order-api"),
    ]
    assert "pods: a (uid uid-a), b (uid uid-b)" in effects(tmp_path)[0][2]
    assert "never fewer than 2 ready" in effects(tmp_path)[-1][2]


def test_rollout_that_does_not_finish_is_a_finding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Goal: no crash and no 'ready'. Method: an old pod that stays, until the bound; few ready."""
    monkeypatch.setenv("SEATRIAL_EFFECTS", str(tmp_path / "effects.jsonl"))
    unready = pod("c", ready=False)
    fake = rolling([pod("a"), unready], [pod("a"), unready])
    with standing_in(fake):
        done = actions.restart_rollout(**WHICH, follow_until_wall_s=time.time() + 0.6)
    assert done["finished_after_s"] is None
    assert done["fewest_ready"] == 1
    # A new pod that is not ready is in nobody's place.
    assert [what for what, _, _ in effects(tmp_path)] == ["injected"]


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        ({"paused": True}, "is paused: a restart would do nothing"),
        ({"replicas": 0}, "has no pods to restart"),
        ({"replicas": 3}, r"under way, or stuck: 2 of 3 pods ready"),
    ],
)
def test_restart_that_could_not_be_told_from_another_is_refused(
    cluster: FakeCluster, state: dict[str, Any], reason: str
) -> None:
    """Goal: a rollout of ours alone. Method: paused, empty, and one under way."""
    body = deployment()
    body["spec"].update(state)
    cluster.put(body, kind=DEPLOYMENTS)
    with pytest.raises(ActivityFailed, match=reason):
        probes.rollout_can_be_restarted(**WHICH)
    with pytest.raises(ActivityFailed, match=reason):
        actions.restart_rollout(**WHICH)
    assert "replace deployments" not in cluster.calls


def test_old_template_under_way_is_refused_too(cluster: FakeCluster) -> None:
    """Goal: all counts are looked at. Method: one pod of the old template is left."""
    cluster.put(deployment(updatedReplicas=1), kind=DEPLOYMENTS)
    with pytest.raises(ActivityFailed, match="1 updated"):
        probes.rollout_can_be_restarted(**WHICH)
