"""Faults in VirtualServices: what is copied, in which order, and that removal restores exactly."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from chaos_objects import route, virtual_service
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.chaos import virtualservice as vs_
from runner.chaos.annotation import ANNOTATION, Tag, fault_key, is_ours, read_tags, timestamp
from runner.errors import FaultError
from runner.model.faultmark import marks_on

Object = dict[str, Any]

ABORT = vs_.abort_block(503, 50)
DELAY = vs_.delay_block(2.5, 100)


def tag(fault: str = "01-abort", block: Object = ABORT, run: str = "Run-1", **more: Any) -> Tag:
    fields = {"service": "payment-api", "headers": {}, **more}
    return Tag(run, fault, "ann@laptop", "2026-11-20T10:00:00Z", block=block, **fields)


def names(vs: Object) -> list[str | None]:
    return [r.get("name") for r in vs["spec"]["http"]]


def test_copy_stands_before_the_original_and_carries_everything_but_its_name() -> None:
    """Goal: the user's route stays as it is. Method: add an abort and read both routes."""
    user = route(name="mine")
    changed = vs_.add_fault(virtual_service("payment-api", user), tag())
    made, original = changed["spec"]["http"]
    assert original == user
    assert made == {
        **user,
        "name": "seatrial-run-1-01-abort-1",
        "fault": {"abort": {"httpStatus": 503, "percentage": {"value": 50.0}}},
    }


def test_annotation_tells_whose_fault_it_is_and_until_when() -> None:
    """Goal: undo needs no memory. Method: the tag that was written is read back from the object."""
    changed = vs_.add_fault(virtual_service(), tag(block=DELAY, headers={"x-probe": "1"}))
    entry = json.loads(changed["metadata"]["annotations"][ANNOTATION])["seatrial-run-1-01-abort"]
    assert entry["run"] == "Run-1"
    assert entry["fault"] == "01-abort"
    assert entry["owner"] == "ann@laptop"
    assert entry["expires_at"] == "2026-11-20T10:00:00Z"
    assert read_tags(changed) == {
        "seatrial-run-1-01-abort": tag(block=DELAY, headers={"x-probe": "1"})
    }


def test_others_can_read_whose_fault_it_is() -> None:
    """Goal: two modules agree on the marks. Method: a fault as written, then without annotation."""
    run = "2026-01-02T030405Z-abcd"
    changed = vs_.add_fault(virtual_service(), tag(run=run))
    (mark,) = marks_on(changed)
    assert mark == ("virtualservice/payment-api", run, "01-abort", "2026-11-20T10:00:00Z")
    del changed["metadata"]["annotations"]
    assert marks_on(changed) == (mark._replace(expires_at=""),)
    assert marks_on(vs_.remove_fault(changed, run, "01-abort")) == ()


def test_every_route_to_the_service_is_copied_and_no_other() -> None:
    """Goal: all traffic of the service is reached. Method: short name, FQDN, weights."""
    routes = [
        route("payment-api"),
        route("order-api"),
        route("payment-api.ecommerce.svc.cluster.local"),
        {
            "route": [
                {"destination": {"host": "x"}},
                {"destination": {"host": "payment-api.ecommerce"}},
            ]
        },
        {"redirect": {"uri": "/"}},
        route("payment-api.other"),
    ]
    changed = vs_.add_fault(virtual_service("edge", *routes), tag())
    key = "seatrial-run-1-01-abort"
    assert names(changed) == [
        f"{key}-1",
        None,
        None,
        f"{key}-2",
        None,
        f"{key}-3",
        None,
        None,
        None,
    ]
    assert vs_.routes_to(changed, "payment-api") == 3


def test_no_route_to_the_service_is_an_error_that_names_the_object() -> None:
    """Goal: no silent success. Method: a VirtualService that routes elsewhere."""
    with pytest.raises(FaultError, match=r"virtualservice/order-api.*payment-api"):
        vs_.add_fault(virtual_service("order-api"), tag())


def test_headers_narrow_every_match_and_stand_alone_where_there_is_none() -> None:
    """Goal: only marked requests are hit. Method: a route with two matches and one with none."""
    two = route(match=[{"uri": {"exact": "/a"}}, {"headers": {"y": {"regex": ".*"}}}])
    none = {"route": [{"destination": {"host": "payment-api"}}]}
    changed = vs_.add_fault(virtual_service("p", two, none), tag(headers={"x-probe": "1"}))
    assert changed["spec"]["http"][0]["match"] == [
        {"uri": {"exact": "/a"}, "headers": {"x-probe": {"exact": "1"}}},
        {"headers": {"y": {"regex": ".*"}, "x-probe": {"exact": "1"}}},
    ]
    assert changed["spec"]["http"][2]["match"] == [{"headers": {"x-probe": {"exact": "1"}}}]
    assert changed["spec"]["http"][3] == none


@pytest.mark.parametrize(
    ("condition", "kept"),
    [
        ({"exact": "beta"}, True),
        ({"exact": "alpha"}, False),
        ({"prefix": "be"}, True),
        ({"regex": "b.*a"}, True),
        ({"regex": "b"}, False),
        ({"regex": "("}, False),
        ({}, True),
    ],
)
def test_a_header_that_the_user_matches_too_must_agree(condition: Object, kept: bool) -> None:
    """Goal: a copy never widens a match. Method: the user's own condition on the same header."""
    user = route(match=[{"headers": {"X-Group": condition}}])
    narrowed = tag(headers={"x-group": "beta"})
    if not kept:
        with pytest.raises(FaultError, match="can be disturbed"):
            vs_.add_fault(virtual_service("p", user), narrowed)
    else:
        made = vs_.add_fault(virtual_service("p", user), narrowed)["spec"]["http"][0]
        assert made["match"] == [{"headers": {"x-group": {"exact": "beta"}}}]


def test_headers_that_the_user_excludes_leave_nothing_to_hit() -> None:
    """Goal: withoutHeaders is honoured. Method: the same value excluded, another one not."""
    user = route(match=[{"withoutHeaders": {"x-group": {"exact": "beta"}}}])
    with pytest.raises(FaultError, match="can be disturbed"):
        vs_.add_fault(virtual_service("p", user), tag(headers={"x-group": "beta"}))
    changed = vs_.add_fault(virtual_service("p", user), tag(headers={"x-group": "gamma"}))
    assert len(changed["spec"]["http"]) == 2


def test_overlapping_faults_are_stacked_so_that_none_hides_another() -> None:
    """Goal: two faults at once both act. Method: abort, delay, one with headers."""
    one = vs_.add_fault(virtual_service(), tag("a", ABORT))
    two = vs_.add_fault(one, tag("b", DELAY))
    narrow = vs_.abort_block(418, 100)
    three = vs_.add_fault(two, tag("c", narrow, headers={"x": "1"}))
    assert names(three) == [f"seatrial-run-1-{fault}-1" for fault in "cba"] + [None]
    blocks = [r.get("fault") for r in three["spec"]["http"]]
    assert blocks == [{**DELAY, **narrow}, {**ABORT, **DELAY}, ABORT, None]
    without_a = vs_.remove_fault(three, "Run-1", "a")
    assert [r.get("fault") for r in without_a["spec"]["http"]] == [{**DELAY, **narrow}, DELAY, None]


def test_the_users_own_fault_stays_in_effect_below_ours() -> None:
    """Goal: his delay is not switched off by our abort. Method: the copy's block holds both."""
    user = route(fault=DELAY)
    changed = vs_.add_fault(virtual_service("p", user), tag(block=ABORT))
    assert changed["spec"]["http"][0]["fault"] == {**DELAY, **ABORT}
    assert changed["spec"]["http"][1] == user


def test_same_fault_twice_is_the_same_as_once() -> None:
    """Goal: a repeated request does no harm. Method: add the same tag to its own result."""
    once = vs_.add_fault(virtual_service(), tag())
    assert vs_.add_fault(once, tag()) == once


def test_other_fault_with_the_same_name_is_refused() -> None:
    """Goal: nobody's fault is taken for another's. Method: a and b-c; a-b and c."""
    first = vs_.add_fault(virtual_service(), tag("b-c", run="a"))
    with pytest.raises(FaultError, match="another fault"):
        vs_.add_fault(first, tag("c", run="a-b"))


def test_users_edit_during_the_fault_stays() -> None:
    """Goal: heal takes only what is ours. Method: change, add and reorder routes before removal."""
    changed = vs_.add_fault(virtual_service(), tag())
    changed["spec"]["http"][1]["timeout"] = "5s"
    changed["spec"]["http"].insert(0, route("order-api", name="new"))
    changed["spec"]["hosts"].append("more")
    changed["metadata"]["annotations"]["note"] = "his"
    expected = virtual_service("payment-api", route("order-api", name="new"), route(timeout="5s"))
    expected["spec"]["hosts"].append("more")
    expected["metadata"]["annotations"] = {"note": "his"}
    assert vs_.remove_fault(changed, "run-1", "01-abort") == expected


def test_copies_whose_annotation_is_lost_are_removed_by_name() -> None:
    """Goal: the name is enough. Method: drop the annotation, then damage it."""
    user = virtual_service()
    changed = vs_.add_fault(user, tag())
    lost = copy.deepcopy(changed)
    del lost["metadata"]["annotations"]
    assert list(vs_.faults_on(lost)) == ["seatrial-run-1-01-abort"]
    assert vs_.remove_fault(lost, "Run-1", "01-abort") == user
    for damage in ("{", "[]", '{"a": {"run": 1}}', "null"):
        changed["metadata"]["annotations"][ANNOTATION] = damage
        assert ANNOTATION in vs_.faults_on(changed)
        assert vs_.remove_fault(changed, "Run-1", "01-abort") == user
        with pytest.raises(FaultError, match="cannot be read"):
            vs_.add_fault(changed, tag())


def test_names_of_one_fault_are_not_taken_for_those_of_another() -> None:
    """Goal: fault 1 is not fault 1-1. Method: names that are prefixes of each other."""
    assert is_ours("seatrial-r-f-1", fault_key("R", "f"))
    assert not is_ours("seatrial-r-f-1-1", fault_key("r", "f"))
    assert not is_ours("seatrial-r-f-x", fault_key("r", "f"))
    assert not is_ours("my-seatrial-r-f-1")


@pytest.mark.parametrize("percent", [0.0, -1.0, 100.1, float("nan")])
def test_share_that_cannot_be_measured_is_refused(percent: float) -> None:
    """Goal: no fault of 0 %. Method: shares outside of (0, 100]."""
    with pytest.raises(FaultError, match="cannot be measured"):
        vs_.abort_block(500, percent)


@pytest.mark.parametrize(
    ("delay_s", "text"), [(5, "5s"), (0.25, "250ms"), (1.5, "1500ms"), (0.001, "1ms")]
)
def test_delay_is_written_as_istio_reads_it(delay_s: float, text: str) -> None:
    """Goal: exact durations. Method: whole seconds as s, everything else as ms."""
    assert vs_.delay_block(delay_s, 1)["delay"]["fixedDelay"] == text


def test_delay_and_status_out_of_range_are_refused() -> None:
    """Goal: nothing that Istio would refuse or ignore. Method: the first values outside."""
    with pytest.raises(FaultError, match="too short"):
        vs_.delay_block(0.0009, 100)
    for status in (199, 600):
        with pytest.raises(FaultError, match="not an HTTP status"):
            vs_.abort_block(status, 100)


def test_expiry_is_rounded_up_and_unreadable_times_are_over() -> None:
    """Goal: nothing stays for ever because of a bad date. Method: times around an expiry."""
    assert timestamp(1_700_000_000.2) == "2023-11-14T22:13:21Z"
    assert timestamp(1_700_000_000.0) == "2023-11-14T22:13:20Z"
    known = Tag("r", "f", "o", "2023-11-14T22:13:21Z")
    assert not known.expired(1_700_000_000.9)
    assert known.expired(1_700_000_001.0)
    assert Tag("r", "f", "o", "2023-11-14T22:13:21").expired(1_700_000_001.0)
    assert Tag("r", "f", "o", "soon").expired(0)


# -- properties ----------------------------------------------------------------------------------

HOSTS = st.sampled_from(
    ["payment-api", "payment-api.ecommerce.svc.cluster.local", "order-api", "x"]
)
TEXT = st.text("abc/-", min_size=1, max_size=4)
MATCHES = st.lists(
    st.dictionaries(
        st.sampled_from(["uri", "method"]), st.fixed_dictionaries({"exact": TEXT}), max_size=2
    ),
    max_size=2,
)


@st.composite
def routes(draw: st.DrawFn) -> Object:
    made: Object = {}
    if draw(st.booleans()):
        made["name"] = draw(TEXT)
    if draw(st.booleans()):
        made["match"] = draw(MATCHES)
    if draw(st.booleans()):
        made["fault"] = draw(st.sampled_from([ABORT, DELAY]))
    made["route"] = [{"destination": {"host": h}} for h in draw(st.lists(HOSTS, max_size=2))]
    return made


@st.composite
def virtual_services(draw: st.DrawFn) -> Object:
    made = virtual_service("payment-api", *draw(st.lists(routes(), max_size=4)), route())
    if draw(st.booleans()):
        annotations = st.dictionaries(TEXT, TEXT, min_size=1, max_size=2)
        made["metadata"]["annotations"] = draw(annotations)
    return made


TAGS = st.builds(
    tag,
    fault=st.sampled_from(["a", "b", "c"]),
    block=st.sampled_from([ABORT, DELAY, vs_.abort_block(418, 1)]),
    headers=st.sampled_from([{}, {"x": "1"}, {"y": "2"}]),
)


def same_bytes(one: Object, other: Object) -> bool:
    return json.dumps(one) == json.dumps(other)


@settings(max_examples=200, deadline=None)
@given(virtual_services(), TAGS)
def test_removal_restores_every_byte(vs: Object, one: Tag) -> None:
    """Goal: nothing remains of a fault. Method: remove(add(vs)), as JSON text with its order."""
    before = json.dumps(vs)
    changed = vs_.add_fault(vs, one)
    assert json.dumps(vs) == before, "the input was changed in place"
    assert vs_.copies(changed, one.run, one.fault)
    assert same_bytes(vs_.remove_fault(changed, one.run, one.fault), vs)


@settings(max_examples=200, deadline=None)
@given(virtual_services(), st.lists(TAGS, max_size=3, unique_by=lambda t: t.fault), st.randoms())
def test_any_order_of_removal_restores_every_byte(vs: Object, tags: list[Tag], order: Any) -> None:
    """Goal: overlapping faults do not disturb each other's undo. Method: any order; and after each
    removal the object is as if that fault had never been."""
    changed = vs
    for one in tags:
        changed = vs_.add_fault(changed, one)
    left = list(tags)
    order.shuffle(leaving := list(tags))
    for one in leaving:
        changed = vs_.remove_fault(changed, one.run, one.fault)
        left.remove(one)
        expected = vs
        for other in left:
            expected = vs_.add_fault(expected, other)
        assert same_bytes(changed, expected)


@settings(max_examples=100, deadline=None)
@given(virtual_services(), TAGS, TAGS.filter(lambda t: t.fault == "c"), st.data())
def test_edits_between_injection_and_removal_stay(
    vs: Object, one: Tag, two: Tag, data: st.DataObject
) -> None:
    """Goal: the user owns his routes. Method: edit a user's route while faults are in place; what
    is left in the end is the edited object without faults."""
    one = tag("a", dict(one.block), headers=one.headers)
    changed = vs_.add_fault(vs_.add_fault(vs, one), two)
    mine = [r for r in changed["spec"]["http"] if not is_ours(str(r.get("name", "")))]
    index = data.draw(st.integers(0, len(mine) - 1))
    mine[index]["timeout"] = "1s"
    edited = copy.deepcopy(vs)
    edited["spec"]["http"][index]["timeout"] = "1s"
    for fault in data.draw(st.permutations(["a", "c"])):
        changed = vs_.remove_fault(changed, "run-1", fault)
    assert json.loads(json.dumps(changed)) == json.loads(json.dumps(edited))
