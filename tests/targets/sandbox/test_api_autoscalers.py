"""HorizontalPodAutoscalers in the API server: two versions of one object, defaults, refusals."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from api_store_rig import ME, STATUS, Obj, at, make, new_store
from hypothesis import given
from hypothesis import strategies as st

from runner.targets.sandbox.apiserver.autoscalers import cpu_metric, from_old, to_old
from runner.targets.sandbox.apiserver.columns import columns_of
from runner.targets.sandbox.apiserver.errors import StatusError
from runner.targets.sandbox.apiserver.kinds import BY_PLURAL
from runner.targets.sandbox.apiserver.lifecycle import Place, create, show
from runner.targets.sandbox.apiserver.patching import patch_object
from runner.targets.sandbox.apiserver.protobuf import decode_envelope
from runner.targets.sandbox.apiserver.store import Store

HPAS = BY_PLURAL["autoscaling", "horizontalpodautoscalers"]
OLD = Place(HPAS, "v1", "n")
REFERENCE = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
MEMORY = {
    "type": "Resource",
    "resource": {"name": "memory", "target": {"type": "AverageValue", "averageValue": "30Mi"}},
}
PREFIX = "autoscaling.alpha.kubernetes.io/"

# kubectl 1.32: `autoscale deployment saga-tracker --min=2 --max=3 --cpu-percent=50`.
AUTOSCALE = bytes.fromhex(
    "6b3873000a290a0e6175746f7363616c696e672f76311217486f72697a6f6e74616c506f644175746f7363616c6572"
    "12510a1c0a0c736167612d747261636b657212001a0022002a0032003800420012"
    "2b0a230a0a4465706c6f796d656e74120c736167612d747261636b65721a07617070732f763110021803"
    "20321a04180020001a002200"
)


@pytest.fixture
def store() -> Store:
    return new_store()


def spec(**more: Any) -> Obj:
    return {"scaleTargetRef": REFERENCE, "maxReplicas": 5} | more


def test_what_kubectl_autoscale_sends() -> None:
    """The recorded bytes; the status in it is left out."""
    sent = decode_envelope(AUTOSCALE)
    assert sent["apiVersion"] == "autoscaling/v1"
    assert sent["spec"] == {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "saga-tracker"},
        "minReplicas": 2,
        "maxReplicas": 3,
        "targetCPUUtilizationPercentage": 50,
    }


def test_the_old_version_is_stored_as_the_new_one(store: Store) -> None:
    body = {"metadata": {"name": "web"}, "spec": spec(targetCPUUtilizationPercentage=50)}
    made = create(store, OLD, body, ME)
    assert made["spec"] == spec(minReplicas=1, metrics=[cpu_metric(50)])
    new = show(at(HPAS, "web"), made)
    assert (new["apiVersion"], new["spec"]["metrics"]) == ("autoscaling/v2", [cpu_metric(50)])
    old = show(OLD, made)
    assert old["apiVersion"] == "autoscaling/v1"
    assert old["spec"] == spec(minReplicas=1, targetCPUUtilizationPercentage=50)
    assert "annotations" not in old["metadata"]


def test_what_the_old_version_lacks_survives_a_patch_through_it(store: Store) -> None:
    """A memory metric and a behavior stand in annotations meanwhile, and nowhere afterwards."""
    behavior = {"scaleDown": {"stabilizationWindowSeconds": 7}}
    wanted = spec(metrics=[MEMORY, cpu_metric(60)], behavior=behavior)
    made = make(store, HPAS, {"metadata": {"name": "web"}, "spec": wanted})
    notes = show(OLD, made)["metadata"]["annotations"]
    assert json.loads(notes[PREFIX + "metrics"]) == [MEMORY]
    change = {"spec": {"targetCPUUtilizationPercentage": 70}, "metadata": {"labels": {"a": "b"}}}
    place = Place(HPAS, "v1", "n", "web")
    patched, _ = patch_object(store, place, "application/merge-patch+json", change, ME)
    assert patched["spec"]["metrics"] == [cpu_metric(70), MEMORY]
    assert patched["spec"]["behavior"]["scaleDown"]["stabilizationWindowSeconds"] == 7
    assert "annotations" not in patched["metadata"]


def test_the_status_in_the_old_version(store: Store) -> None:
    """The CPU share has a field of its own, the conditions an annotation."""
    make(store, HPAS, {"metadata": {"name": "web"}, "spec": spec()})
    seen = {"name": "cpu", "current": {"averageValue": "5m", "averageUtilization": 10}}
    status = {
        "currentReplicas": 2,
        "desiredReplicas": 3,
        "currentMetrics": [{"type": "Resource", "resource": seen}],
        "conditions": [{"type": "AbleToScale", "status": "True"}],
    }
    body = {"status": status}
    media = "application/merge-patch+json"
    told, _ = patch_object(store, at(HPAS, "web"), media, body, STATUS)
    assert told["status"] == status
    old = show(OLD, told)
    assert old["status"] == {
        "currentReplicas": 2,
        "desiredReplicas": 3,
        "currentCPUUtilizationPercentage": 10,
    }
    conditions = old["metadata"]["annotations"][PREFIX + "conditions"]
    assert json.loads(conditions) == status["conditions"]


metrics = st.lists(
    st.sampled_from([MEMORY, {"type": "Pods", "pods": {"metric": {"name": "rps"}}}]), max_size=2
)


@given(metrics, st.none() | st.integers(1, 200), st.booleans(), st.booleans())
def test_there_and_back_is_the_same(
    others: list[Obj], percent: int | None, has_behavior: bool, has_notes: bool
) -> None:
    """Any object that has its CPU metric first; it is itself not changed by being shown."""
    listed = [*([] if percent is None else [cpu_metric(percent)]), *others]
    stored: Obj = {"metadata": {"name": "web"}, "spec": spec(), "status": {"currentReplicas": 1}}
    if listed:
        stored["spec"]["metrics"] = listed
    if has_behavior:
        stored["spec"]["behavior"] = {"scaleUp": {"selectPolicy": "Min"}}
    if has_notes:
        stored["metadata"]["annotations"] = {"mine": "yes"}
    before = copy.deepcopy(stored)
    assert from_old(to_old(stored)) == stored == before


def test_an_annotation_that_is_no_json_is_dropped() -> None:
    """Nobody can be meant by it; the rest of the object counts."""
    body = {"metadata": {"annotations": {PREFIX + "behavior": "{"}}, "spec": spec()}
    assert from_old(body) == {"metadata": {}, "spec": spec()}


def test_defaults(store: Store) -> None:
    """80 % CPU, one replica; of a behavior, the directions and fields that are left open."""
    behavior = {"scaleUp": {"selectPolicy": "Min"}}
    made = make(store, HPAS, {"metadata": {"name": "web"}, "spec": spec(behavior=behavior)})
    assert made["status"] == {"currentReplicas": 0, "desiredReplicas": 0}
    assert made["spec"]["minReplicas"] == 1
    assert made["spec"]["metrics"] == [cpu_metric(80)]
    everything = {"type": "Percent", "value": 100, "periodSeconds": 15}
    four = {"type": "Pods", "value": 4, "periodSeconds": 15}
    assert made["spec"]["behavior"] == {
        "scaleUp": {
            "selectPolicy": "Min",
            "stabilizationWindowSeconds": 0,
            "policies": [four, everything],
        },
        "scaleDown": {"selectPolicy": "Max", "policies": [everything]},
    }


def policy(**more: Any) -> Obj:
    one = {"type": "Pods", "value": 1, "periodSeconds": 60} | more
    return {"behavior": {"scaleUp": {"policies": [one]}}}


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"scaleTargetRef": {"kind": "Deployment"}}, "spec.scaleTargetRef.name"),
        ({"scaleTargetRef": {"name": "web"}}, "spec.scaleTargetRef.kind"),
        ({"maxReplicas": 0}, "spec.maxReplicas"),
        ({"maxReplicas": None}, "spec.maxReplicas"),
        ({"minReplicas": 6}, "spec.maxReplicas"),
        ({"minReplicas": 0}, "spec.minReplicas"),
        ({"metrics": [{}]}, "spec.metrics[0].type"),
        ({"metrics": [cpu_metric(5), cpu_metric(0)]}, "spec.metrics[1].resource.target"),
        ({"metrics": [{"type": "Resource", "resource": {"name": "cpu"}}]}, "resource.target"),
        ({"behavior": {"scaleUp": {"selectPolicy": "Most"}}}, "spec.behavior.scaleUp.selectPolicy"),
        ({"behavior": {"scaleDown": {"stabilizationWindowSeconds": 3601}}}, "WindowSeconds"),
        (policy(type="Share"), "scaleUp.policies[0].type"),
        (policy(value=0), "scaleUp.policies[0].value"),
        (policy(periodSeconds=1801), "scaleUp.policies[0].periodSeconds"),
    ],
)
def test_what_no_autoscaler_could_follow_is_refused(store: Store, more: Obj, field: str) -> None:
    """Each is one field away from a valid object; the Status names it."""
    with pytest.raises(StatusError) as refused:
        make(store, HPAS, {"metadata": {"name": "web"}, "spec": spec(**more)})
    assert refused.value.code == 422
    assert field in refused.value.details["causes"][0]["field"]


@pytest.mark.parametrize("bounds", [{"maxReplicas": 1}, {"minReplicas": 5}])
def test_bounds_may_be_equal(store: Store, bounds: Obj) -> None:
    """One to one (by default) and five to five: such an autoscaler changes nothing, but may be."""
    made = make(store, HPAS, {"metadata": {"name": "web"}, "spec": spec(**bounds)})
    assert made["spec"]["minReplicas"] == made["spec"]["maxReplicas"]


@pytest.mark.parametrize("behavior", [{"scaleUp": "fast"}, {"scaleDown": {"policies": [3]}}])
def test_a_behavior_of_a_wrong_type_is_refused(store: Store, behavior: Obj) -> None:
    with pytest.raises(StatusError) as refused:
        make(store, HPAS, {"metadata": {"name": "web"}, "spec": spec(behavior=behavior)})
    assert refused.value.code == 400


def targets(metrics: list[Obj], current: list[Obj]) -> str:
    obj = {"spec": spec(metrics=metrics), "status": {"currentMetrics": current}}
    shown = {column.name: column.show(obj) for column in columns_of(HPAS) if column.name != "Age"}
    return str(shown["Targets"])


def test_the_table_shows_usage_and_target() -> None:
    """As ``kubectl get hpa`` prints them; what is not measured is unknown; two at most."""
    cpu = {"name": "cpu", "current": {"averageValue": "5m", "averageUtilization": 10}}
    memory = {"name": "memory", "current": {"averageValue": "20971520"}}
    seen = [{"type": "Resource", "resource": each} for each in (cpu, memory)]
    assert targets([cpu_metric(40)], []) == "cpu: <unknown>/40%"
    assert targets([cpu_metric(40), MEMORY], seen) == "cpu: 10%/40%, memory: 20971520/30Mi"
    three = targets([cpu_metric(40), MEMORY, MEMORY], seen)
    assert three == "cpu: 10%/40%, memory: 20971520/30Mi + 1 more..."
    obj = {"metadata": {"name": "x"}, "spec": spec()}
    shown = {each.name: each.show(obj) for each in columns_of(HPAS) if each.name != "Age"}
    assert (shown["Reference"], shown["Targets"]) == ("Deployment/web", "<none>")
