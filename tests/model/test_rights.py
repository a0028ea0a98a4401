"""The table of rights as Roles, and which plan takes which."""

from __future__ import annotations

from typing import Any

import pytest

from runner.model.experiment import Experiment
from runner.model.fault import FAULT_KINDS
from runner.model.plan import Plan, make_plan
from runner.model.rights import OF_KIND, Right, all_rights, rights_needed, roles_text


def plan_of(*faults: dict[str, Any]) -> Plan:
    return make_plan(
        Experiment.model_validate(
            {
                "name": "x",
                "description": "d",
                "load": {"locustfile": "x", "stages": [{"duration": "60s", "users": 1}]},
                "faults": [{"at": "5s", "duration": "5s", "service": "pay", **f} for f in faults],
                "objectives": ["errors < 1%"],
            }
        )
    )


def said(plan: Plan) -> list[str]:
    return [str(right) for right in rights_needed(plan)]


def test_every_kind_has_its_rights() -> None:
    assert set(OF_KIND) == set(FAULT_KINDS)


def test_a_kill_by_selector_needs_no_service() -> None:
    kill = {"kind": "pod-kill"}
    assert said(plan_of(kill)) == [
        "delete pods",
        "list pods",
        "get services",
        "list poddisruptionbudgets.policy",
    ]
    assert "get services" not in said(plan_of({**kill, "selector": "app=pay"}))


@pytest.mark.parametrize(("count", "labels"), [(None, False), (1, True)])
def test_only_a_fault_in_front_of_some_pods_changes_pods(count: int | None, labels: bool) -> None:
    """Goal: the least rights. Method: a server-side fault on all pods, and on one."""
    fault = {"kind": "http-abort", "status": 503, "side": "server"}
    needed = said(plan_of({**fault, **({"count": count} if count else {})}))
    assert ("update pods" in needed) is labels
    assert "create envoyfilters.networking.istio.io" in needed
    assert not any("virtualservices" in right for right in needed)


def test_a_role_has_one_rule_for_what_has_the_same_verbs() -> None:
    """Goal: YAML that kubectl applies. Method: rights of three resources, one outside."""
    rights = [
        Right("", "pods", "list"),
        Right("", "pods", "delete"),
        Right("", "services", "delete"),
        Right("", "services", "list"),
        Right("apps", "deployments", "get"),
        Right("", "nodes", "get", namespaced=False),
    ]
    assert roles_text(rights, "shop") == (
        "apiVersion: rbac.authorization.k8s.io/v1\n"
        "kind: Role\n"
        "metadata:\n"
        "  name: seatrial\n"
        "  namespace: shop\n"
        "rules:\n"
        '- apiGroups: [""]\n'
        "  resources: [pods, services]\n"
        "  verbs: [delete, list]\n"
        "- apiGroups: [apps]\n"
        "  resources: [deployments]\n"
        "  verbs: [get]\n"
        "---\n"
        "apiVersion: rbac.authorization.k8s.io/v1\n"
        "kind: ClusterRole\n"
        "metadata:\n"
        "  name: seatrial-shop\n"
        "rules:\n"
        '- apiGroups: [""]\n'
        "  resources: [nodes]\n"
        "  verbs: [get]\n"
    )


def test_the_role_of_a_plan_is_smaller_than_that_of_all_kinds() -> None:
    """Goal: nobody is asked for more than he needs. Method: a kill, against everything."""
    of_kill = {str(right) for right in all_rights(plan_of({"kind": "pod-kill"}))}
    of_all = {str(right) for right in all_rights()}
    assert of_kill < of_all
    assert {"update nodes", "create pods/eviction"} <= of_all - of_kill
    assert {"get namespaces", "list virtualservices.networking.istio.io"} <= of_kill
    assert "update leases.coordination.k8s.io" in of_kill
