"""Faults on one field of a user's object: a stack that the object itself remembers."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from chaos_fakes import FakeCluster
from chaoslib.exceptions import ActivityFailed
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.chaos import actions, fields
from runner.chaos.activities.shared import standing_in
from runner.chaos.annotation import ANNOTATION, Tag
from runner.chaos.carriers import REPLICAS, UNSCHEDULABLE
from runner.chaos.objects import DEPLOYMENTS, NODES
from runner.errors import FaultError

Object = dict[str, Any]


def tag(fault: str) -> Tag:
    return Tag("R", fault, "ann@laptop", "2999-01-01T00:00:00Z", kind="scale")


def deployment(replicas: int | None = 3, **metadata: Any) -> Object:
    spec: Object = {"selector": {}} | ({} if replicas is None else {"replicas": replicas})
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "order-api", "namespace": "shop", **metadata},
        "spec": spec,
    }


def test_the_field_comes_back_and_nothing_else_stays() -> None:
    """Goal: exactness. Method: push and take off, as JSON, where the field was and was not."""
    for before in (deployment(), deployment(None), deployment(2, annotations={"a": "b"})):
        pushed = fields.push(before, tag("f"), REPLICAS, 0)
        assert pushed["spec"]["replicas"] == 0
        assert fields.without(pushed, {tag("f").key}, REPLICAS) == before
    node = {"kind": "Node", "metadata": {"name": "a"}, "spec": {}}
    cordoned = fields.push(node, tag("f"), UNSCHEDULABLE, True)
    assert cordoned["spec"] == {"unschedulable": True}
    assert fields.without(cordoned, {tag("f").key}, UNSCHEDULABLE) == node


def test_a_fault_that_is_pushed_again_does_not_take_its_own_value_for_the_users() -> None:
    pushed = fields.push(deployment(), tag("f"), REPLICAS, 0)
    assert fields.push(pushed, tag("f"), REPLICAS, 0) == pushed


def test_an_object_without_the_fault_is_the_very_same() -> None:
    """Goal: no write where nothing has to change. Method: identity, with and without a tag."""
    for obj in (deployment(annotations={}), fields.push(deployment(), tag("a"), REPLICAS, 0)):
        assert fields.without(obj, {"seatrial-r-other"}, REPLICAS) == obj


@pytest.mark.parametrize("order", ["ab", "ba"])
def test_an_edit_on_top_of_two_faults_stays_whichever_goes_first(order: str) -> None:
    """Goal: his edit is above all of them. Method: he sets what the lower fault has set."""
    both = fields.push(fields.push(deployment(3), tag("a"), REPLICAS, 0), tag("b"), REPLICAS, 1)
    if order == "ba":  # From the top, which tells that somebody has edited above both.
        both["spec"]["replicas"] = 0
        left = fields.without(both, {tag("b").key}, REPLICAS)
        assert fields.without(left, {tag("a").key}, REPLICAS) == deployment(0)
    both["spec"]["replicas"] = 7
    for fault in order:
        both = fields.without(both, {tag(fault).key}, REPLICAS)
    assert both == deployment(7)


def test_what_nobody_can_know_is_not_guessed() -> None:
    """Goal: no silent success. Method: a damaged annotation; the field and a way on are named."""
    lost = fields.push(deployment(), tag("f"), REPLICAS, 0)
    lost["metadata"]["annotations"][ANNOTATION] = "{"
    assert fields.faults_on(lost) == {ANNOTATION: None}
    with pytest.raises(FaultError, match=r"what spec\.replicas was before a fault made it 0") as e:
        fields.without(lost, {ANNOTATION}, REPLICAS)
    assert e.value.hint.endswith(
        "kubectl -n shop annotate deployment order-api seatrial.dev/faults-"
    )


# -- properties ------------------------------------------------------------------------------------

FAULTS = st.sampled_from("abcd")
STEP = st.one_of(
    st.tuples(st.just("push"), FAULTS, st.sampled_from([0, 1])),
    st.tuples(st.just("edit"), st.just(""), st.sampled_from([2, 3, 4, None])),
    st.tuples(st.just("remove"), FAULTS, st.none()),
    st.tuples(st.just("note"), st.sampled_from("xy"), st.none()),
    st.tuples(st.just("overwrite"), st.just(""), st.sampled_from([2, 5])),
)


@settings(max_examples=300)
@given(st.sampled_from([None, 2, 3]), st.lists(STEP, max_size=12), st.randoms())
def test_any_sequence_ends_with_what_the_user_wanted(
    first: int | None, steps: list[tuple[str, str, Any]], order: Any
) -> None:
    """Goal: last-in first-out, and from the middle, with edits at any time.

    Method: random faults, edits, notes and overwrites; a list of all that was written tells what
    the field must be after each step, and the user's own object what is left in the end. (The
    values of faults are none that a user writes: those cannot be told apart.)
    """
    obj, mine = deployment(first), deployment(first)
    written: list[tuple[str, Any]] = [("user", first)]
    order.shuffle(last := list("abcd"))
    for what, name, value in [*steps, *(("remove", fault, None) for fault in last)]:
        key = tag(name).key
        if what == "push" and name not in dict(written):
            obj = fields.push(obj, tag(name), REPLICAS, value)
            written.append((name, value))
        elif what == "edit":
            obj, mine = (fields.written(each, REPLICAS, value) for each in (obj, mine))
            written.append(("user", value))
        elif what == "remove":
            obj = fields.without(obj, {key}, REPLICAS)
            written = [entry for entry in written if entry[0] != name]
        elif what == "note":
            obj, mine = copy.deepcopy(obj), copy.deepcopy(mine)
            for each in (obj, mine):
                each["metadata"].setdefault("annotations", {})[name] = "his"
        elif what == "overwrite":  # As GitOps does it: with what it knows, and nothing of ours.
            obj, mine = deployment(value), deployment(value)
            written = [("user", value)]
        assert fields.read(obj, REPLICAS) == written[-1][1]
    assert json.dumps(obj, sort_keys=True) == json.dumps(mine, sort_keys=True)


def test_a_damaged_annotation_keeps_no_other_object_from_being_made_whole() -> None:
    """Goal: as much as possible. Method: a rollback over all kinds; nobody can tell what the
    replicas of a Deployment were, and a node was cordoned."""
    damaged = deployment(annotations={ANNOTATION: '{"seatrial-R-f": '})
    node = {"kind": "Node", "metadata": {"name": "a"}, "spec": {}}
    cluster = FakeCluster().put(damaged, kind=DEPLOYMENTS)
    cluster.put(fields.push(node, tag("f"), UNSCHEDULABLE, True), kind=NODES)
    why = r"not removed from deployment/order-api: .*, so nobody can tell what spec\.replicas was"
    with standing_in(cluster), pytest.raises(ActivityFailed, match=why):
        actions.remove_fault(namespace="shop", run="R", fault="f")
    assert cluster.spec("a", NODES) == node
    assert cluster.spec("order-api", DEPLOYMENTS) == damaged
