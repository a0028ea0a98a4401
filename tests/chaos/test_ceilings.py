"""A target's bounds at the moment of the fault: pods have come and gone since they were counted."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from chaos_deployments import deployment
from chaos_fakes import FakeCluster
from chaos_objects import NAMESPACE, Object, pod, service
from chaos_plans import planned
from chaoslib.exceptions import ActivityFailed
from chaoslib.experiment import ensure_experiment_is_valid
from preview_world import TARGET

from runner.chaos import actions, probes
from runner.chaos.activities.shared import standing_in
from runner.chaos.client import ApiRefusalError
from runner.chaos.compile import compile_fault
from runner.chaos.deployments import replicas_of
from runner.chaos.objects import DEPLOYMENTS, PODS, SERVICES
from runner.model.target import Bounds

TOO_MUCH = "which is too much: the bounds of this target allow"
EVICT: dict[str, Any] = {"namespace": NAMESPACE, "node": "node-a"}
SCALE: dict[str, Any] = {"namespace": NAMESPACE, "deployment": "order-api", "service": "order-api"}
DENY: dict[str, Any] = {"namespace": NAMESPACE, "service": "order-api"}


@dataclass
class Shop(FakeCluster):
    """Three ready pods of order-api on node-a and one elsewhere; one more of another service.

    Attributes:
        held: Pods whose eviction a budget forbids.
        falls: Pods that stop being ready when the first one is evicted.
    """

    held: set[str] = field(default_factory=set)
    falls: list[str] = field(default_factory=list)

    def evict(self, pod: Object, grace_s: float | None = None) -> None:
        name = pod["metadata"]["name"]
        if name in self.held:
            self.held.discard(name)
            raise ApiRefusalError(f"evict {name}", 429, "disruption budget")
        super().evict(pod, grace_s)
        while self.falls:
            self.objects["pods"][self.falls.pop()]["status"]["conditions"][0]["status"] = "False"


def placed(name: str, node: str = "node-a", app: str = "order-api", **more: Any) -> Object:
    made = pod(name, **more)
    made["spec"]["nodeName"] = node
    made["metadata"]["labels"] = {"app": app}
    return made


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    monkeypatch.setenv("SEATRIAL_EFFECTS", str(tmp_path / "effects.jsonl"))
    fake = Shop()
    fake.put(placed("a"), placed("b"), placed("c"), placed("d", "node-b"), kind=PODS)
    fake.put(placed("x", app="other"), kind=PODS)
    fake.put(service(), service("other"), kind=SERVICES)
    fake.put(deployment(4, ready=4), kind=DEPLOYMENTS)
    with standing_in(fake):
        yield fake


def skipped(tmp_path: Path) -> dict[str, str]:
    lines = map(json.loads, (tmp_path / "effects.jsonl").read_text().splitlines())
    return {line["subject"]: line["detail"] for line in lines if line["what"] == "skipped"}


@pytest.mark.parametrize(
    ("bounds", "evicted", "why"),
    [
        ({"max_pods": 1}, ["a", "x"], "allow 1 (max_pods: 1)"),
        ({"max_percent": 60}, ["a", "b"], "allow 2 (max_percent: 60% of 4, rounded down)"),
        ({"min_healthy": 3}, ["a"], "allow 1 (min_healthy: 3)"),
        ({"max_pods": 9}, ["a", "b", "c", "x"], ""),
    ],
)
def test_drain_stops_at_the_bound_of_each_service(
    cluster: Shop, tmp_path: Path, bounds: dict[str, Any], evicted: list[str], why: str
) -> None:
    """Goal: evict as many as may go, and say why the others stay. Method: each bound, for a service
    with four ready pods and one with a single one; it ends long before its time."""
    done = actions.evict_pods(**EVICT, **bounds, until_wall_s=time.time())
    assert done["evicted"] == evicted
    stayed = {"a", "b", "c", "x"} - set(evicted)
    assert skipped(tmp_path).keys() == {f"pod/{name}" for name in stayed}
    for subject, reason in skipped(tmp_path).items():
        if subject != "pod/x":
            assert reason.startswith("order-api had 4 ready pods when the fault began, and")
            assert reason.endswith(why)


def test_drain_does_not_ask_again_for_pods_beyond_the_bound(cluster: Shop) -> None:
    """Goal: a bound does not pass, unlike a budget. Method: no pod may go, far before the end."""
    with pytest.raises(ActivityFailed, match=r"allow 0 \(max_pods: 0\)"):
        actions.evict_pods(**EVICT, max_pods=0, until_wall_s=time.time() + 600)
    assert cluster.evicted == []
    assert cluster.calls.count("items pods") <= 4


def test_drain_counts_its_evictions_over_all_rounds(cluster: Shop, tmp_path: Path) -> None:
    """Goal: a pod that is held by a budget goes at a later round, within the bound. Method: the
    first is held once; two may go, three are there; then the second round finds the bound met."""
    cluster.held = {"a"}
    done = actions.evict_pods(
        **EVICT, selector="app=order-api", max_pods=2, until_wall_s=time.time() + 1.2
    )
    assert done["evicted"] == ["b", "c"]
    assert "allow 2 (max_pods: 2)" in skipped(tmp_path)["pod/a"]


def test_drain_leaves_ready_pods_also_when_others_fall_meanwhile(
    cluster: Shop, tmp_path: Path
) -> None:
    """Goal: who is really ready counts. Method: two of four may go; with the first, the one on the
    other node falls; a second look comes because a budget holds another service's pod."""
    cluster.held, cluster.falls = {"b", "x"}, ["d"]
    cluster.put(placed("c", "node-b"), kind=PODS)
    done = actions.evict_pods(**EVICT, min_healthy=2, until_wall_s=time.time() + 1.2)
    assert "b" not in done["evicted"]
    assert skipped(tmp_path)["pod/b"] == (
        "order-api has 2 ready pods, and the bounds of this target leave 2 alone (min_healthy: 2)"
    )


def test_pods_that_are_not_ready_or_of_no_service_are_not_counted(cluster: Shop) -> None:
    """Goal: the count of the plan. Method: a pod that is not ready, and one that no Service has."""
    cluster.put(placed("a", ready=False), placed("y", app="nobody"), kind=PODS)
    done = actions.evict_pods(**EVICT, max_pods=1)
    assert done["evicted"] == ["a", "b", "x", "y"]


@pytest.mark.parametrize(
    ("bounds", "most"), [({"max_pods": 2}, 2), ({"max_percent": 50}, 2), ({"min_healthy": 3}, 1)]
)
def test_scaling_down_is_refused_beyond_the_bound(
    cluster: Shop, bounds: dict[str, Any], most: int
) -> None:
    """Goal: bounds at the gate and at the deed. Method: as many as may go, and one more; up."""
    assert probes.deployment_can_be_scaled(**SCALE, **bounds, replicas=4 - most)
    for refused in (probes.deployment_can_be_scaled, actions.scale_deployment):
        with pytest.raises(
            ActivityFailed,
            match=rf"to {3 - most} takes {most + 1} of 4 ready pods away, {TOO_MUCH} {most} ",
        ):
            refused(**SCALE, **bounds, replicas=3 - most)
    assert "replace deployments" not in cluster.calls
    actions.scale_deployment(**SCALE, **bounds, replicas=4 - most)
    assert replicas_of(cluster.spec("order-api", DEPLOYMENTS)) == 4 - most


def test_scaling_counts_who_is_ready_now_and_only_on_the_way_down(cluster: Shop) -> None:
    """Goal: anew, at the moment. Method: one pod less is ready; more replicas; a Deployment that no
    Service has the name of, by its own labels."""
    assert probes.deployment_can_be_scaled(**SCALE, replicas=3, min_healthy=3)
    cluster.put(placed("d", "node-b", ready=False), kind=PODS)
    with pytest.raises(ActivityFailed, match="takes 1 of 3 ready pods away"):
        probes.deployment_can_be_scaled(**SCALE, replicas=3, min_healthy=3)
    assert probes.deployment_can_be_scaled(**SCALE, replicas=9, max_pods=0)
    alone = {**SCALE, "service": ""}
    with pytest.raises(ActivityFailed, match="takes 1 of 3 ready pods away"):
        actions.scale_deployment(**alone, replicas=3, min_healthy=3)


@pytest.mark.parametrize("bounds", [{"max_pods": 3}, {"max_percent": 99}, {"min_healthy": 1}])
def test_network_is_not_denied_to_more_pods_than_may_be_hit(
    cluster: Shop, bounds: dict[str, Any]
) -> None:
    """Goal: all ready pods count. Method: bounds just too small for four; then one pod is gone."""
    for refused in (probes.network_can_be_denied, actions.deny_network):
        with pytest.raises(ActivityFailed, match=f"has 4 ready pods, all cut off, {TOO_MUCH}"):
            refused(**DENY, **bounds)
    assert cluster.objects.get("networkpolicies", {}) == {}
    if "max_pods" in bounds:
        del cluster.objects["pods"]["d"]
        assert probes.network_can_be_denied(**DENY, **bounds)
        assert len(actions.deny_network(**DENY, **bounds)) == 4


def test_numbers_that_bound_nothing_are_refused(cluster: Shop) -> None:
    """Goal: nothing is guessed. Method: what only somebody else's experiment can hold."""
    for refused in (
        lambda: actions.evict_pods(**EVICT, max_percent=300.0),
        lambda: actions.scale_deployment(**SCALE, replicas=1, max_pods=-1),
        lambda: actions.deny_network(**DENY, min_healthy=-1),
    ):
        with pytest.raises(ActivityFailed, match="bound nothing"):
            refused()


@pytest.mark.parametrize(
    ("kind", "fields", "functions"),
    [
        ("scale", {"replicas": 0}, {"deployment_can_be_scaled", "scale_deployment"}),
        ("network-deny", {}, {"network_can_be_denied", "deny_network"}),
        ("drain", {}, {"evict_pods"}),
    ],
)
def test_the_targets_bounds_go_with_the_fault(
    kind: str, fields: dict[str, Any], functions: set[str]
) -> None:
    """Goal: what seatrial.yaml says reaches the deed. Method: the activities that carry bounds."""
    bounds = Bounds(max_pods=2, max_percent=50, min_healthy=1)
    target = TARGET.model_copy(update={"bounds": bounds})
    experiment = compile_fault(planned(kind, "order-api", **fields), target, "r", 1_800_000_000.0)
    ensure_experiment_is_valid(json.loads(json.dumps(experiment)))
    activities = [*experiment["steady-state-hypothesis"]["probes"], *experiment["method"]]
    carry = {
        one["provider"]["func"]
        for one in activities
        if bounds.arguments.items() <= one["provider"]["arguments"].items()
    }
    assert carry == functions
