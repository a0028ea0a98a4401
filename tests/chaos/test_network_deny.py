"""Forbidden traffic: the policy that is written, what it cannot forbid, that it is taken away."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from chaos_fakes import FakeCluster
from chaos_objects import NAMESPACE, pod, service
from chaoslib.exceptions import ActivityFailed

from runner.chaos import actions, probes
from runner.chaos.activities.shared import standing_in
from runner.chaos.objects import NETWORK_POLICIES, PODS, SERVICES

Object = dict[str, Any]

KEY = "seatrial-run-1-01-x"
SUBJECT = f"networkpolicy/{KEY}"
NAMED: Object = {"namespace": NAMESPACE, "run": "Run-1", "fault": "01-x"}
WHAT: Object = {"service": "order-api", "namespace": NAMESPACE}


@pytest.fixture
def cluster() -> Iterator[FakeCluster]:
    """Two ready pods of order-api and their Service."""
    made = FakeCluster().put(pod("order-api-a"), pod("order-api-b"), kind=PODS)
    with standing_in(made.put(service(), kind=SERVICES)):
        yield made


def users_policy(labels: Object, **spec: Any) -> Object:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "users", "namespace": NAMESPACE},
        "spec": {"podSelector": {"matchLabels": labels}, **spec},
    }


@pytest.mark.parametrize(
    ("direction", "types"),
    [("ingress", ["Ingress"]), ("egress", ["Egress"]), ("both", ["Ingress", "Egress"])],
)
def test_policy_without_rules_is_put_in_place_and_taken_away(
    cluster: FakeCluster, tmp_path: Path, direction: str, types: list[str]
) -> None:
    """Goal: the whole life. Method: the object in full, read back, removed; nothing else is
    written, and the record names each pod."""
    effects = str(tmp_path / "effects")
    assert probes.network_can_be_denied(direction=direction, **WHAT)
    made = actions.deny_network(service="order-api", direction=direction, effects=effects, **NAMED)
    assert made == [SUBJECT, "pod/order-api-a", "pod/order-api-b"]
    body = cluster.spec(KEY, NETWORK_POLICIES)
    assert body["apiVersion"] == "networking.k8s.io/v1"
    assert body["spec"] == {
        "podSelector": {"matchLabels": {"app": "order-api"}},
        "policyTypes": types,
    }
    assert probes.network_is_denied(effects=effects, **NAMED)
    assert probes.network_denial_holds(until_wall_s=0.0, **NAMED)
    removed = actions.remove_fault(kinds=["networkpolicies"], effects=effects, **NAMED)
    assert removed == [SUBJECT]
    assert probes.fault_is_gone(effects=effects, **NAMED)
    assert cluster.objects["networkpolicies"] == {}
    wrote = [call for call in cluster.calls if call.split()[0] in ("create", "replace", "delete")]
    assert wrote == ["create networkpolicies", "delete networkpolicies"]
    lines = [json.loads(line) for line in (tmp_path / "effects").read_text().splitlines()]
    assert [line["what"] for line in lines] == ["injected", "verified", "removed", "gone"]
    assert lines[0]["detail"] == f"{direction} of pod/order-api-a, pod/order-api-b"


def test_traffic_that_another_policy_allows_cannot_be_forbidden(cluster: FakeCluster) -> None:
    """Goal: policies only add up. Method: rules for these pods in this direction, and rules that
    are for other pods, for the other direction, or none."""
    rules: list[Object] = [{"from": [{"podSelector": {}}]}]
    deny: Object = {"service": "order-api"} | NAMED
    for labels in ({"app": "order-api"}, {}):
        cluster.put(users_policy(labels, ingress=rules), kind=NETWORK_POLICIES)
        for direction in ("ingress", "both"):
            with pytest.raises(
                ActivityFailed, match="networkpolicy/users allows pods of order-api"
            ):
                probes.network_can_be_denied(direction=direction, **WHAT)
            with pytest.raises(ActivityFailed, match="networkpolicy/users allows"):
                actions.deny_network(direction=direction, **deny)
        assert probes.network_can_be_denied(direction="egress", **WHAT)
    assert list(cluster.objects["networkpolicies"]) == ["users"]
    for harmless in (users_policy({"app": "x"}, ingress=rules), users_policy({}, ingress=[])):
        cluster.put(harmless, kind=NETWORK_POLICIES)
        assert probes.network_can_be_denied(**WHAT)


def test_nothing_to_forbid_is_refused(cluster: FakeCluster) -> None:
    """Goal: no fault of nothing. Method: no ready pod, no Service, no such direction."""
    deny: Object = {"service": "order-api"} | NAMED
    with pytest.raises(ActivityFailed, match="'sideways' is no direction"):
        actions.deny_network(direction="sideways", **deny)
    with pytest.raises(ActivityFailed, match="no service/nobody"):
        probes.network_can_be_denied(service="nobody", namespace=NAMESPACE)
    cluster.objects["pods"] = {}
    cluster.put(pod("order-api-a", ready=False), kind=PODS)
    for refused in (
        lambda: actions.deny_network(**deny),
        lambda: probes.network_can_be_denied(**WHAT),
    ):
        with pytest.raises(ActivityFailed, match="no ready pod whose traffic could be forbidden"):
            refused()
    assert cluster.objects.get("networkpolicies", {}) == {}


def test_policy_that_is_taken_away_or_opened_is_noticed(cluster: FakeCluster) -> None:
    """Goal: a fault that vanished is no proof. Method: delete it, give it a rule, let it expire."""
    hold = NAMED | {"until_wall_s": time.time() + 60}
    deny: Object = {"service": "order-api"} | NAMED
    actions.deny_network(expires_at_wall_s=time.time() + 30, **deny)
    with pytest.raises(ActivityFailed, match=r"expires at .* before its end"):
        probes.network_denial_holds(**hold)
    body = cluster.spec(KEY, NETWORK_POLICIES)
    opened = {**body, "spec": {**body["spec"], "ingress": [{}]}}
    cluster.put(opened, kind=NETWORK_POLICIES)
    with pytest.raises(ActivityFailed, match=f"{SUBJECT} was changed, and lets something pass"):
        probes.network_denial_holds(**hold)
    cluster.objects["networkpolicies"] = {}
    with pytest.raises(ActivityFailed, match=f"{SUBJECT} is not there"):
        probes.network_denial_holds(**hold)
