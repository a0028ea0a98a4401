"""Questions about pods, names, selectors, quantities, and pods made of templates."""

from __future__ import annotations

from typing import Any

import pytest

from runner.targets.sandbox.pods import (
    is_active,
    is_available,
    is_ready,
    matches,
    pod_of,
    quantity,
    seconds_of,
    short_name,
    template_hash,
    time_of,
    wants_proxy,
    with_proxy,
)


def pod(ready: str = "True", since: str = "2026-01-01T00:00:00Z", **status: Any) -> dict[str, Any]:
    ready_condition = {"type": "Ready", "status": ready, "lastTransitionTime": since}
    return {"metadata": {"name": "a"}, "status": {"conditions": [ready_condition]} | status}


REPLICASET = {
    "apiVersion": "apps/v1",
    "kind": "ReplicaSet",
    "metadata": {"name": "order-api-abc", "namespace": "shop", "uid": "u1"},
    "spec": {
        "template": {
            "metadata": {"labels": {"app": "order-api"}, "creationTimestamp": None},
            "spec": {"containers": [{"name": "order-api", "image": "i"}]},
        }
    },
}


def test_ready_active_available() -> None:
    """Each predicate looks at its own field: condition, phase and deletion, time since ready."""
    assert is_ready(pod())
    assert not is_ready(pod("False"))
    assert not is_ready({"metadata": {"name": "new"}})
    assert is_active(pod(phase="Running"))
    assert not is_active(pod(phase="Failed"))
    going = pod(phase="Running")
    going["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert not is_active(going)
    then = seconds_of("2026-01-01T00:00:00Z")
    assert is_available(pod(), 10.0, then + 10)
    assert not is_available(pod(), 10.0, then + 9)
    assert is_available(pod(), 0.0, then)
    assert not is_available(pod("False"), 0.0, then)


def test_times_are_read_and_written() -> None:
    """A Kubernetes time survives being read and written; none is 0."""
    assert time_of(seconds_of("2026-11-20T09:36:12Z")) == "2026-11-20T09:36:12Z"
    assert seconds_of("") == 0.0


@pytest.mark.parametrize(
    ("text", "number"),
    [("50m", 0.05), ("64Mi", 67_108_864), ("2", 2), (3, 3), ("1k", 1000), ("1.5Gi", 1.5 * 2**30)],
)
def test_quantities(text: object, number: float) -> None:
    """Kubernetes quantities become plain numbers."""
    assert quantity(text) == pytest.approx(number)


@pytest.mark.parametrize(
    ("selector", "fits"),
    [
        ({"matchLabels": {"app": "a"}}, True),
        ({"matchLabels": {"app": "b"}}, False),
        ({"matchExpressions": [{"key": "app", "operator": "In", "values": ["a", "b"]}]}, True),
        ({"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["a"]}]}, False),
        ({"matchExpressions": [{"key": "x", "operator": "DoesNotExist"}]}, True),
        ({"matchExpressions": [{"key": "x", "operator": "Exists"}]}, False),
        ({"matchExpressions": [{"key": "app", "operator": "Unheard"}]}, False),
        ({}, False),
    ],
)
def test_selectors(selector: dict[str, Any], fits: bool) -> None:
    """Labels and expressions are honoured; an empty selector owns nothing."""
    assert matches(selector, {"app": "a", "version": "v1"}) is fits


def test_names_are_reproducible() -> None:
    """The same seed gives the same letters of Kubernetes' alphabet."""
    assert short_name("1/a/1") == short_name("1/a/1")
    assert len({short_name(f"1/a/{number}") for number in range(200)}) == 200
    assert set(short_name("1/a/1", 50)) <= set("bcdfghjklmnpqrstvwxz2456789")


def test_the_template_hash_ignores_itself_and_nothing_else() -> None:
    """The hash label and an empty creation time do not count; an annotation does."""
    template = REPLICASET["spec"]["template"]  # type: ignore[index]
    labelled = {
        "metadata": {"labels": {"app": "order-api", "pod-template-hash": "x"}},
        "spec": template["spec"],
    }
    assert template_hash(labelled) == template_hash(template)
    annotated = {"metadata": {"labels": {"app": "order-api"}, "annotations": {"a": "b"}}}
    assert template_hash(annotated | {"spec": template["spec"]}) != template_hash(template)


def test_a_pod_of_a_template() -> None:
    """The pod has name, owner, labels and grace period, and the template stays untouched."""
    made = pod_of(REPLICASET, "x7k2p", inject=True, grace_s=1.5)
    assert made["metadata"] == {
        "name": "order-api-abc-x7k2p",
        "generateName": "order-api-abc-",
        "namespace": "shop",
        "labels": {"app": "order-api"},
        "ownerReferences": [
            {
                "apiVersion": "apps/v1",
                "kind": "ReplicaSet",
                "name": "order-api-abc",
                "uid": "u1",
                "controller": True,
                "blockOwnerDeletion": True,
            }
        ],
    }
    assert made["spec"]["terminationGracePeriodSeconds"] == 2
    assert [each["name"] for each in made["spec"]["containers"]] == ["order-api", "istio-proxy"]
    spec = REPLICASET["spec"]["template"]["spec"]  # type: ignore[index]
    assert spec == {"containers": [{"name": "order-api", "image": "i"}]}


def test_a_pod_has_one_proxy_only() -> None:
    """A pod that brings its own proxy is left as it is."""
    once = with_proxy({"spec": {"containers": [{"name": "a"}]}})
    assert with_proxy(once) is once


@pytest.mark.parametrize(
    ("namespace", "metadata", "wants"),
    [
        ({"metadata": {"labels": {"istio-injection": "enabled"}}}, {}, True),
        ({"metadata": {"labels": {"istio-injection": "disabled"}}}, {}, False),
        ({"metadata": {}}, {}, False),
        (None, {}, False),
        (
            {"metadata": {"labels": {"istio-injection": "enabled"}}},
            {"annotations": {"sidecar.istio.io/inject": "false"}},
            False,
        ),
    ],
)
def test_who_gets_a_proxy(
    namespace: dict[str, Any] | None, metadata: dict[str, Any], wants: bool
) -> None:
    """Pods of a labelled namespace, unless their template opts out."""
    assert wants_proxy({"metadata": metadata}, namespace) is wants
