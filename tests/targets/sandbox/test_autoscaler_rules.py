"""How many replicas a metric asks for, against numbers worked out by hand."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.targets.sandbox.pods import time_of
from runner.targets.sandbox.programs import PROXY_IMAGE
from runner.targets.sandbox.scaling import (
    NoProposalError,
    Reading,
    Target,
    group_pods,
    propose,
    requests_of,
    target_of,
)

NOW_S = 1_700_000_000.0
HALF = Target("cpu", utilization=50)


def pod(name: str, **more: Any) -> dict[str, Any]:
    """A pod that has been ready for long and requests 100m CPU, unless told otherwise."""
    ready, begun_s = more.get("ready", "True"), more.get("begun_s", NOW_S - 3600)
    changed_s = more.get("changed_s", begun_s + 5)
    metadata = {"name": name, "uid": name}
    if more.get("ends"):
        metadata["deletionTimestamp"] = time_of(NOW_S)
    requests = more.get("requests", {"cpu": "100m", "memory": "64Mi"})
    return {
        "metadata": metadata,
        "spec": {
            "containers": [
                {"name": "app", "image": "app:1", "resources": {"requests": requests}},
                {"name": "istio-proxy", "image": PROXY_IMAGE},
            ]
        },
        "status": {
            "phase": more.get("phase", "Running"),
            "startTime": time_of(begun_s),
            "conditions": [
                {"type": "Ready", "status": ready, "lastTransitionTime": time_of(changed_s)}
            ],
        },
    }


def used(**milli: int) -> dict[str, Reading]:
    return {name: Reading(value, NOW_S, 15.0) for name, value in milli.items()}


def replicas(target: Target, pods: list[dict[str, Any]], current: int = 2, **milli: int) -> int:
    return propose(target, current, pods, used(**milli), NOW_S).replicas


TWO = [pod("a"), pod("b")]


@pytest.mark.parametrize(
    ("milli", "expected"),
    [
        # The documentation's example: twice the target doubles, half of it halves.
        ((100, 100), 4),
        ((25, 25), 1),
        # ceil(2 * 60/50) = 3, although 2.4 is nearer to 2
        ((60, 60), 3),
        # within 10 %: 55/50 = 1.1 and 45/50 = 0.9 change nothing, 56 and 44 do
        ((55, 55), 2),
        ((45, 45), 2),
        ((56, 56), 3),
        ((44, 44), 2),  # ceil(2 * 0.88) = 2
        # the utilization is cut off: 111/200 is 55 %, not 55.5
        ((56, 55), 2),
        ((0, 0), 0),
    ],
)
def test_the_ratio_of_usage_to_target_is_rounded_up(milli: tuple[int, int], expected: int) -> None:
    """Two pods that request 100m, a target of 50 %."""
    assert replicas(HALF, TWO, a=milli[0], b=milli[1]) == expected


def test_the_tolerance_ends_at_a_tenth() -> None:
    """Ten pods: 45 % of 50 % is 0.9, which changes nothing; 44 % is ceil(8.8)."""
    ten = {f"p{index}": 45 for index in range(10)}
    assert replicas(HALF, [pod(name) for name in ten], 10, **ten) == 10
    assert replicas(HALF, [pod(name) for name in ten], 10, **dict.fromkeys(ten, 44)) == 9


def test_what_was_measured_is_told() -> None:
    """Mean usage and the utilization of all requests together."""
    found = propose(HALF, 2, TWO, used(a=31, b=46), NOW_S)
    assert (found.average_milli, found.utilization) == (38, 38)


def test_an_absolute_target_needs_no_requests() -> None:
    """20m a pod, wanted 8m: ratio 2.5, so five; the tolerance holds for it too."""
    pods = [pod("a", requests={}), pod("b", requests={})]
    assert replicas(Target("cpu", average_milli=8), pods, a=20, b=20) == 5
    assert replicas(Target("cpu", average_milli=19), pods, a=20, b=20) == 2
    found = propose(Target("cpu", average_milli=8), 2, pods, used(a=20, b=20), NOW_S)
    assert found.utilization is None


def test_memory_counts_in_thousandths_of_a_byte() -> None:
    """96 of 64 MiB with a target of 100 % is half as much again."""
    milli = 96 * 2**20 * 1000
    assert replicas(Target("memory", utilization=100), TWO, a=milli, b=milli) == 3


def test_pods_without_figures_hold_back_a_change() -> None:
    """Missing pods count as full when scaling down and as idle when scaling up."""
    three = [*TWO, pod("c")]
    # up: (120 + 120 + 0) / 300 = 80 %, ratio 1.6 of 3 = 4.8; without the third it were 2.4 of 2
    assert replicas(HALF, three, 3, a=120, b=120) == 5
    # down: (10 + 10 + 100) / 300 = 40 %, ratio 0.8 of 3 = 2.4
    assert replicas(HALF, three, 3, a=10, b=10) == 3
    # down, target above 100 %: (10 + 10 + 150) / 300 = 56 %, 56/150 of 3 = 1.12
    assert replicas(Target("cpu", utilization=150), three, 3, a=10, b=10) == 2
    # absolute, down: (10 + 10 + 40) / 3 = 20, ratio 0.5 of 3
    assert replicas(Target("cpu", average_milli=40), three, 3, a=10, b=10) == 2
    # absolute, up: (100 + 100 + 0) / 3 = 66, 66/40 of 3 = 4.95
    assert replicas(Target("cpu", average_milli=40), three, 3, a=100, b=100) == 5


def test_caution_never_turns_a_change_round() -> None:
    """Up by the pods that are seen, down with the missing one: nothing happens."""
    # seen: 70 % of 50; with an idle third: 46 %, within the tolerance
    assert replicas(HALF, [*TWO, pod("c")], 3, a=70, b=70) == 3
    # seen: 60 %; with two idle ones: 30 %, which would be down
    assert replicas(HALF, [*TWO, pod("c"), pod("d")], 4, a=60, b=60) == 4
    # seen: 20 %; with three full ones: 68 %, which would be up
    others = [pod(name) for name in "cde"]
    assert replicas(HALF, [*TWO, *others], 5, a=20, b=20) == 5


def test_more_pods_than_are_asked_for_do_not_turn_a_change_round() -> None:
    """While a rollout has a surplus pod, its lack of figures must not scale up instead of down."""
    # (0 + 0 + 100) / 300 = 33 %, ratio 0.66 of 3 = 2 > current 1
    assert replicas(HALF, [*TWO, pod("c")], 1, a=0, b=0) == 1


def test_pods_that_are_not_ready_count_as_idle_when_scaling_up() -> None:
    """A pod that starts takes part of the load soon: (200 + 200 + 0) / 300 of 50 % = 2.66 of 3."""
    starting = pod("c", ready="False", begun_s=NOW_S - 3)
    assert replicas(HALF, [*TWO, starting], 3, a=200, b=200, c=900) == 8
    # 70 % of 50 % were three; with an idle third it is 46 %, which is near enough
    assert replicas(HALF, [*TWO, starting], 2, a=70, b=70, c=900) == 2
    # eight is fewer than the ten that are asked for already, so up would be down
    assert replicas(HALF, [*TWO, starting], 10, a=200, b=200, c=900) == 10
    # Scaling down they are left out: 20 % of 50 %, of the two that are ready.
    assert replicas(HALF, [*TWO, starting], 3, a=20, b=20, c=900) == 1


@pytest.mark.parametrize(
    ("more", "group"),
    [
        ({}, "ready"),
        ({"phase": "Pending"}, "unready"),
        ({"phase": "Failed"}, "ignored"),
        ({"ends": True}, "ignored"),
        # in its first five minutes a pod counts once a whole window was seen since it was ready
        ({"begun_s": NOW_S - 60, "changed_s": NOW_S - 15}, "ready"),
        ({"begun_s": NOW_S - 60, "changed_s": NOW_S - 14}, "unready"),
        ({"begun_s": NOW_S - 60, "changed_s": NOW_S - 50, "ready": "False"}, "unready"),
        # later only one that never was ready does not
        ({"begun_s": NOW_S - 301, "changed_s": NOW_S - 14}, "ready"),
        ({"begun_s": NOW_S - 301, "changed_s": NOW_S - 281, "ready": "False"}, "unready"),
        ({"begun_s": NOW_S - 301, "changed_s": NOW_S - 271, "ready": "False"}, "ready"),
    ],
)
def test_groups_of_pods(more: dict[str, Any], group: str) -> None:
    """One pod with a CPU figure, in every state that matters."""
    found = group_pods("cpu", [pod("a", **more)], used(a=1), NOW_S)
    sizes = {
        "ready": found.ready,
        "unready": len(found.unready),
        "missing": len(found.missing),
        "ignored": len(found.ignored),
    }
    assert sizes == dict.fromkeys(sizes, 0) | {group: 1}


def test_a_young_pod_has_memory_at_once() -> None:
    """Only CPU is distorted by a start."""
    young = pod("a", begun_s=NOW_S - 2, changed_s=NOW_S - 1)
    assert group_pods("memory", [young], used(a=1), NOW_S).ready == 1


def test_requests_of_a_pod_leave_out_the_proxy() -> None:
    assert requests_of("cpu", [pod("a", requests={"cpu": "0.25"})]) == {"a": 250}


@pytest.mark.parametrize(
    ("pods", "readings", "why"),
    [
        ([], used(a=1), "no pods returned by selector"),
        (TWO, {}, "did not receive metrics"),
        ([pod("a", phase="Pending")], used(a=1), "did not receive metrics"),
        ([pod("a", requests={"memory": "1Mi"})], used(a=1), "missing request for cpu in container"),
        ([pod("a", requests={"cpu": "much"})], used(a=1), "'much' is no quantity"),
        ([pod("a", requests={"cpu": "0"})], used(a=1), "no metrics returned matched"),
    ],
)
def test_no_figure_no_number(pods: list[Any], readings: dict[str, Reading], why: str) -> None:
    """No data is no reason to scale."""
    with pytest.raises(NoProposalError, match=why):
        propose(HALF, 2, pods, readings, NOW_S)


def metric(name: str, **target: Any) -> dict[str, Any]:
    return {"type": "Resource", "resource": {"name": name, "target": target}}


def test_targets_as_the_spec_states_them() -> None:
    assert target_of(metric("cpu", averageUtilization=60)) == Target("cpu", utilization=60)
    assert target_of(metric("cpu", averageValue="30m")) == Target("cpu", average_milli=30)
    assert target_of(metric("cpu", averageValue="1m")) == Target("cpu", average_milli=1)
    expected = Target("memory", average_milli=20 * 2**20 * 1000)
    assert target_of(metric("memory", averageValue="20Mi")) == expected


@pytest.mark.parametrize(
    ("stated", "why"),
    [
        ({"type": "Pods", "pods": {}}, "no metrics of type 'Pods'"),
        (metric("ephemeral-storage", averageUtilization=60), "ephemeral-storage"),
        (metric("cpu"), "no utilization or average value"),
        (metric("cpu", averageValue="much"), "no utilization or average value"),
    ],
)
def test_targets_that_cannot_be_followed(stated: dict[str, Any], why: str) -> None:
    with pytest.raises(NoProposalError, match=why):
        target_of(stated)


@given(
    milli=st.lists(st.integers(0, 5000), min_size=1, max_size=8),
    blind=st.integers(0, 4),
    percent=st.integers(1, 200),
)
def test_missing_figures_never_make_a_change_larger(
    milli: list[int], blind: int, percent: int
) -> None:
    """With some pods unseen, the proposal lies between what is and what the seen ones ask for."""
    seen = {f"p{index}": value for index, value in enumerate(milli)}
    hidden = [pod(f"q{index}") for index in range(blind)]
    count = len(milli) + blind
    target = Target("cpu", utilization=percent)
    found = replicas(target, [*map(pod, seen), *hidden], count, **seen)
    utilization = sum(milli) * 100 // (100 * len(milli))
    if utilization > percent:
        # One more: 1.1 * 10 is a little above 11 in floats, there as here.
        assert count <= found <= max(count, -(-utilization * count // percent) + 1)
    else:
        assert 0 <= found <= count
