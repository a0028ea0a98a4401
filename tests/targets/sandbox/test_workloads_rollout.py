"""The decisions of the deployment and replicaset controllers, and the status they show."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.targets.sandbox.pods import HASH_LABEL, REVISION, condition, seconds_of, template_hash
from runner.targets.sandbox.rollout import (
    CreateReplicaSet,
    DeleteReplicaSet,
    Limits,
    ReplicaPlan,
    ScaleReplicaSet,
    SetRevision,
    limits,
    plan_replicas,
    plan_rollout,
    replicaset_status,
)
from runner.targets.sandbox.rollout_status import deployment_status

NOW = seconds_of("2026-01-01T00:10:00Z")


def deployment(replicas: int = 2, text: str = "v1", **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "order-api", "namespace": "shop", "uid": "d1", "generation": 1},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "order-api"}},
            "template": {"metadata": {"labels": {"app": "order-api", "text": text}}, "spec": {}},
        }
        | spec,
    }


def replicaset(
    text: str, size: int, available: int | None = None, revision: int = 1, **more: Any
) -> dict[str, Any]:
    digest = template_hash(deployment(text=text)["spec"]["template"])
    have = size if available is None else available
    status = {"replicas": max(size, have), "readyReplicas": have, "availableReplicas": have}
    return {
        "metadata": {
            "name": f"order-api-{text}",
            "labels": {HASH_LABEL: digest},
            "annotations": {REVISION: str(revision)},
        },
        "spec": {"replicas": size},
        "status": status | more,
    }


@pytest.mark.parametrize(
    ("replicas", "strategy", "expected"),
    [
        (2, None, Limits(1, 0)),
        (4, None, Limits(1, 1)),
        (10, None, Limits(3, 2)),
        (10, {"rollingUpdate": {"maxSurge": "7%", "maxUnavailable": 3}}, Limits(1, 3)),
        (100, {"rollingUpdate": {"maxSurge": "7%", "maxUnavailable": "7%"}}, Limits(7, 7)),
        (3, {"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 0}}, Limits(0, 1)),
        (2, {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 9}}, Limits(1, 2)),
        (3, {"type": "Recreate"}, Limits(0, 3)),
    ],
)
def test_limits(replicas: int, strategy: dict[str, Any] | None, expected: Limits) -> None:
    """Surge rounds up, unavailable rounds down, both 0 means one unavailable."""
    spec: dict[str, Any] = {} if strategy is None else {"strategy": strategy}
    assert limits(deployment(replicas, **spec)) == expected


def test_a_new_deployment_gets_a_replicaset_and_then_its_pods() -> None:
    """First a ReplicaSet of revision 1 with hash label and owner, then all replicas at once."""
    wish = deployment()
    (made,) = plan_rollout(wish, [])
    assert isinstance(made, CreateReplicaSet)
    digest = template_hash(wish["spec"]["template"])
    assert made.body["metadata"]["name"] == f"order-api-{digest}"
    assert made.body["metadata"]["annotations"] == {REVISION: "1"}
    assert made.body["metadata"]["ownerReferences"][0]["uid"] == "d1"
    assert made.body["spec"]["selector"]["matchLabels"] == {
        "app": "order-api",
        HASH_LABEL: digest,
    }
    assert made.body["spec"]["template"]["metadata"]["labels"][HASH_LABEL] == digest
    assert HASH_LABEL not in wish["spec"]["template"]["metadata"]["labels"]
    assert plan_rollout(wish, [replicaset("v1", 0)]) == [ScaleReplicaSet("order-api-v1", 2)]
    assert plan_rollout(wish, [replicaset("v1", 2)]) == []


def test_a_rolling_update_step_by_step() -> None:
    """Two replicas by default: one more new, then one old less when it is available, and again."""
    wish = deployment(2, "v2")
    new = {"revision": 2}
    steps = [
        ([replicaset("v1", 2), replicaset("v2", 0, **new)], [ScaleReplicaSet("order-api-v2", 1)]),
        ([replicaset("v1", 2), replicaset("v2", 1, 0, **new)], []),
        ([replicaset("v1", 2), replicaset("v2", 1, **new)], [ScaleReplicaSet("order-api-v1", 1)]),
        (
            [replicaset("v1", 1, 1), replicaset("v2", 1, **new)],
            [ScaleReplicaSet("order-api-v2", 2)],
        ),
        ([replicaset("v1", 1), replicaset("v2", 2, **new)], [ScaleReplicaSet("order-api-v1", 0)]),
        ([replicaset("v1", 0), replicaset("v2", 2, **new)], []),
    ]
    for state, expected in steps:
        assert plan_rollout(wish, state) == expected


def test_old_pods_that_serve_nobody_go_first() -> None:
    """Of two old ReplicaSets the broken one is emptied, and no available pod is lost for it."""
    wish = deployment(4, "v3", strategy={"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}})
    state = [replicaset("v1", 3), replicaset("v2", 1, 0), replicaset("v3", 0, revision=3)]
    assert plan_rollout(wish, state) == [ScaleReplicaSet("order-api-v2", 0)]


def test_scaling_without_a_new_template() -> None:
    """The one ReplicaSet is scaled up and down directly."""
    assert plan_rollout(deployment(5), [replicaset("v1", 2)]) == [
        ScaleReplicaSet("order-api-v1", 5)
    ]
    assert plan_rollout(deployment(0), [replicaset("v1", 2)]) == [
        ScaleReplicaSet("order-api-v1", 0)
    ]


def test_a_paused_deployment_scales_but_does_not_roll() -> None:
    """Paused: no new ReplicaSet for the new template, but the present one is scaled."""
    assert plan_rollout(deployment(2, "v2", paused=True), [replicaset("v1", 2)]) == []
    assert plan_rollout(deployment(3, "v2", paused=True), [replicaset("v1", 2)]) == [
        ScaleReplicaSet("order-api-v1", 3)
    ]


def test_recreate_waits_until_all_old_pods_are_gone() -> None:
    """Old to 0, then nothing while old pods remain, then the new ones."""
    wish = deployment(2, "v2", strategy={"type": "Recreate"})
    new = replicaset("v2", 0, revision=2)
    assert plan_rollout(wish, [replicaset("v1", 2), new]) == [ScaleReplicaSet("order-api-v1", 0)]
    assert plan_rollout(wish, [replicaset("v1", 0, 0, replicas=1), new]) == []
    assert plan_rollout(wish, [replicaset("v1", 0), new]) == [ScaleReplicaSet("order-api-v2", 2)]


def test_a_rollback_makes_the_old_replicaset_the_newest() -> None:
    """The template is that of revision 1 again: it becomes revision 3 before anything moves."""
    state = [replicaset("v1", 0, revision=1), replicaset("v2", 2, revision=2)]
    assert plan_rollout(deployment(2, "v1"), state) == [SetRevision("order-api-v1", 3)]


def test_old_replicasets_beyond_the_history_are_forgotten() -> None:
    """With a history of 1, of three empty old ones the two oldest go, after the rollout only."""
    old = [replicaset(f"v{number}", 0, revision=number) for number in (1, 2, 3)]
    wish = deployment(2, "v4", revisionHistoryLimit=1)
    done = replicaset("v4", 2, revision=4)
    assert plan_rollout(wish, [*old, done]) == [
        DeleteReplicaSet("order-api-v1"),
        DeleteReplicaSet("order-api-v2"),
    ]
    busy = replicaset("v4", 2, 1, revision=4)
    assert plan_rollout(wish, [*old, busy]) == []


def test_a_deployment_that_is_being_deleted_is_left_alone() -> None:
    """Its ReplicaSets go with it; new ones would be orphans."""
    going = deployment()
    going["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert plan_rollout(going, []) == []


@settings(max_examples=150, deadline=None)
@given(
    replicas=st.integers(0, 12),
    before=st.integers(0, 12),
    surge=st.sampled_from([0, 1, 3, "25%", "100%"]),
    unavailable=st.sampled_from([0, 1, 2, "25%", "100%"]),
    data=st.data(),
)
def test_a_rollout_keeps_its_limits_and_ends(
    replicas: int, before: int, surge: object, unavailable: object, data: st.DataObject
) -> None:
    """Pods become available in any order: never too many, never too few, and it always ends.

    The limits bind from the moment at which the old pods are not fewer than wanted: a scale-up
    in the same breath cannot be available at once.
    """
    rolling = {"maxSurge": surge, "maxUnavailable": unavailable}
    wish = deployment(replicas, "v2", strategy={"rollingUpdate": rolling})
    allowed = limits(wish)
    sizes = {"order-api-v1": before, "order-api-v2": 0}
    available = dict(sizes)
    for _ in range(200):
        state = [
            replicaset(name[-2:], sizes[name], available[name], revision=int(name[-1]))
            for name in sizes
        ]
        actions = plan_rollout(wish, state)
        for action in actions:
            assert isinstance(action, ScaleReplicaSet)
            grows = action.replicas > sizes[action.name]
            sizes[action.name] = action.replicas
            available[action.name] = min(available[action.name], action.replicas)
            if grows:
                assert sum(sizes.values()) <= replicas + allowed.surge
            elif before >= replicas:
                assert sum(available.values()) >= replicas - allowed.unavailable
        waiting = sizes["order-api-v2"] - available["order-api-v2"]
        if not actions and waiting:
            available["order-api-v2"] += data.draw(st.integers(1, waiting))
        elif not actions:
            break
    assert sizes == {"order-api-v1": 0, "order-api-v2": replicas}


def pod(
    name: str, *, ready: bool = True, phase: str = "Running", **metadata: Any
) -> dict[str, Any]:
    condition_ = {
        "type": "Ready",
        "status": "True" if ready else "False",
        "lastTransitionTime": "2026-01-01T00:09:55Z",
    }
    return {
        "metadata": {"name": name, "uid": name, "creationTimestamp": "2026-01-01T00:00:00Z"}
        | metadata,
        "spec": {"nodeName": "n"},
        "status": {"phase": phase, "conditions": [condition_]},
    }


def test_a_replicaset_replaces_what_does_not_count() -> None:
    """Terminating and finished pods are no replicas, so two of three are created anew."""
    pods = [pod("a"), pod("b", phase="Failed"), pod("c", deletionTimestamp="2026-01-01T00:00:00Z")]
    assert plan_replicas(replicaset("v1", 3), pods) == ReplicaPlan(2, ())


def test_who_is_deleted_first() -> None:
    """Unready before ready, cheap before dear, young before old."""
    pods = [
        pod("dear", annotations={"controller.kubernetes.io/pod-deletion-cost": "5"}),
        pod("old"),
        pod("young", creationTimestamp="2026-01-01T00:05:00Z"),
        pod("unready", ready=False),
    ]
    plan = plan_replicas(replicaset("v1", 1), pods)
    assert [each["metadata"]["name"] for each in plan.delete] == ["unready", "young", "old"]
    assert plan.create == 0


def test_the_status_of_a_replicaset_minds_min_ready_seconds() -> None:
    """Ready for 5 s is ready; with minReadySeconds of 10 it is not available yet."""
    own = replicaset("v1", 2)
    own["spec"]["minReadySeconds"] = 10
    status = replicaset_status(own, [pod("a"), pod("b", ready=False)], NOW)
    assert (status["replicas"], status["readyReplicas"], status["availableReplicas"]) == (2, 1, 0)
    assert replicaset_status(own, [pod("a")], NOW + 5)["availableReplicas"] == 1


def test_the_status_of_a_complete_deployment() -> None:
    """Counts are sums; both conditions are True with Kubernetes' reasons."""
    status = deployment_status(deployment(), [replicaset("v1", 2)], NOW)
    assert {key: value for key, value in status.items() if key != "conditions"} == {
        "observedGeneration": 1,
        "replicas": 2,
        "updatedReplicas": 2,
        "readyReplicas": 2,
        "availableReplicas": 2,
        "unavailableReplicas": 0,
    }
    reasons = {each["type"]: (each["status"], each["reason"]) for each in status["conditions"]}
    assert reasons == {
        "Available": ("True", "MinimumReplicasAvailable"),
        "Progressing": ("True", "NewReplicaSetAvailable"),
    }


def test_the_status_in_the_middle_of_a_rollout() -> None:
    """kubectl waits while updated < wanted and while old pods remain: both can be read."""
    state = [replicaset("v1", 2), replicaset("v2", 1, 0, revision=2)]
    status = deployment_status(deployment(2, "v2"), state, NOW)
    assert (status["updatedReplicas"], status["replicas"]) == (1, 3)
    assert condition({"status": status}, "Available")["status"] == "True"
    assert condition({"status": status}, "Progressing")["reason"] == "ReplicaSetUpdated"


def test_a_rollout_that_stands_still_exceeds_its_deadline() -> None:
    """No progress for longer than progressDeadlineSeconds; within it nothing is said."""
    wish = deployment(2, "v2", progressDeadlineSeconds=60)
    state = [replicaset("v1", 2), replicaset("v2", 1, 0, revision=2)]
    wish["status"] = deployment_status(wish, state, NOW)
    again = deployment_status(wish, state, NOW + 59)
    assert again == wish["status"]
    late = condition({"status": deployment_status(wish, state, NOW + 61)}, "Progressing")
    assert (late["status"], late["reason"]) == ("False", "ProgressDeadlineExceeded")


def test_a_pod_that_dies_after_the_rollout_has_no_deadline() -> None:
    """A complete deployment loses a pod: not available, but still successfully progressed."""
    wish = deployment(2, progressDeadlineSeconds=60)
    wish["status"] = deployment_status(wish, [replicaset("v1", 2)], NOW)
    status = {"status": deployment_status(wish, [replicaset("v1", 2, 1)], NOW + 500)}
    assert condition(status, "Available")["reason"] == "MinimumReplicasUnavailable"
    assert condition(status, "Available")["lastTransitionTime"] == "2026-01-01T00:18:20Z"
    assert condition(status, "Progressing")["reason"] == "NewReplicaSetAvailable"


def test_conditions_keep_their_times() -> None:
    """The same look an hour later changes nothing, so nothing is written."""
    wish = deployment()
    wish["status"] = deployment_status(wish, [replicaset("v1", 2)], NOW)
    assert deployment_status(wish, [replicaset("v1", 2)], NOW + 3600) == wish["status"]
