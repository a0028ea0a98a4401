"""Which pods are killed, and when they count as back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from chaos_fakes import FakeCluster
from chaos_objects import pod, service

from runner.chaos import pods
from runner.chaos.budgets import selects
from runner.chaos.client import ApiRefusalError
from runner.chaos.objects import PODS
from runner.chaos.recovery import Kill, Watch
from runner.errors import FaultError

SELECTOR = "app=order-api"


def choose(
    found: list[Any], count: int = 1, min_healthy: int = 1, seed: int = 1, selector: str = SELECTOR
) -> list[str]:
    drawn = pods.choose(found, selector=selector, count=count, min_healthy=min_healthy, seed=seed)
    return [victim.name for victim in drawn]


def test_only_pods_at_work_are_candidates() -> None:
    """Goal: no pod dies twice. Method: one pod of each other state."""
    leaving = pod("c")
    leaving["metadata"]["deletionTimestamp"] = "2026-11-20T10:00:00Z"
    done = pod("d")
    done["status"]["phase"] = "Succeeded"
    found = [pod("b"), pod("a"), leaving, done, pod("e", ready=False)]
    assert [p["metadata"]["name"] for p in pods.candidates(found)] == ["a", "b"]
    assert {choose(found, seed=seed)[0] for seed in range(20)} == {"a", "b"}


def test_seed_decides_and_the_order_of_the_list_does_not() -> None:
    """Goal: a choice can be repeated. Method: the same pods in another order, other seeds."""
    found = [pod(name) for name in "abcdefgh"]
    first = choose(found, count=3, seed=7)
    assert choose(found[::-1], count=3, seed=7) == first
    assert len(set(first)) == 3
    assert len({tuple(choose(found, count=3, seed=seed)) for seed in range(10)}) > 1


@pytest.mark.parametrize(("count", "min_healthy"), [(2, 1), (1, 2), (3, 0), (0, 0)])
def test_nothing_is_killed_when_too_few_would_be_left(count: int, min_healthy: int) -> None:
    """Goal: all or nothing. Method: two ready pods, and wishes that they cannot meet."""
    with pytest.raises(FaultError, match="2 ready pods have app=order-api"):
        choose([pod("a"), pod("b"), pod("c", ready=False)], count=count, min_healthy=min_healthy)


def test_selector_is_required() -> None:
    """Goal: never the whole namespace. Method: no selector, and a Service that has none."""
    with pytest.raises(FaultError, match="without a selector"):
        choose([pod("a"), pod("b")], selector=" ")
    without = service()
    without["spec"]["selector"] = {}
    with pytest.raises(FaultError, match="service/order-api has no selector"):
        pods.service_selector(without)
    assert pods.service_selector(service()) == SELECTOR


def budget(selector: Any, allowed: int | None = 1) -> Any:
    status = {} if allowed is None else {"disruptionsAllowed": allowed}
    return {"metadata": {"name": "pdb"}, "spec": {"selector": selector}, "status": status}


@pytest.mark.parametrize(
    ("selector", "matches"),
    [
        (None, False),
        ({}, True),
        ({"matchLabels": {"app": "order-api"}}, True),
        ({"matchLabels": {"app": "other"}}, False),
        ({"matchExpressions": [{"key": "app", "operator": "In", "values": ["order-api"]}]}, True),
        (
            {"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["order-api"]}]},
            False,
        ),
        ({"matchExpressions": [{"key": "app", "operator": "Exists"}]}, True),
        ({"matchExpressions": [{"key": "app", "operator": "DoesNotExist"}]}, False),
        ({"matchExpressions": [{"key": "app", "operator": "Fuzzy"}]}, False),
    ],
)
def test_budgets_select_pods_as_kubernetes_does(selector: Any, matches: bool) -> None:
    """Goal: the right budget is asked. Method: each form of selector against one pod's labels."""
    assert selects(selector, {"app": "order-api"}) is matches


def test_budget_that_allows_too_few_stops_the_kill() -> None:
    """Goal: a PodDisruptionBudget is respected. Method: enough, too few, and never counted."""
    found = [pod(name) for name in "abcd"]
    everyone: dict[str, Any] = {}

    def kill(count: int, allowed: int | None) -> int:
        return len(
            pods.choose(
                found,
                selector=SELECTOR,
                count=count,
                min_healthy=0,
                seed=0,
                budgets=[budget(everyone, allowed)],
            )
        )

    assert kill(2, 2) == 2
    with pytest.raises(FaultError, match="poddisruptionbudget/pdb allows 1 pods to go, not 2"):
        kill(2, 1)
    with pytest.raises(FaultError, match="allows 0 pods to go, not 1"):
        kill(1, None)


def test_victim_carries_what_identifies_it() -> None:
    """Goal: deletion by UID, replacement by owner. Method: the fields of a chosen pod."""
    victims = pods.choose([pod("a")], selector=SELECTOR, count=1, min_healthy=0, seed=0)
    assert victims == [pods.Victim(name="a", uid="uid-a", node="node-a", owner="rs-1")]
    orphan = pod("b")
    orphan["metadata"].pop("ownerReferences")
    assert pods.owner_of(orphan) == ""


def test_replacement_is_new_and_of_the_same_owner() -> None:
    """Goal: an old or foreign pod is no replacement. Method: one of each."""
    victim = pods.victim_of(pod("a"))
    now = [pod("b"), pod("x", owner="rs-2"), pod("c", ready=False)]
    new = pods.replacements([victim], frozenset({"uid-a", "uid-b"}), now)
    assert [p["metadata"]["name"] for p in new] == ["c"]


def effects_of(path: Path) -> list[tuple[str, str]]:
    lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return [(line["what"], line["subject"]) for line in lines]


def test_pods_are_followed_until_as_many_are_ready_as_before(tmp_path: Path) -> None:
    """Goal: replaced and ready are seen, in order. Method: a kill, look by look, a lost answer."""
    before = [pod("a"), pod("b")]
    victim = pods.victim_of(pod("a"))
    looks: list[Any] = [
        [pod("a"), pod("b")],
        ApiRefusalError("list", 503, "busy"),
        [pod("b"), pod("c", ready=False)],
        [pod("b"), pod("c")],
    ]

    def look() -> list[Any]:
        answer = looks.pop(0)
        if isinstance(answer, ApiRefusalError):
            raise answer
        found: list[Any] = answer
        return found

    file = tmp_path / "effects.jsonl"
    watch = Watch(look, effects=str(file), pause=lambda seconds: None)
    watch.killed(Kill((victim,), 0.0), before)
    assert watch.waits_for == "the kill"
    assert watch.follow(float("inf"))
    assert watch.took_s is not None
    assert (looks, watch.waits_for) == ([], "")
    assert effects_of(file) == [("replaced", "pod/c"), ("ready", "pods/a")]


def test_pods_that_do_not_come_back_give_no_ready(tmp_path: Path) -> None:
    """Goal: no data is not a pass. Method: the bound is reached with one pod of two."""
    file = tmp_path / "effects.jsonl"
    watch = Watch(lambda: [pod("b")], effects=str(file), pause=lambda seconds: None)
    watch.killed(Kill((pods.victim_of(pod("a")),), 0.0), [pod("a"), pod("b")])
    assert not watch.follow(0.0)
    assert watch.took_s is None
    assert effects_of(file) == []


def test_refusal_for_good_ends_the_watch() -> None:
    """Goal: a missing permission is said. Method: listing is forbidden."""

    def look() -> list[Any]:
        raise ApiRefusalError("list pods", 403, "no")

    watch = Watch(look)
    watch.killed(Kill((pods.victim_of(pod("a")),), 0.0), [pod("a")])
    with pytest.raises(ApiRefusalError, match="403"):
        watch.follow(0.0)


def test_new_pod_that_is_first_seen_by_the_next_kill_is_on_record(tmp_path: Path) -> None:
    """Goal: no replacement is taken for an old pod. Method: it appears between two looks."""
    file = tmp_path / "effects.jsonl"
    watch = Watch(lambda: [pod("c"), pod("d")], effects=str(file), pause=lambda seconds: None)
    watch.killed(Kill((pods.victim_of(pod("a")),), 0.0, "kill 1"), [pod("a"), pod("b")])
    watch.killed(Kill((pods.victim_of(pod("b")),), 0.0, "kill 2"), [pod("b"), pod("c")])
    assert watch.follow(float("inf"))
    assert effects_of(file) == [
        ("replaced", "pod/c"),
        ("replaced", "pod/d"),
        ("ready", "pods/a"),
        ("ready", "pods/b"),
    ]


def test_memory_of_old_pods_does_not_grow() -> None:
    """Goal: bounded memory. Method: another new pod at each of many looks, never enough ready."""
    names = iter(range(1000))
    now_s = [0.0]

    def pause(seconds: float) -> None:
        now_s[0] += seconds

    def look() -> list[Any]:
        return [pod(f"new-{next(names)}", ready=False)]

    watch = Watch(look, now=lambda: now_s[0], pause=pause)
    watch.killed(Kill((pods.victim_of(pod("a")),), 0.0), [pod("a"), pod("b")])
    assert not watch.follow(60.0)
    assert next(names) > 100
    assert len(watch._known) == 1


def test_nobody_looks_when_nobody_is_missing() -> None:
    """Goal: no load on the API server between kills. Method: a watch without a kill."""
    cluster = FakeCluster()
    watch = Watch(lambda: cluster.items(PODS, "ecommerce"))
    assert watch.follow(float("inf"))
    assert cluster.calls == []


def test_looks_become_rarer_with_time() -> None:
    """Goal: pods that never come back cost the API server little. Method: pauses of an hour."""
    now_s, pauses = [0.0], []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        now_s[0] += seconds

    watch = Watch(lambda: [pod("b")], now=lambda: now_s[0], pause=pause)
    watch.killed(Kill((pods.victim_of(pod("a")),), 0.0), [pod("a"), pod("b")])
    assert not watch.follow(3600.0)
    assert pauses[0] == 0.2
    assert max(pauses) == 2.0
    assert len(pauses) < 2100
    assert now_s[0] == pytest.approx(3600.0)
