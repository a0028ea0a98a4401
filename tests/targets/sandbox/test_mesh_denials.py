"""NetworkPolicies in the sandbox: which pods they deny, and what their callers get."""

from __future__ import annotations

from typing import Any

import pytest
from mesh_rig import MeshRig, Obj, obj, on_mesh, to, virtual_service

from runner.targets.sandbox.mesh.denials import denials
from runner.targets.sandbox.mesh.registry import Pod, Workload

PODS = [
    Pod(name, namespace, address, {"app": name}, Workload(name, namespace, name, ""), calls=True)
    for name, namespace, address in (
        ("payment-api", "ecommerce", "127.1.0.1"),
        ("order-api", "ecommerce", "127.1.0.2"),
        ("payment-api", "other", "127.1.0.3"),
    )
]
PAYMENT, ORDER = frozenset({"127.1.0.1"}), frozenset({"127.1.0.2"})
NOBODY: frozenset[str] = frozenset()


def policy(labels: dict[str, str] | None = None, **spec: Any) -> Obj:
    selector = {} if labels is None else {"matchLabels": labels}
    return obj("NetworkPolicy", "deny", {"podSelector": selector, **spec})


@pytest.mark.parametrize(
    ("spec", "unreachable", "confined"),
    [
        ({"policyTypes": ["Ingress"]}, PAYMENT, NOBODY),
        ({"policyTypes": ["Ingress"], "ingress": []}, PAYMENT, NOBODY),
        ({}, PAYMENT, NOBODY),
        ({"egress": []}, PAYMENT, PAYMENT),
        ({"policyTypes": ["Egress"]}, NOBODY, PAYMENT),
        ({"policyTypes": ["Ingress", "Egress"]}, PAYMENT, PAYMENT),
    ],
)
def test_policy_without_rules_denies_what_its_types_say(
    spec: Obj, unreachable: frozenset[str], confined: frozenset[str]
) -> None:
    """Goal: Kubernetes' defaults. Method: types given and not, rules empty and absent."""
    found, unused = denials([policy({"app": "payment-api"}, **spec)], PODS)
    assert (found.unreachable, found.confined) == (unreachable, confined)
    assert unused == []


def test_empty_selector_means_every_pod_of_the_namespace() -> None:
    """Goal: {} selects all, and only at home. Method: a namespace of two pods beside another."""
    found, _ = denials([policy()], PODS)
    assert found.unreachable == PAYMENT | ORDER


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({"key": "app", "operator": "In", "values": ["order-api", "x"]}, ORDER),
        ({"key": "app", "operator": "NotIn", "values": ["order-api"]}, PAYMENT),
        ({"key": "app", "operator": "Exists"}, PAYMENT | ORDER),
        ({"key": "app", "operator": "DoesNotExist"}, NOBODY),
        ({"key": "app", "operator": "Unheard"}, NOBODY),
    ],
)
def test_expressions_select(rule: Obj, expected: frozenset[str]) -> None:
    """Goal: Kubernetes' operators. Method: one of each."""
    found, _ = denials(
        [obj("NetworkPolicy", "p", {"podSelector": {"matchExpressions": [rule]}})], PODS
    )
    assert found.unreachable == expected


def test_pod_that_some_policy_allows_something_is_left_alone_and_that_is_told() -> None:
    """Goal: no rule is read as a denial. Method: everything denied, and orders allowed again."""
    allow = policy({"app": "order-api"}, ingress=[{"from": [{"podSelector": {}}]}])
    found, unused = denials([policy(), allow], PODS)
    assert found.unreachable == PAYMENT
    (field,) = unused
    assert (field.ref.kind, field.path) == ("NetworkPolicy", "spec.ingress")
    assert field.reason == "the sandbox honours only policies without rules"


@on_mesh
async def test_denied_pods_refuse_connections_and_are_back_at_once(rig: MeshRig) -> None:
    """Goal: what callers see of forbidden traffic. Method: both directions on the real Envoy; the
    pods see nothing, the flag at the source is UF, the destination has nothing to count."""
    pods = await rig.service("payment-api")
    caller = await rig.caller()
    plain = {"route": [to("payment-api")], "retries": {"attempts": 0}}
    route = virtual_service("payment-api", [plain])
    inbound = policy({"app": "payment-api"}, policyTypes=["Ingress"])
    outbound = policy({"app": "order-api"}, policyTypes=["Egress"])

    async def statuses() -> tuple[int, int]:
        through = await rig.get("/pay", by=caller, host="payment-api")
        return (await rig.get("/pay")).status, through.status

    await rig.apply(route)
    assert await statuses() == (200, 200)
    await rig.apply(route, inbound)
    assert await statuses() == (503, 503)
    await rig.apply(route, outbound)
    assert await statuses() == (200, 503)
    await rig.apply(route)
    assert await statuses() == (200, 200)

    assert sum(len(pod.seen) for pod in pods) == 5
    assert await rig.requests(reporter="source") == {("200", "-"): 5, ("503", "UF"): 3}
    assert await rig.requests(reporter="destination") == {("200", "-"): 5}
