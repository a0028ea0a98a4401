"""Plans held against the bounds of a target: what is hit, what is too much, and why."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from runner.model.access import PrometheusAccess
from runner.model.bounds import World, hits, violations, why_at_most
from runner.model.experiment import Experiment
from runner.model.plan import Plan, make_plan
from runner.model.target import UNBOUNDED, Bounds, ClusterSpec

KILL = {"kind": "pod-kill", "service": "pay"}
SERVER = {"kind": "http-abort", "service": "pay", "status": 503, "side": "server"}


def plan_of(*faults: dict[str, Any]) -> Plan:
    return make_plan(
        Experiment.model_validate(
            {
                "name": "x",
                "description": "d",
                "load": {"locustfile": "x", "stages": [{"duration": "60s", "users": 1}]},
                "faults": [{"at": "5s", "duration": "10s", **fault} for fault in faults],
                "objectives": ["errors < 1%"],
            }
        )
    )


def pod(name: str, app: str, *, ready: bool = True, node: str = "a") -> dict[str, Any]:
    return {
        "metadata": {"name": name, "labels": {"app": app, "zone": node}},
        "spec": {"nodeName": node},
        "status": {"conditions": [{"type": "Ready", "status": str(ready)}]},
    }


def world(pods: int = 4, *, unready: int = 0, strategy: dict[str, Any] | None = None) -> World:
    """``pods`` ready pods of ``pay``, on the nodes a and b in turn, and one of ``stock``."""
    return World(
        services=[
            {"metadata": {"name": app}, "spec": {"selector": {"app": app}}}
            for app in ("pay", "stock")
        ],
        pods=[
            *(pod(f"pay-{i}", "pay", node="ab"[i % 2]) for i in range(pods)),
            *(pod(f"pay-x{i}", "pay", ready=False) for i in range(unready)),
            pod("stock-0", "stock", node="b"),
        ],
        deployments=[
            {"metadata": {"name": "pay"}, "spec": {"replicas": pods, "strategy": strategy or {}}}
        ],
    )


def asked(bounds: Bounds, *faults: dict[str, Any], pods: int = 4, nodes: bool = False) -> list[str]:
    return violations(plan_of(*faults), world(pods), bounds, nodes=nodes)


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (KILL, {"pay": 1}),
        ({**KILL, "count": 3}, {"pay": 3}),
        ({**KILL, "count": "50%"}, {"pay": 2}),
        ({**KILL, "count": "all", "min_healthy": 0}, {"pay": 4}),
        ({**KILL, "count": "all", "min_healthy": 0, "selector": "zone=a"}, {"pay": 2}),
        (SERVER, {"pay": 4}),
        ({**SERVER, "count": "30%"}, {"pay": 1}),
        ({**SERVER, "side": "client"}, {}),
        ({"kind": "network-deny", "service": "pay"}, {"pay": 4}),
        ({"kind": "scale", "service": "pay", "replicas": 1}, {"pay": 3}),
        ({"kind": "scale", "service": "pay", "replicas": 9}, {}),
        ({"kind": "rollout-restart", "service": "pay"}, {"pay": 1}),
        ({"kind": "cordon", "service": "pay"}, {}),
        ({"kind": "drain", "service": "pay"}, {"pay": 2, "stock": 1}),
        ({"kind": "drain", "service": "pay", "node": "a"}, {"pay": 2}),
        ({"kind": "drain", "service": "pay", "node": "a", "selector": "app=stock"}, {}),
    ],
)
def test_how_many_pods_a_fault_hits(fault: dict[str, Any], expected: dict[str, int]) -> None:
    """Goal: bounds count what is really hit. Method: every kind against four ready pods."""
    assert hits(plan_of(fault).faults[0].fault, world(unready=2)) == expected


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        ({"type": "Recreate"}, {"pay": 4}),
        ({"rollingUpdate": {"maxUnavailable": 0}}, {}),
        ({"rollingUpdate": {"maxUnavailable": 3}}, {"pay": 3}),
        ({"rollingUpdate": {"maxUnavailable": "74%"}}, {"pay": 2}),
    ],
)
def test_a_rollout_takes_as_many_as_its_strategy_says(
    strategy: dict[str, Any], expected: dict[str, int]
) -> None:
    """Goal: rounded as the Deployment controller does, down. Method: 74 % of four is two."""
    fault = plan_of({"kind": "rollout-restart", "service": "pay"}).faults[0].fault
    assert hits(fault, world(strategy=strategy)) == expected


def test_a_target_without_bounds_allows_everything_but_nodes() -> None:
    """Goal: nodes belong to others. Method: all kinds, on a cluster and on the sandbox."""
    everything = {**KILL, "count": "all", "min_healthy": 0}
    assert asked(UNBOUNDED, everything) == []
    (refused,) = asked(UNBOUNDED, {"kind": "cordon", "service": "pay"})
    assert refused == (
        "01-cordon: this target's nodes may not be touched; who may allow it writes "
        "`bounds: {allow_nodes: true}` into seatrial.yaml"
    )
    assert asked(UNBOUNDED, {"kind": "cordon", "service": "pay"}, nodes=True) == []
    assert asked(Bounds(allow_nodes=True), {"kind": "drain", "service": "pay"}) == []
    assert (
        len(asked(Bounds(allow_nodes=False), {"kind": "drain", "service": "pay"}, nodes=True)) == 1
    )


@pytest.mark.parametrize(
    ("bounds", "why"),
    [
        (Bounds(max_pods=1), "max_pods: 1"),
        (Bounds(max_percent=49.9), "max_percent: 49.9% of 4, rounded down"),
        (Bounds(min_healthy=3), "min_healthy: 3"),
        (Bounds(max_pods=1, min_healthy=3), "max_pods: 1; min_healthy: 3"),
    ],
)
def test_too_many_pods_are_refused_with_the_bound_that_says_so(bounds: Bounds, why: str) -> None:
    """Goal: nobody has to guess. Method: two of four, where each bound allows one."""
    assert asked(bounds, {**KILL, "count": 2}) == [
        f"01-pod-kill: hits 2 of 4 ready pods of pay; the bounds of this target allow 1 ({why})"
    ]
    assert asked(bounds, KILL) == []


def test_a_share_that_is_less_than_a_pod_allows_none() -> None:
    """Goal: a bound is never rounded up. Method: 10 % of four pods."""
    (refused,) = asked(Bounds(max_percent=10.0), KILL)
    assert refused.endswith("allow 0 (max_percent: 10% of 4, rounded down)")


def test_faults_at_the_same_time_are_added_up() -> None:
    """Goal: two faults are no way around a bound. Method: they overlap, touch, or do not."""
    again = {**KILL, "name": "again", "at": "10s"}
    bounds = Bounds(max_pods=1)
    assert asked(bounds, KILL, again) == [
        "02-again: hits 2 of 4 ready pods of pay together with 01-pod-kill; the bounds of this "
        "target allow 1 (max_pods: 1)"
    ]
    assert asked(bounds, KILL, {**again, "at": "15s"}) == []
    assert asked(bounds, KILL, {**again, "service": "stock"}) == []


def test_a_selector_of_its_own_is_no_way_around_a_bound() -> None:
    """Goal: the pods that are killed count, whoever's they are. Method: a kill that names the
    service with one pod, and selects the four of another one."""
    others = {**KILL, "service": "stock", "selector": "app=pay", "count": 3}
    assert asked(Bounds(max_pods=2), others) == [
        "01-pod-kill: hits 3 of 4 ready pods of stock; the bounds of this target allow 2 "
        "(max_pods: 2)"
    ]
    assert asked(Bounds(max_pods=3), others) == asked(UNBOUNDED, others) == []


def test_only_kinds_that_are_named_are_allowed() -> None:
    bounds = Bounds(kinds=("http-abort", "http-delay"))
    assert asked(bounds, {**SERVER, "side": "client"}) == []
    assert asked(bounds, KILL) == [
        "01-pod-kill: the bounds of this target allow no pod-kill; they allow: "
        "http-abort, http-delay"
    ]


def test_what_cannot_be_counted_is_allowed_by_name_only() -> None:
    """Goal: other people's activities do not slip through a bound. Method: with it, and named."""
    other = {
        "kind": "chaostoolkit",
        "service": "pay",
        "method": [{"type": "action", "name": "a", "provider": {"type": "process", "path": "x"}}],
    }
    assert asked(UNBOUNDED, other) == []
    (refused,) = asked(Bounds(max_pods=1), other)
    assert refused.startswith("01-chaostoolkit: nobody can count what")
    assert asked(Bounds(max_pods=1, kinds=("chaostoolkit",)), other) == []


@given(
    ready=st.integers(0, 200),
    max_pods=st.none() | st.integers(0, 50),
    max_percent=st.none() | st.floats(0, 100),
    min_healthy=st.integers(0, 50),
)
def test_no_bound_is_ever_exceeded(
    ready: int, max_pods: int | None, max_percent: float | None, min_healthy: int
) -> None:
    """Goal: rounding is always on the safe side. Method: any bounds, any number of pods."""
    bounds = Bounds(max_pods=max_pods, max_percent=max_percent, min_healthy=min_healthy)
    most = bounds.most_of(ready)
    assert 0 <= most <= ready
    assert max_pods is None or most <= max_pods
    assert max_percent is None or most <= ready * max_percent / 100 + 1e-6
    assert most == 0 or ready - most >= min_healthy
    assert str(most) in why_at_most(bounds, ready)


def test_an_unknown_kind_in_the_bounds_is_a_mistake() -> None:
    with pytest.raises(ValidationError, match="'pod-kil' is no kind of fault"):
        Bounds(kinds=("pod-kil",))


@pytest.mark.parametrize(
    ("context", "namespace", "production", "expected"),
    [
        ("eu-prod-1", "shop", None, True),
        ("PRODUCTION", "shop", None, True),
        ("gke_acme_live", "shop", None, True),
        ("staging", "shop-prd", None, True),
        ("product-dev", "products", None, False),
        ("olive", "deliver", None, False),
        ("eu-prod-1", "shop", False, False),
        ("staging", "shop", True, True),
    ],
)
def test_what_looks_like_production(
    context: str, namespace: str, production: bool | None, expected: bool
) -> None:
    """Goal: the word as a word, and what the file says comes first. Method: names of clusters."""
    spec = ClusterSpec(
        context=context,
        namespace=namespace,
        ingress="http://shop",
        prometheus=PrometheusAccess(url="http://prometheus"),
        production=production,
    )
    assert spec.looks_like_production("target") is expected
