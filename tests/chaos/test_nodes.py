"""Nodes that are cordoned and drained: which one, which pods, what is refused, what is told."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from chaos_fakes import FakeCluster
from chaos_objects import NAMESPACE, Object, pod, service
from chaoslib.exceptions import ActivityFailed

from runner.chaos import actions, nodes, probes
from runner.chaos.activities.shared import standing_in
from runner.chaos.annotation import ANNOTATION
from runner.chaos.client import ApiRefusalError
from runner.chaos.drains import Drain
from runner.chaos.objects import NODES, PODS, SERVICES
from runner.errors import FaultError

NAMED: dict[str, Any] = {"namespace": NAMESPACE, "run": "Run-1", "fault": "01-drain"}
HELD = "Cannot evict pod as it would violate the pod's disruption budget."


def node(name: str, *, cordoned: bool = False, ready: bool = True) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name},
        "spec": {"unschedulable": True} if cordoned else {},
        "status": {"conditions": [{"type": "Ready", "status": "True" if ready else "False"}]},
    }


def placed(name: str, on: str = "node-a", owner: str = "ReplicaSet", **more: Any) -> Object:
    """A ready pod on a node; ``owner`` is the kind of its controller, or empty for none."""
    made = pod(name, **more)
    made["spec"]["nodeName"] = on
    if owner:
        made["metadata"]["ownerReferences"][0]["kind"] = owner
    else:
        del made["metadata"]["ownerReferences"]
    return made


@dataclass
class Cluster(FakeCluster):
    """Evicted pods are replaced on another node at once, as far as budgets allow.

    Attributes:
        vanishing: Pods that are gone just before they would be evicted.
        held: For each pod, how often its eviction is refused with 429.
    """

    held: dict[str, int] = field(default_factory=dict)
    vanishing: set[str] = field(default_factory=set)

    def evict(self, pod: Object, grace_s: float | None = None) -> None:
        name = pod["metadata"]["name"]
        if self.held.get(name, 0) > 0:
            self.held[name] -= 1
            raise ApiRefusalError(f"evict {name}", 429, HELD)
        if name in self.vanishing:
            del self.objects["pods"][name]
            raise ApiRefusalError(f"evict {name}", 404, "not found")
        super().evict(pod, grace_s)
        self.put(placed(f"{name}-new", "node-b"), kind=PODS)


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """Two nodes, and a service with a pod on each; all activities speak to it."""
    monkeypatch.setenv("SEATRIAL_EFFECTS", str(tmp_path / "effects.jsonl"))
    fake = Cluster()
    fake.put(node("node-a"), node("node-b"), kind=NODES)
    fake.put(placed("a"), placed("b", "node-b"), kind=PODS).put(service(), kind=SERVICES)
    with standing_in(fake):
        yield fake


def effects(tmp_path: Path) -> list[tuple[str, str, str]]:
    file = tmp_path / "effects.jsonl"
    lines = file.read_text().splitlines() if file.exists() else []
    return [(e["what"], e["subject"], e["detail"]) for e in map(json.loads, lines)]


def cordon(name: str = "node-a", **more: Any) -> str:
    subject: str = actions.cordon_node(**NAMED, node=name, kind="drain", **more)
    return subject


# -- cordon --------------------------------------------------------------------------------------


def test_cordon_and_the_way_back_are_exact(cluster: Cluster, tmp_path: Path) -> None:
    """Goal: one request with the mark, one back. Method: cordon, look, remove, compare."""
    before = cluster.spec("node-a", NODES)
    assert cordon() == "node/node-a"
    after = cluster.spec("node-a", NODES)
    assert after["spec"] == {"unschedulable": True}
    (tag,) = json.loads(after["metadata"]["annotations"][ANNOTATION]).values()
    assert (tag["kind"], tag["state"]) == ("drain", {"was": None, "set": True})
    assert cluster.calls.count("replace nodes") == 1
    assert probes.node_is_cordoned(**NAMED)
    assert probes.cordon_holds(**NAMED, until_wall_s=time.time())
    assert actions.remove_fault(**NAMED, kinds=["nodes"]) == ["node/node-a"]
    assert cluster.spec("node-a", NODES) == before
    assert effects(tmp_path)[:2] == [
        ("injected", "node/node-a", "spec.unschedulable unset → true"),
        ("verified", "node/node-a", "unschedulable"),
    ]


def test_node_is_drawn_from_those_that_hold_a_ready_pod(cluster: Cluster) -> None:
    """Goal: a node that matters, chosen by seed. Method: many seeds, on three of four nodes."""
    cluster.put(node("node-c"), node("node-d"), kind=NODES)
    cluster.put(placed("c", "node-c", ready=False), placed("d", "node-d"), kind=PODS)
    by_name = {name: cluster.spec(name, NODES) for name in cluster.objects["nodes"]}
    pods = list(cluster.objects["pods"].values())
    drawn = [nodes.chosen_node(pods, by_name, seed) for seed in range(40)]
    assert set(drawn) == {"node-a", "node-b", "node-d"}
    assert nodes.chosen_node(pods[::-1], by_name, 7) == drawn[7]
    by_name["node-a"]["spec"]["unschedulable"] = True
    assert {nodes.chosen_node(pods, by_name, seed) for seed in range(40)} == {"node-b", "node-d"}
    with pytest.raises(FaultError, match="node-a cordoned already"):
        nodes.chosen_node([placed("a")], by_name, 0)
    with pytest.raises(FaultError, match=r"holds a ready pod of the service\n"):
        nodes.chosen_node([], by_name, 0)


def test_node_of_the_services_pods_is_taken_when_none_is_named(cluster: Cluster) -> None:
    """Goal: the Service's own selector. Method: a pod of another service on a node of its own."""
    other = placed("x", "node-c")
    other["metadata"]["labels"] = {"app": "other"}
    cluster.put(node("node-c"), kind=NODES).put(other, kind=PODS)
    found = {
        actions.cordon_node(namespace=NAMESPACE, service="order-api", seed=seed, fault=f"{seed}")
        for seed in range(2)
    }
    assert found == {"node/node-a", "node/node-b"}


def test_cordon_of_a_cordoned_node_is_refused(cluster: Cluster) -> None:
    """Goal: no fault that changes nothing. Method: somebody's cordon, and a node that is none."""
    cluster.put(node("node-c", cordoned=True), kind=NODES)
    for act in (probes.node_can_be_cordoned, probes.node_can_be_drained, actions.cordon_node):
        with pytest.raises(ActivityFailed, match="somebody has cordoned it"):
            act(namespace=NAMESPACE, node="node-c")
        with pytest.raises(ActivityFailed, match="no node/nowhere; accepted: node-a, node-b"):
            act(namespace=NAMESPACE, node="nowhere")
    assert "replace nodes" not in cluster.calls


def test_cordons_of_ours_stack(cluster: Cluster) -> None:
    """Goal: overlap. Method: two on one node; it is free when the last one is gone."""
    cordon()
    actions.cordon_node(**NAMED | {"fault": "02-cordon"}, node="node-a")
    actions.remove_fault(**NAMED)
    assert cluster.spec("node-a", NODES)["spec"] == {"unschedulable": True}
    actions.remove_fault(**NAMED | {"fault": "02-cordon"})
    assert cluster.spec("node-a", NODES) == node("node-a")


def test_uncordon_by_somebody_ends_the_hold(cluster: Cluster) -> None:
    """Goal: a fault that vanished is no proof. Method: kubectl uncordon during the fault."""
    cordon()
    users = cluster.spec("node-a", NODES)
    users["spec"] = {}
    cluster.put(users, kind=NODES)
    with pytest.raises(ActivityFailed, match=r"set spec\.unschedulable of node/node-a to unset"):
        probes.cordon_holds(**NAMED, until_wall_s=time.time() + 60)
    with pytest.raises(ActivityFailed, match=r"set spec\.unschedulable"):
        probes.node_is_cordoned(**NAMED)


def test_names_have_defaults_for_experiments_of_other_people(cluster: Cluster) -> None:
    """Goal: usable without a run. Method: a cordon by hand, the evictions, and the removal."""
    actions.cordon_node(namespace=NAMESPACE, node="node-a")
    done = actions.evict_pods(namespace=NAMESPACE, fault="cordon-node-a")
    assert (done["node"], done["evicted"]) == ("node-a", ["a"])
    assert actions.remove_fault(namespace=NAMESPACE, fault="cordon-node-a") == ["node/node-a"]
    with pytest.raises(ActivityFailed, match="no node carries seatrial-by-hand-cordon-node-a"):
        actions.evict_pods(namespace=NAMESPACE, fault="cordon-node-a")


# -- drain ---------------------------------------------------------------------------------------


def test_drain_is_refused_where_nobody_else_takes_pods(cluster: Cluster) -> None:
    """Goal: nobody loses a service by accident. Method: the other node is cordoned, or not ready,
    or not there; and the fault says that it is meant."""
    assert probes.node_can_be_drained(namespace=NAMESPACE, node="node-a")
    for other in (node("node-b", cordoned=True), node("node-b", ready=False)):
        cluster.put(other, kind=NODES)
        with pytest.raises(ActivityFailed, match="no other node than node/node-a takes pods"):
            probes.node_can_be_drained(namespace=NAMESPACE, node="node-a")
    del cluster.objects["nodes"]["node-b"]
    with pytest.raises(ActivityFailed, match="last_node: true"):
        probes.node_can_be_drained(namespace=NAMESPACE, node="node-a")
    assert probes.node_can_be_drained(namespace=NAMESPACE, node="node-a", last_node=True)


def test_drain_of_nothing_is_refused(cluster: Cluster) -> None:
    """Goal: no fault that hits nobody. Method: a node without pods, and labels that none has."""
    cluster.put(node("node-c"), kind=NODES)
    with pytest.raises(ActivityFailed, match="node/node-c holds no pod of ecommerce that"):
        probes.node_can_be_drained(namespace=NAMESPACE, node="node-c")
    with pytest.raises(ActivityFailed, match="holds no pod of ecommerce with app=x that"):
        probes.node_can_be_drained(namespace=NAMESPACE, node="node-a", pods="app=x")
    with pytest.raises(ActivityFailed, match="node/node-c holds no pod of ecommerce to evict"):
        actions.evict_pods(namespace=NAMESPACE, node="node-c")


def test_only_pods_that_somebody_replaces_elsewhere_are_evicted(
    cluster: Cluster, tmp_path: Path
) -> None:
    """Goal: what kubectl drain leaves alone stays. Method: one pod of each kind on the node."""
    mirror = placed("mirror")
    mirror["metadata"]["annotations"] = {nodes.MIRROR: "x"}
    leaving = placed("leaving")
    leaving["metadata"]["deletionTimestamp"] = "2026-11-20T10:00:00Z"
    ended = placed("ended")
    ended["status"]["phase"] = "Succeeded"
    others = (mirror, leaving, ended, placed("daemon", owner="DaemonSet"), placed("bare", owner=""))
    cluster.put(*others, placed("c"), kind=PODS)
    done = actions.evict_pods(namespace=NAMESPACE, node="node-a", grace_period_s=3.0)
    assert cluster.evicted == [("a", "uid-a", 3.0), ("c", "uid-c", 3.0)]
    assert done["evicted"] == ["a", "c"]
    assert done["left"] == {"bare": "pod/bare has no controller, so nobody would replace it"}
    skipped = [entry for entry in effects(tmp_path) if entry[0] == "skipped"]
    assert skipped == [("skipped", "pod/bare", done["left"]["bare"])]


def test_evictions_are_followed_until_as_many_are_ready(cluster: Cluster, tmp_path: Path) -> None:
    """Goal: evidence of the eviction and of the return. Method: a new pod on the other node."""
    cordon()
    done = actions.evict_pods(**NAMED, until_wall_s=time.time() + 30)
    assert done["recovered_after_s"] is not None
    assert [entry[:2] for entry in effects(tmp_path)[1:]] == [
        ("evicted", "pod/a"),
        ("replaced", "pod/a-new"),
        ("ready", "pods/a"),
    ]
    assert effects(tmp_path)[1][2] == "uid uid-a, from node node-a"
    assert cluster.evicted == [("a", "uid-a", None)]


def test_only_pods_with_the_labels_are_evicted(cluster: Cluster) -> None:
    """Goal: a selector narrows a drain. Method: two pods on the node, one has the labels."""
    other = placed("x")
    other["metadata"]["labels"] = {"app": "other"}
    cluster.put(other, kind=PODS)
    done = actions.evict_pods(namespace=NAMESPACE, node="node-a", selector="app=other")
    assert done["evicted"] == ["x"]


def test_budget_is_asked_again_until_it_allows(cluster: Cluster, tmp_path: Path) -> None:
    """Goal: 429 is no failure. Method: two pods, one is held for three rounds."""
    cluster.put(placed("c"), kind=PODS)
    cluster.held = {"c": 3}
    done = Drain(cluster, NAMESPACE, "node-a", again_s=0.01).run(time.time() + 30)
    assert (done["evicted"], done["left"]) == (["a", "c"], {})
    assert cluster.held == {"c": 0}
    assert "skipped" not in [what for what, _, _ in effects(tmp_path)]


def test_pod_that_a_budget_holds_until_the_end_is_left_with_the_reason(
    cluster: Cluster, tmp_path: Path
) -> None:
    """Goal: budgets win, and that is on record. Method: one of two pods is never let go."""
    cluster.put(placed("c"), kind=PODS)
    cluster.held = {"c": 1000}
    done = actions.evict_pods(namespace=NAMESPACE, node="node-a")
    assert done["evicted"] == ["a"]
    ((_, subject, reason),) = [entry for entry in effects(tmp_path) if entry[0] == "skipped"]
    assert subject == "pod/c"
    assert HELD in reason
    assert HELD in done["left"]["c"]


def test_drain_that_evicts_nobody_is_a_failure(cluster: Cluster) -> None:
    """Goal: no silent success. Method: the only pod is held; then eviction is forbidden."""
    cluster.held = {"a": 1000}
    with pytest.raises(ActivityFailed, match="disruption budget"):
        actions.evict_pods(namespace=NAMESPACE, node="node-a")
    cluster.held = {}
    cluster.refuse = {"evict": [403]}
    with pytest.raises(ActivityFailed, match="HTTP 403"):
        actions.evict_pods(namespace=NAMESPACE, node="node-a", until_wall_s=time.time() + 60)
    assert cluster.calls.count("evict pods") == 1


def test_pod_that_went_by_itself_is_not_evicted_by_us(cluster: Cluster, tmp_path: Path) -> None:
    """Goal: the record is true. Method: the API server does not know the pod any more."""
    cluster.put(placed("c"), kind=PODS)
    cluster.vanishing = {"a"}
    done = actions.evict_pods(namespace=NAMESPACE, node="node-a")
    assert (done["evicted"], done["left"]) == (["c"], {})
    assert [entry[:2] for entry in effects(tmp_path)][:1] == [("evicted", "pod/c")]
    assert "skipped" not in [what for what, _, _ in effects(tmp_path)]


def test_uncordon_by_somebody_ends_a_drain(cluster: Cluster) -> None:
    """Goal: a drain that is no more is noticed. Method: he uncordons while a budget holds."""
    cluster.put(placed("c"), kind=PODS)
    cordon()
    users = cluster.spec("node-a", NODES)
    users["spec"] = {}
    cluster.put(users, kind=NODES)
    cluster.held = {"c": 1000}
    with pytest.raises(ActivityFailed, match=r"set spec\.unschedulable of node/node-a"):
        actions.evict_pods(**NAMED, until_wall_s=time.time() + 60)


def test_return_of_all_pods_is_on_record(cluster: Cluster, tmp_path: Path) -> None:
    """Goal: 'ready' after the way back. Method: whole, with one that waits, and none at all; one
    that is leaving does not count; a fault that was cut short; one lost answer."""
    wish: dict[str, Any] = {"namespace": NAMESPACE, "until_wall_s": time.time()}
    assert actions.watch_pods(**wish, not_before_wall_s=time.time() + 60) is None
    assert cluster.calls == []
    leaving = placed("leaving", ready=False)
    leaving["metadata"]["deletionTimestamp"] = "2026-11-20T10:00:00Z"
    cluster.put(leaving, placed("waits", ready=False), kind=PODS)
    assert actions.watch_pods(**wish) is None
    assert actions.watch_pods(**wish, selector="app=nobody") is None
    assert effects(tmp_path) == []
    cluster.put(placed("waits"), kind=PODS)
    cluster.refuse = {"items pods": [0]}
    assert actions.watch_pods(namespace=NAMESPACE, until_wall_s=time.time() + 20) is not None
    ((what, subject, detail),) = effects(tmp_path)
    assert (what, subject) == ("ready", "pods/ecommerce")
    assert detail.startswith("all 3 pods ready")


def test_api_server_that_is_away_does_not_end_a_drain(cluster: Cluster) -> None:
    """Goal: patience. Method: the list of pods is refused for a passing reason, between rounds."""
    cluster.refuse = {"items pods": [200, 503]}
    done = actions.evict_pods(namespace=NAMESPACE, node="node-a", until_wall_s=time.time() + 30)
    assert done["evicted"] == ["a"]
    assert done["recovered_after_s"] is not None
