"""Deployments as data: what is read of them, and the one thing that a restart changes."""

from __future__ import annotations

from chaos_deployments import autoscaler, deployment

from runner.chaos.deployments import (
    RESTARTED_AT,
    autoscaler_of,
    progress,
    restarted,
    selector_of,
)


def test_restart_changes_one_annotation_of_the_template() -> None:
    """Goal: what kubectl does, and nothing else. Method: compare; others' annotations stay."""
    body = deployment()
    body["spec"]["template"]["metadata"]["annotations"] = {"a": "b"}
    after = restarted(body, "now")
    assert after["spec"]["template"]["metadata"].pop("annotations") == {
        "a": "b",
        RESTARTED_AT: "now",
    }
    assert body["spec"]["template"]["metadata"].pop("annotations") == {"a": "b"}
    assert after == body


def test_progress_of_a_fresh_deployment_is_none() -> None:
    """Goal: no data is not a pass. Method: no status, and an old one."""
    bare = deployment()
    del bare["status"]
    assert not progress(bare).scaled
    assert not progress({**deployment(), "metadata": {"name": "x", "generation": 9}}).complete


def test_selector_of_a_deployment_as_a_query() -> None:
    """Goal: exactly its pods. Method: labels and each operator."""
    body = deployment()
    body["spec"]["selector"] = {
        "matchLabels": {"b": "2", "a": "1"},
        "matchExpressions": [
            {"key": "c", "operator": "In", "values": ["x", "y"]},
            {"key": "d", "operator": "NotIn", "values": ["z"]},
            {"key": "e", "operator": "Exists"},
            {"key": "f", "operator": "DoesNotExist"},
        ],
    }
    assert selector_of(body) == "a=1,b=2,c in (x,y),d notin (z),e,!f"


def test_autoscaler_of_another_kind_is_none() -> None:
    """Goal: the right target. Method: one of a StatefulSet of the same name."""
    assert autoscaler_of([autoscaler("x", "StatefulSet")], "order-api") == ""
    assert autoscaler_of([autoscaler("x")], "other") == ""
    assert autoscaler_of([autoscaler("x")], "order-api") == "x"
