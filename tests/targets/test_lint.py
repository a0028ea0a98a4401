"""Faults that could show nothing are refused with the reason: one case for each row of the table.

The table stands in ``docs/faults/lint.md``; its first column names the cases of
``futile_faults``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pytest
from conftest import ROOT
from futile_faults import (
    ABORT,
    BREAKER,
    BY_FILE,
    BY_TARGET,
    DENY,
    KILL,
    SCALER,
    SERVER,
    activity,
    foreign,
)
from pydantic import ValidationError
from worlds import NAMESPACE, deployment, destination_rule, node, pod, virtual_service, world

from runner.model.experiment import Experiment
from runner.model.fault import HttpAbort
from runner.model.feasibility import mistakes_in
from runner.model.plan import Plan, make_plan
from runner.targets.faultfit import fault_symptoms
from runner.targets.preflight import plan_symptoms, problems
from runner.targets.reach import Reach
from runner.targets.symptom import remarks


def experiment_of(fault: Mapping[str, Any]) -> Experiment:
    times = {"service": "payment-api", "at": "20s", "duration": "10s"}
    return Experiment.model_validate(
        {
            "name": "x",
            "description": "d",
            "load": {"locustfile": "x", "stages": [{"duration": "60s", "users": 1}]},
            "warmup": "5s",
            "faults": [{**times, **fault}],
            "objectives": ["errors < 1%"],
        }
    )


def plan_of(fault: Mapping[str, Any]) -> Plan:
    experiment = experiment_of(fault)
    assert mistakes_in(experiment) == ()
    return make_plan(experiment)


# -- what the file tells ---------------------------------------------------------------------------


@pytest.mark.parametrize("case", BY_FILE)
def test_a_futile_fault_is_a_mistake_in_the_file(case: str) -> None:
    """Goal: told by ``validate``. Method: what is said about one fault, and nothing else is."""
    fault, reason = BY_FILE[case]
    try:
        said = [one.message for one in mistakes_in(experiment_of(fault))]
    except ValidationError as error:
        said = [one["msg"] for one in error.errors()]
    assert len(said) == 1
    assert reason in said[0]


def test_no_percentage_of_our_own_activities_is_zero() -> None:
    (said,) = mistakes_in(experiment_of(foreign(activity(percent=0))))
    assert said.loc == ("faults", 0, "method")
    assert said.message.startswith("0 % of the requests is none")


@pytest.mark.parametrize(
    "fault",
    [
        {**SERVER, **BREAKER},
        {"kind": "http-delay", "delay": "2s", "side": "server", **BREAKER},
        {"kind": "pod-kill", **BREAKER},
        {**DENY, **BREAKER},
        {**ABORT, "expects": "no-breaker"},
        {"kind": "pod-kill", "every": "4s"},
        foreign(activity(expires_at_wall_s=300.0), activity(until_wall_s=200.0)),
    ],
)
def test_what_can_show_something_is_no_mistake(fault: Mapping[str, Any]) -> None:
    assert mistakes_in(experiment_of(fault)) == ()


# -- what the target tells -------------------------------------------------------------------------


@pytest.mark.parametrize("name", BY_TARGET)
def test_a_fault_that_could_show_nothing_here_is_refused(name: str) -> None:
    """Goal: told before the load starts. Method: one thing of a healthy namespace is different."""
    case = BY_TARGET[name]
    found = plan_symptoms(plan_of(case.fault), world(**case.changed), NAMESPACE, reach=case.reach)
    assert [one.sentence for one in found if one.state == "missing"] == [case.said]


@pytest.mark.parametrize(
    "fault",
    [
        ABORT,
        {**ABORT, "route": "payment-api-all", "headers": {"x-version": "v1"}},
        {**ABORT, "route": "#1", "source": {"app": "order-api"}},
        {**SERVER, "count": "50%", **BREAKER},
        KILL,
        {"kind": "scale", "replicas": 0},
        {"kind": "rollout-restart"},
        {"kind": "cordon"},
        {"kind": "drain", "node": "node-a"},
        DENY,
        foreign(activity()),
    ],
)
def test_a_healthy_namespace_takes_every_kind_of_fault(fault: Mapping[str, Any]) -> None:
    assert problems(plan_of(fault), world(), NAMESPACE) == []


def test_who_wants_to_see_no_breaker_may() -> None:
    """Goal: the refusal has a way out. Method: the same rule, with and without the expectation."""
    rules = world(destinationrules=[destination_rule("payment-api", {"maxEjectionPercent": 49})])
    assert len(problems(plan_of(SERVER), rules, NAMESPACE)) == 1
    assert problems(plan_of({**SERVER, "expects": "no-breaker"}), rules, NAMESPACE) == []
    late = {"kind": "http-delay", "side": "server", "delay": "1s"}
    assert len(problems(plan_of(late), rules, NAMESPACE)) == 1
    assert problems(plan_of({**SERVER, "status": 404}), rules, NAMESPACE) == []
    assert problems(plan_of(KILL), rules, NAMESPACE) == []


def test_a_selector_takes_pods_of_the_service_or_is_refused() -> None:
    """Goal: nobody else's pods go. Method: a drain, other operators, pods of no service, and a
    Service whose pods nobody can tell."""
    drain = {"kind": "drain", "selector": "app=order-api"}
    (said,) = problems(plan_of(drain), world(), NAMESPACE)
    assert said == (
        "01-drain: the selector 'app=order-api' picks no pod of payment-api; it picks pods of "
        "order-api; accepted: service: order-api, labels of payment-api's pods, or no selector, "
        "for all of the namespace on the node"
    )
    (said,) = problems(plan_of({**KILL, "selector": "tier"}), world(), NAMESPACE)
    assert "it picks none of any service; accepted: labels of payment-api's pods" in said
    for selector in ("app=payment-api,version==v1", "version", "app!=order-api"):
        assert problems(plan_of({**KILL, "selector": selector}), world(), NAMESPACE) == []
    bare = world(services=[{"metadata": {"name": "payment-api"}, "spec": {}}])
    assert problems(plan_of({**KILL, "selector": "app=order-api"}), bare, NAMESPACE) == []


def test_a_last_node_is_drained_only_by_who_says_so() -> None:
    one = world(nodes=[node("node-a")])
    plan = plan_of({"kind": "drain", "last_node": True})
    assert problems(plan, one, NAMESPACE) == []
    said = remarks(fault_symptoms(plan, one, NAMESPACE))
    assert said == [
        "01-drain: there is no other node that takes pods, so that evicted ones wait for the end"
    ]


def test_a_node_may_be_drained_whose_service_is_on_the_other_one_too() -> None:
    """Goal: only one node is drained. Method: pods of the service on both of two nodes."""
    pods = [pod("payment-api", letter) for letter in "ab"]
    pods[1]["spec"]["nodeName"] = "node-b"
    assert problems(plan_of({"kind": "drain"}), world(pods=pods), NAMESPACE) == []


def test_an_autoscaler_leaves_zero_replicas_alone() -> None:
    scaled = world(horizontalpodautoscalers=[SCALER], deployments=[deployment("payment-api")])
    assert problems(plan_of({"kind": "scale", "replicas": 0}), scaled, NAMESPACE) == []


def test_headers_and_source_that_may_match_are_no_matter() -> None:
    """Goal: only what is surely impossible is refused. Method: conditions that overlap."""
    regex = {"match": [{"headers": {"x-version": {"regex": "v[12]"}}}], **_to_payment()}
    vs = world(virtualservices=[virtual_service("payment-api", http=[regex])])
    for wanted in ("v1", {"prefix": "v"}, {"regex": "v1|v3"}):
        assert problems(plan_of({**ABORT, "headers": {"x-version": wanted}}), vs, NAMESPACE) == []
    exact = {"match": [{"headers": {"x-version": {"exact": "v2"}}}], **_to_payment()}
    vs = world(virtualservices=[virtual_service("payment-api", http=[exact])])
    late = {**ABORT, "headers": {"x-version": {"prefix": "w"}}}
    assert len(problems(plan_of(late), vs, NAMESPACE)) == 1
    plan = plan_of({**ABORT, "source": {"app": "nobody"}})
    assert remarks(fault_symptoms(plan, world(), NAMESPACE)) == [
        "01-http-abort: no pod of this namespace has the labels of 'source' (app=nobody)"
    ]


def _to_payment() -> dict[str, Any]:
    return {"route": [{"destination": {"host": "payment-api"}}]}


def test_what_is_not_known_is_told_and_no_obstacle() -> None:
    reach = Reach(frozenset({"order-api"}), frozenset({"order-api"}), whole=False, why="who knows")
    found = plan_symptoms(plan_of(ABORT), world(), NAMESPACE, reach=reach)
    assert [(one.state, one.found) for one in found] == [
        (
            "warn",
            "01-http-abort: whether the load reaches payment-api is not known before the run: who "
            "knows",
        )
    ]


# -- the table -------------------------------------------------------------------------------------


def test_the_table_names_each_case_and_no_other() -> None:
    """Goal: the document is whole. Method: its first column against the cases tried here."""
    text = (ROOT / "docs" / "faults" / "lint.md").read_text(encoding="utf-8")
    named = re.findall(r"^\| `([a-z-]+)` \|", text, re.MULTILINE)
    assert sorted(named) == sorted([*BY_FILE, *BY_TARGET])
    assert f"{len(named)} cases are refused" in text
    grammar = (ROOT / "docs" / "experiment-file.md").read_text(encoding="utf-8")
    assert f"[{len(named) - 3} cases more](faults/lint.md)" in grammar
    meaning = HttpAbort.model_fields["expects"].description
    assert meaning is not None
    assert meaning in " ".join(text.split())
