"""A preview plays what a run plays, against a cluster that is only read."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from chaos_fakes import FakeCluster
from chaos_objects import NAMESPACE, pod
from chaos_plans import planned
from chaoslib.exceptions import ActivityFailed
from hypothesis import given, settings
from hypothesis import strategies as st
from preview_world import EVERY_KIND, SAY, TARGET, budget, shop, stored

from runner.chaos import actions
from runner.chaos.activities.shared import standing_in
from runner.chaos.compile import compile_fault
from runner.chaos.drycluster import DryCluster
from runner.chaos.objects import BUDGETS, PODS, VIRTUAL_SERVICES
from runner.chaos.previewing import preview_fault
from runner.model.fault import FAULT_KINDS, PodKill
from runner.model.plan import PlannedFault
from runner.model.preview import FaultPreview
from runner.model.target import Bounds

WRITES = ("create", "replace", "delete", "evict")


def previewed(fault: PlannedFault, cluster: FakeCluster) -> FaultPreview:
    return preview_fault(fault, TARGET, cluster, time.time())


def subjects(preview: FaultPreview) -> list[str]:
    return [f"{change.deed} {change.subject}" for change in preview.changes]


def chosen(preview: FaultPreview) -> list[str]:
    return [pod.name for pod in preview.pods if pod.chosen]


def changed_lines(preview: FaultPreview) -> list[str]:
    """Lines that a diff adds or takes away, without its head and the tags."""
    lines = "".join(change.diff for change in preview.changes).splitlines()
    kept = [line for line in lines if line[:1] in "+-" and not line.startswith(("---", "+++"))]
    return [line for line in kept if "seatrial.dev/faults" not in line]


def test_there_is_a_fault_of_every_kind_to_preview() -> None:
    assert {fault.fault.kind for fault in EVERY_KIND} == set(FAULT_KINDS)


@pytest.mark.parametrize("fault", EVERY_KIND, ids=lambda fault: fault.id)
def test_a_preview_touches_nothing(fault: PlannedFault) -> None:
    """Goal: it only reads. Method: every kind; no write is asked for, no object is another one."""
    cluster = shop()
    before = stored(cluster)
    preview = previewed(fault, cluster)
    assert preview.problem == ""
    assert not [call for call in cluster.calls if call.startswith(WRITES)]
    assert stored(cluster) == before


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (3, ["replace virtualservice/payment-api"]),
        (4, ["replace virtualservice/payment-api"]),
        (5, ["create envoyfilter/seatrial-preview-05-http-abort"]),
        (7, ["replace deployment/order-api"]),
        (8, ["replace deployment/order-api"]),
        (9, ["replace node/node-b"]),
        (11, ["create networkpolicy/seatrial-preview-11-network-deny"]),
        (12, []),
    ],
)
def test_which_objects_would_be_changed(number: int, expected: list[str]) -> None:
    assert subjects(previewed(EVERY_KIND[number - 1], shop())) == expected


def test_the_pods_of_the_preview_are_those_that_the_run_kills() -> None:
    """Goal: the very draw. Method: ten seeds; the preview, then the real action of the run."""
    drawn = set()
    for number in range(1, 11):
        fault, cluster = planned("pod-kill", "order-api", number=number, count=2), shop()
        preview = previewed(fault, cluster)
        arguments = compile_fault(fault, TARGET, "r", time.time())["method"][1]["provider"]
        with standing_in(cluster):
            done = actions.kill_pods(**arguments["arguments"] | {"follow_until_wall_s": None})
        killed = [victim["name"] for victim in done["killed"]]
        assert sorted(killed) == chosen(preview)
        assert [change.subject for change in preview.changes] == [f"pod/{name}" for name in killed]
        assert {p.name: p.uid for p in preview.pods}[killed[0]] == done["killed"][0]["uid"]
        drawn.add(tuple(sorted(killed)))
    assert len(drawn) > 1


@given(
    ready=st.lists(st.booleans(), min_size=1, max_size=8),
    count=st.one_of(st.integers(1, 4), st.sampled_from(["30%", "50%", "all"])),
    seed=st.integers(0, 2**32),
    bounds=st.builds(Bounds, max_pods=st.none() | st.integers(0, 4)),
)
@settings(max_examples=60, deadline=None)
def test_a_preview_and_a_run_agree_in_any_state(
    ready: list[bool], count: int | str, seed: int, bounds: Bounds
) -> None:
    """Goal: what is shown is what happens, refusals too. Method: any pods, counts and bounds."""
    cluster = shop()
    cluster.objects["pods"] = {}
    cluster.put(*(pod(f"order-{n}", ready=one) for n, one in enumerate(ready)), kind=PODS)
    fault = planned("pod-kill", "order-api", count=count, min_healthy=0)
    fault = fault.model_copy(update={"seed": seed})
    target = TARGET.model_copy(update={"bounds": bounds})
    preview = preview_fault(fault, target, cluster, time.time())
    arguments = compile_fault(fault, target, "r", time.time())["method"][1]["provider"]["arguments"]
    problem, killed = "", []
    try:
        with standing_in(cluster):
            done = actions.kill_pods(**arguments | {"follow_until_wall_s": None})
        killed = [victim["name"] for victim in done["killed"]]
    except ActivityFailed as error:
        problem = str(error)
    assert preview.problem == problem
    assert chosen(preview) == sorted(killed)


def test_the_diff_of_the_preview_is_what_the_run_does() -> None:
    """Goal: no difference between the two. Method: the object after the real action."""
    fault, cluster = EVERY_KIND[3], shop()
    dry = DryCluster(cluster)
    arguments = compile_fault(fault, TARGET, "r", time.time())["method"][1]["provider"]["arguments"]
    for where in (dry, cluster):
        with standing_in(where):
            actions.abort_requests(**arguments)
    (change,) = dry.changes.values()
    assert change.after is not None
    real = cluster.read(VIRTUAL_SERVICES, NAMESPACE, "payment-api")
    assert change.after["spec"] == real["spec"]
    assert change.after["metadata"]["annotations"] == real["metadata"]["annotations"]


def test_a_route_is_shown_before_and_after() -> None:
    """Goal: the diff is small and exact. Method: an abort of half of the requests."""
    lines = changed_lines(previewed(EVERY_KIND[3], shop()))
    assert lines == [
        "+  annotations:",
        "+  - name: seatrial-preview-04-http-abort-1",
        "+    match:",
        "+    - uri:",
        "+        prefix: /api/v1/payments",
        "+    route:",
        "+    - destination:",
        "+        host: payment-api",
        "+        port:",
        "+          number: 80",
        "+    timeout: 30s",
        "+    retries:",
        "+      attempts: 3",
        "+      perTryTimeout: 10s",
        "+    fault:",
        "+      abort:",
        "+        httpStatus: 503",
        "+        percentage:",
        "+          value: 50.0",
    ]


def test_a_field_of_a_deployment_is_shown_before_and_after() -> None:
    lines = changed_lines(previewed(EVERY_KIND[6], shop()))
    assert lines == ["+  annotations:", "-  replicas: 3", "+  replicas: 1"]


def test_pods_behind_a_selector_are_shown_as_hit() -> None:
    """Goal: who is hit is seen, also where no pod is changed. Method: all pods, one, all."""
    assert len(chosen(previewed(EVERY_KIND[4], shop()))) == 3
    one = previewed(EVERY_KIND[5], shop())
    assert len(chosen(one)) == 1
    assert subjects(one)[0] == f"replace pod/{chosen(one)[0]}"
    assert len(chosen(previewed(EVERY_KIND[10], shop()))) == 3


def test_the_moments_of_repeated_kills_are_those_of_the_plan() -> None:
    """Goal: a series is known beforehand. Method: a kill every 10 s of 30 s, with jitter."""
    fault = EVERY_KIND[1]
    assert isinstance(fault.fault, PodKill)
    preview = previewed(fault, shop())
    assert preview.moments_s == tuple(10.0 + at for at in fault.fault.moments(fault.seed))
    assert len(preview.moments_s) == 3
    assert len(chosen(preview)) == 1


def test_a_drain_shows_who_is_evicted_and_what_a_budget_says() -> None:
    """Goal: evictions that would wait are known. Method: two pods on the node, one may go."""
    preview = previewed(EVERY_KIND[9], shop(budget(2, allowed=1)))
    assert chosen(preview) == ["order-api-a", "order-api-b"]
    assert subjects(preview) == [
        "replace node/node-a",
        "evict pod/order-api-a",
        "evict pod/order-api-b",
    ]
    assert preview.notes == ("now, poddisruptionbudget/order-api allows 1 pods to go, not 2",)


@pytest.mark.parametrize(
    ("bounds", "budgets", "problem"),
    [
        (Bounds(), [budget(3, allowed=0)], "poddisruptionbudget/order-api allows 0 pods to go"),
        (Bounds(max_pods=0), [], "is too much: the bounds of this target allow 0 (max_pods: 0)"),
        (Bounds(min_healthy=3), [], "killing 1 of them would not leave 3"),
    ],
)
def test_a_fault_that_would_be_refused_says_so(
    bounds: Bounds, budgets: list[dict[str, object]], problem: str
) -> None:
    """Goal: a refusal of the last moment is seen in the first. Method: a budget, two bounds."""
    target = TARGET.model_copy(update={"bounds": bounds})
    preview = preview_fault(EVERY_KIND[0], target, shop(*budgets), time.time())
    assert problem in preview.problem
    assert preview.changes == ()


@pytest.mark.parametrize("number", [5, 6], ids=["all", "one"])
@pytest.mark.parametrize("bounds", [Bounds(max_pods=0), Bounds(min_healthy=3)])
def test_bounds_hold_when_a_fault_is_put_in_front_of_pods(number: int, bounds: Bounds) -> None:
    """Goal: pods come and go before a fault begins. Method: bounds that allow none of three."""
    target = TARGET.model_copy(update={"bounds": bounds})
    preview = preview_fault(EVERY_KIND[number - 1], target, shop(), time.time())
    assert "is too much: the bounds of this target allow 0" in preview.problem
    assert preview.changes == ()


def test_activities_of_other_people_are_not_played(tmp_path: Path) -> None:
    """Goal: nobody can keep them from acting, so they do not. Method: it would make a file."""
    made = tmp_path / "made"
    provider = {"type": "process", "path": "touch", "arguments": str(made)}
    fault = planned("chaostoolkit", "order-api", method=[{**SAY, "provider": provider}])
    preview = previewed(fault, shop())
    assert preview.notes == (
        "not played in a preview, because nobody could keep them from acting: say",
        "a ConfigMap would mark the fault while it is on",
    )
    assert not made.exists()


def test_a_dry_cluster_shows_what_was_changed_before() -> None:
    """Goal: a second action sees the first. Method: make, change, delete; then look."""
    cluster = shop()
    dry = DryCluster(cluster)
    victim = dry.items(PODS, NAMESPACE)[0]
    dry.delete(PODS, victim)
    assert [p["metadata"]["name"] for p in dry.items(PODS, NAMESPACE, "app=order-api")] == [
        "order-api-b",
        "order-api-c",
    ]
    other = dry.items(PODS, NAMESPACE)[0]
    dry.replace(PODS, {**other, "metadata": {**other["metadata"], "labels": {"app": "x"}}})
    assert [p["metadata"]["name"] for p in dry.items(PODS, NAMESPACE, "app=x")] == ["order-api-b"]
    dry.create(BUDGETS, budget(1, allowed=1))
    assert dry.read(BUDGETS, NAMESPACE, "order-api")["kind"] == "PodDisruptionBudget"
    assert len(dry.items(BUDGETS, NAMESPACE)) == 1
    assert [change.deed for change in dry.changes.values()] == ["delete", "replace", "create"]
    assert len(cluster.items(PODS, NAMESPACE)) == 3
