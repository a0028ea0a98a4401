"""Any sequence of injections, edits, overwrites and removals ends with what the user wanted."""

from __future__ import annotations

import copy
import json
from typing import Any

from chaos_objects import route, virtual_service
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.chaos import labelled
from runner.chaos import virtualservice as vs_
from runner.chaos.annotation import ANNOTATION, Tag, is_ours

Object = dict[str, Any]

FAULTS = "abcd"
BLOCKS = [vs_.abort_block(503, 50), vs_.delay_block(2.5, 100), vs_.abort_block(418, 1)]
HEADERS: list[Object] = [{}, {"x": "1"}, {"y": "2"}]


def tag(fault: str, number: int = 0) -> Tag:
    return Tag(
        "R",
        fault,
        "o",
        "2999-01-01T00:00:00Z",
        service="payment-api",
        block=BLOCKS[number % len(BLOCKS)],
        headers=HEADERS[number // len(BLOCKS) % len(HEADERS)],
    )


def is_copy(one: Object) -> bool:
    return is_ours(str(one.get("name", "")))


def edited(vs: Object, change: str, number: int) -> Object:
    """``vs`` after an edit of the user's, who leaves our routes where they are."""
    vs = copy.deepcopy(vs)
    http = vs["spec"]["http"]
    own = [one for one in http if not is_copy(one)]
    if change == "timeout":
        own[number % len(own)]["timeout"] = f"{number}s"
    elif change == "append":
        http.append(route("payment-api", name=f"his-{number}"))
    elif change == "drop" and len(own) > 1:
        http.remove(own[-1])
    elif change == "host":
        vs["spec"]["hosts"].append(f"h{number}")
    elif change == "note":
        vs["metadata"].setdefault("annotations", {})[f"n{number % 2}"] = str(number)
    elif change == "label":
        vs["metadata"].setdefault("labels", {})["l"] = str(number)
    return vs


def without_marks(vs: Object) -> Object:
    """Overwritten by somebody who kept the routes that he found, and no annotation of ours."""
    vs = copy.deepcopy(vs)
    annotations = vs["metadata"].get("annotations") or {}
    annotations.pop(ANNOTATION, None)
    if not annotations:
        vs["metadata"].pop("annotations", None)
    return vs


def without_copies(vs: Object) -> Object:
    """Overwritten by somebody who merged his own routes in, and kept every annotation."""
    vs = copy.deepcopy(vs)
    vs["spec"]["http"] = [one for one in vs["spec"]["http"] if not is_copy(one)]
    return vs


EDITS = st.sampled_from(["timeout", "append", "drop", "host", "note", "label"])
STEPS = st.one_of(
    st.tuples(st.just("push"), st.sampled_from(FAULTS), st.integers(0, 8)),
    st.tuples(st.just("remove"), st.sampled_from(FAULTS), st.just(0)),
    st.tuples(st.just("edit"), EDITS, st.integers(0, 9)),
    st.tuples(st.just("overwrite"), st.sampled_from(["marks", "copies", "all"]), st.just(0)),
)


def step(vs: Object, mine: Object, what: str, name: str, number: int) -> tuple[Object, Object]:
    """The object after a step, and what the user wants it to be."""
    if what == "push":
        pushed = {key.rpartition("-")[2] for key in vs_.faults_on(vs)}
        return (vs if name in pushed else vs_.add_fault(vs, tag(name, number))), mine
    if what == "remove":
        return vs_.remove_faults(vs, {tag(name).key}), mine
    if what == "edit":
        return edited(vs, name, number), edited(mine, name, number)
    if name == "all":
        return copy.deepcopy(mine), mine
    return {"marks": without_marks, "copies": without_copies}[name](vs), mine


@settings(max_examples=300)
@given(st.lists(STEPS, max_size=12), st.permutations(FAULTS))
def test_a_virtual_service_comes_back_with_every_edit(
    steps: list[tuple[str, str, int]], last: list[str]
) -> None:
    """Goal: what the user had, and his edits, byte for byte. Method: random steps, after each of
    which his own part is what he wants; a removal adds no copy; then all that is left is removed,
    in any order."""
    vs = mine = virtual_service("payment-api", route("payment-api"), route("order-api"))
    for what, name, number in [*steps, *(("remove", fault, 0) for fault in last)]:
        before = [one["name"] for one in vs["spec"]["http"] if is_copy(one)]
        vs, mine = step(vs, mine, what, name, number)
        assert without_marks(without_copies(vs)) == mine
        after = [one["name"] for one in vs["spec"]["http"] if is_copy(one)]
        if what == "remove":
            assert len(after) <= len(before)
            assert not any(is_ours(copied, tag(name).key) for copied in after)
    assert json.dumps(vs, sort_keys=True) == json.dumps(mine, sort_keys=True)


@settings(max_examples=150)
@given(st.lists(STEPS, max_size=12), st.permutations(FAULTS))
def test_a_pod_comes_back_with_every_edit(
    steps: list[tuple[str, str, int]], last: list[str]
) -> None:
    """Goal: the same for labels of pods. Method: the same steps, where they mean something."""
    pod: Object = {"kind": "Pod", "metadata": {"name": "a", "labels": {"app": "x"}}, "spec": {}}
    mine = copy.deepcopy(pod)
    for what, name, number in [*steps, *(("remove", fault, 0) for fault in last)]:
        if what == "push":
            pod = labelled.mark(pod, tag(name))
            assert labelled.label_of(tag(name).key) in pod["metadata"]["labels"]
        elif what == "remove":
            pod = labelled.without(pod, {tag(name).key})
            assert labelled.label_of(tag(name).key) not in pod["metadata"]["labels"]
        elif what == "edit":
            pod, mine = copy.deepcopy(pod), copy.deepcopy(mine)
            for each in (pod, mine):
                each["metadata"]["labels"][f"l{number % 2}"] = name
        elif name == "marks":
            pod = without_marks(pod)
    assert json.dumps(pod, sort_keys=True) == json.dumps(mine, sort_keys=True)
