"""Faults for some requests only: what is copied, what Istio has no match for, and the property that
every request meets exactly the faults that are meant for it."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from chaos_objects import route, virtual_service
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.chaos import virtualservice as vs_
from runner.chaos.annotation import Tag, is_ours
from runner.chaos.scopes import (
    CannotCombineError,
    Condition,
    conditions,
    conjunction,
    meets,
    subsets,
)
from runner.errors import FaultError

Object = dict[str, Any]

ABORT = vs_.abort_block(503, 50)
DELAY = vs_.delay_block(2.5, 100)


def tag(fault: str = "a", block: Object = ABORT, **more: Any) -> Tag:
    return Tag("r", fault, "ann", "2030-01-01T00:00:00Z", "payment-api", block, **more)


def copied(vs: Object, *tags: Tag) -> list[tuple[str, Any]]:
    """Names and matches of the routes once the faults are there; "" for a route without name."""
    for one in tags:
        vs = vs_.add_fault(vs, one)
    return [(r.get("name", ""), r.get("match")) for r in vs["spec"]["http"]]


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        ({"exact": "ab"}, {"exact": "ab"}, {"exact": "ab"}),
        ({"exact": "ab"}, {"exact": "ac"}, None),
        ({"exact": "ab"}, {"prefix": "a"}, {"exact": "ab"}),
        ({"exact": "ab"}, {"prefix": "b"}, None),
        ({"exact": "ab"}, {"regex": "a."}, {"exact": "ab"}),
        ({"exact": "ab"}, {"regex": "a"}, None),
        ({"exact": "ab"}, {"regex": "("}, None),
        ({"prefix": "ab"}, {"prefix": "a"}, {"prefix": "ab"}),
        ({"prefix": "ab"}, {"prefix": "b"}, None),
        ({"regex": "a.*"}, {"regex": "a.*"}, {"regex": "a.*"}),
        ({"prefix": "a"}, {"regex": ".*"}, {"prefix": "a"}),
        ({"regex": "a+"}, {}, {"regex": "a+"}),
        ({"regex": "a+"}, {"exact": ""}, {"regex": "a+"}),
        ({"exact": "ab"}, {"regex": "*"}, {"exact": "ab"}),
    ],
)
def test_two_conditions_on_a_header_become_one(
    one: Condition, other: Condition, both: Condition | None
) -> None:
    """Goal: the AND of two matches, where Istio has one. Method: every pair of kinds, both ways."""
    assert conjunction("x", one, other) == both
    assert conjunction("x", other, one) == both


@pytest.mark.parametrize("other", [{"prefix": "b"}, {"regex": "b+"}])
def test_two_conditions_that_istio_cannot_combine_are_refused(other: Condition) -> None:
    """Goal: never a wider match by accident. Method: an expression and what it does not imply; as
    a conjunction, against the user's own match, and between two faults."""
    with pytest.raises(CannotCombineError, match=r"the header x would need two conditions"):
        conjunction("x", {"regex": "a+"}, other)
    user = virtual_service("p", route(match=[{"headers": {"X": {"regex": "a+"}}}]))
    message = r"virtualservice/p: the header x would need two conditions in one match: regex 'a\+'"
    with pytest.raises(FaultError, match=message):
        vs_.add_fault(user, tag(headers={"x": other}))
    with pytest.raises(FaultError, match=message):
        vs_.reach(user, tag(headers={"x": other}))
    first = vs_.add_fault(virtual_service(), tag(headers={"x": {"regex": "a+"}}))
    with pytest.raises(FaultError, match="two conditions"):
        vs_.add_fault(first, tag("b", headers={"x": other}))


def test_a_match_that_cannot_be_combined_any_more_does_not_keep_a_fault_from_going() -> None:
    """Goal: undo never fails on what the user did meanwhile. Method: he adds an expression."""
    first = tag("a", headers={"x": {"prefix": "b"}})
    vs = vs_.add_fault(vs_.add_fault(virtual_service(), first), tag("b"))
    users = vs["spec"]["http"][-1]
    users["match"] = [{"headers": {"x": {"regex": "b+"}}}]
    after = vs_.remove_fault(vs, "r", "b")
    assert vs_.copies(after, "r", "b") == []
    assert after["spec"]["http"][-1] == users
    assert vs_.remove_fault(after, "r", "a")["spec"]["http"] == [users]


@pytest.mark.parametrize(
    "headers",
    [
        {"uri": "/a"},
        {"Method": "GET"},
        {":authority": "x"},
        {"": "x"},
        {"x": ""},
        {"x": {}},
        {"x": {"prefix": ""}},
        {"x": {"exact": "a", "prefix": "a"}},
        {"x": {"suffix": "a"}},
        {"x": {"exact": 1}},
        {"X": "1", "x": "1"},
    ],
)
def test_headers_that_istio_would_refuse_or_ignore_are_refused(headers: Object) -> None:
    """Goal: no fault for everybody by accident. Method: names that are none, empty conditions."""
    with pytest.raises(FaultError):
        conditions(headers)


def test_headers_are_conditions_with_names_in_lower_case() -> None:
    """Goal: one form. Method: a plain text and two kinds."""
    given_ = {"X-A": "1", "x-b": {"prefix": "p"}, "x-c": {"regex": "r"}}
    expected = {"x-a": {"exact": "1"}, "x-b": {"prefix": "p"}, "x-c": {"regex": "r"}}
    assert conditions(given_) == expected
    assert tag(headers={"x-a": "1"}).conditions == {"x-a": {"exact": "1"}}


def test_labels_of_callers_join_the_users_own() -> None:
    """Goal: only certain callers. Method: matches with other labels, the same, a contradiction."""
    matches = [
        {"uri": {"exact": "/a"}},
        {"sourceLabels": {"tier": "web", "app": "order-api"}},
        {"sourceLabels": {"app": "x"}},
    ]
    found = copied(virtual_service("p", route(match=matches)), tag(source={"app": "order-api"}))
    assert [name for name, _ in found] == ["seatrial-r-a-1", ""]
    assert [one for _, one in found] == [
        [
            {"uri": {"exact": "/a"}, "sourceLabels": {"app": "order-api"}},
            {"sourceLabels": {"tier": "web", "app": "order-api"}},
        ],
        matches,
    ]


def test_labels_of_callers_beside_gateways_are_refused() -> None:
    """Goal: Istio ignores them there: all callers would be hit. Method: a match with both."""
    user = virtual_service("p", route(match=[{"gateways": ["mesh"], "uri": {"prefix": "/"}}]))
    with pytest.raises(FaultError, match=r"virtualservice/p: a match of the route names gateways"):
        vs_.add_fault(user, tag(source={"app": "order-api"}))
    assert len(copied(user, tag(headers={"x": "1"}))) == 2


@pytest.mark.parametrize(
    ("gateways", "reached"), [(None, 1), (["mesh"], 1), (["gw", "mesh"], 1), (["gw"], 0)]
)
def test_labels_of_callers_count_only_in_the_mesh(gateways: list[str] | None, reached: int) -> None:
    """Goal: Istio reads them only where the object is for sidecars. Method: lists of gateways."""
    vs = virtual_service()
    del vs["spec"]["gateways"]
    if gateways is not None:
        vs["spec"]["gateways"] = gateways
    assert vs_.reach(vs, tag(source={"app": "order-api"})) == reached
    assert vs_.reach(vs, tag(headers={"x": "1"})) == 1


@pytest.mark.parametrize(("named", "position"), [("second", 1), ("#2", 1), ("#3", 2), ("first", 0)])
def test_one_route_is_chosen_by_name_or_by_its_place_among_the_users(
    named: str, position: int
) -> None:
    """Goal: one route only. Method: three routes, and a fault on all of them before: the copies of
    others do not count."""
    vs = virtual_service("p", route(name="first"), route(name="second"), route())
    found = copied(vs, tag("all"), tag("one", DELAY, route=named))
    mine = [place for place, (name, _) in enumerate(found) if name == "seatrial-r-one-1"]
    assert mine == [2 * position]
    assert len(found) == 7


@pytest.mark.parametrize("named", ["#1", "#4", "#0", "third", "#02", ""])
def test_route_that_is_not_there_or_leads_elsewhere_is_refused(named: str) -> None:
    """Goal: no silent success. Method: a place of another service's route, none, and no name; an
    empty one means all of them."""
    vs = virtual_service("p", route("order-api"), route(), route())
    if not named:
        assert vs_.reach(vs, tag()) == 2
        return
    assert vs_.reach(vs, tag(route=named)) == 0
    with pytest.raises(FaultError, match=rf"no route of virtualservice/p .* \(route {named}\)"):
        vs_.add_fault(vs, tag(route=named))


def test_more_scopes_than_can_be_copied_are_refused() -> None:
    """Goal: a bound on copies. Method: four headers make 15 copies, a fifth is refused."""
    vs = virtual_service()
    for number in range(4):
        vs = vs_.add_fault(vs, tag(f"f{number}", headers={f"x-{number}": "1"}))
    assert len(vs["spec"]["http"]) == 15 + 1
    with pytest.raises(FaultError, match="5 faults for different requests meet on one route"):
        vs_.add_fault(vs, tag("f4", headers={"x-4": "1"}))
    assert len(vs_.add_fault(vs, tag("same", DELAY, headers={"x-3": "1"}))["spec"]["http"]) == 17
    assert list(subsets(list("abcde"), strict=False)) == [(key,) for key in "abcde"]


def test_route_that_the_user_removed_leaves_no_block_of_a_fault_that_is_gone() -> None:
    """Goal: gone means gone. Method: the user takes his route away, then one of two faults goes."""
    vs = vs_.add_fault(vs_.add_fault(virtual_service(), tag("a", DELAY)), tag("b", ABORT))
    vs["spec"]["http"].pop()
    (left,) = vs_.remove_fault(vs, "r", "b")["spec"]["http"]
    assert (left["name"], left["fault"]) == ("seatrial-r-a-1", DELAY)


# -- the property --------------------------------------------------------------------------------

VALUES = ("ab", "ab", "abc", "b")
CONDITIONS = st.sampled_from(
    [{"exact": "ab"}, {"prefix": "a"}, {"prefix": "ab"}, {"prefix": "b"}, {"regex": "ab.*"}]
)
HEADERS = st.dictionaries(st.sampled_from(["x", "y"]), CONDITIONS, max_size=1)
LABELS: st.SearchStrategy[dict[str, str]] = st.one_of(
    st.just({}), st.just({}), st.just({"app": "one"}), st.just({"app": "two"})
)


@st.composite
def users_routes(draw: st.DrawFn) -> Object:
    """A route with matches on path, headers (also excluded and only present) and callers."""
    matches = []
    for _ in range(draw(st.sampled_from([0, 0, 1, 2]))):
        match: Object = {}
        if draw(st.booleans()):
            match["uri"] = {"exact": draw(st.sampled_from(["/a", "/b"]))}
        if headers := draw(st.dictionaries(st.sampled_from(["X", "y"]), CONDITIONS | st.just({}))):
            match["headers"] = headers
        if excluded := draw(st.dictionaries(st.sampled_from(["x", "Y"]), CONDITIONS, max_size=1)):
            match["withoutHeaders"] = excluded
        if labels := draw(LABELS):
            match["sourceLabels"] = labels
        matches.append(match)
    made = route(draw(st.sampled_from(["payment-api"] * 3 + ["order-api"])), match=matches)
    if draw(st.booleans()):
        made["fault"] = draw(st.sampled_from([ABORT, DELAY]))
    return made | {"timeout": f"{draw(st.integers(1, 9**9))}s"}


@st.composite
def faults(draw: st.DrawFn) -> list[Tag]:
    """Up to four faults, whose blocks can be told apart."""
    found = []
    for number in range(draw(st.integers(2, 4))):
        aborts = draw(st.booleans())
        block = vs_.abort_block(500 + number, 10) if aborts else vs_.delay_block(number + 1, 10)
        scope = {"headers": draw(HEADERS), "source": draw(LABELS)}
        named = draw(st.sampled_from(["", "", "", "#1", "#2"]))
        found.append(tag(f"f{number}", block, route=named, **scope))
    return found


REQUESTS = st.fixed_dictionaries(
    {
        "path": st.sampled_from(["/a", "/b"]),
        "headers": st.dictionaries(
            st.sampled_from(["x", "y"]), st.sampled_from(VALUES), min_size=1
        ),
        "labels": LABELS,
    }
)


def carries(condition: Condition, headers: dict[str, str], name: str) -> bool:
    value = headers.get(name.lower())
    return value is not None and meets(value, condition)


def matched(match: Object, request: Object) -> bool:
    """Istio's reading of one match."""
    headers, labels = request["headers"], request["labels"]
    return bool(
        match.get("uri", {}).get("exact", request["path"]) == request["path"]
        and all(carries(one, headers, name) for name, one in match.get("headers", {}).items())
        and not any(
            carries(one, headers, name) for name, one in match.get("withoutHeaders", {}).items()
        )
        and match.get("sourceLabels", {}).items() <= labels.items()
    )


def first(vs: Object, request: Object) -> Any:
    """The route that a request takes: the first one with a match that holds."""
    for one in vs["spec"]["http"]:
        if not one.get("match") or any(matched(match, request) for match in one["match"]):
            return one
    return None


def meant(fault: Tag, request: Object, users: Object, position: int) -> bool:
    host = users["route"][0]["destination"]["host"]
    return bool(
        host == fault.service
        and fault.route in ("", f"#{position}")
        and all(carries(one, request["headers"], name) for name, one in fault.conditions.items())
        and fault.source.items() <= request["labels"].items()
    )


@settings(max_examples=300, deadline=None)
@given(
    st.lists(users_routes(), min_size=1, max_size=3),
    faults(),
    st.lists(REQUESTS, min_size=3, max_size=8),
    st.data(),
)
def test_every_request_meets_exactly_the_faults_that_are_meant_for_it(
    routes: list[Object], tags: list[Tag], requests: list[Object], data: st.DataObject
) -> None:
    """Goal: scopes and overlaps are right. Method: requests against routes that were drawn, with
    Istio's rule of the first match: the same route of the user's as without faults, with his own
    block and, on top, the newest block of each kind; and again after one of the faults is gone."""
    before = virtual_service("p", *routes)
    vs, there = before, []
    for one in tags:
        with suppress(FaultError):  # What Istio has no match for, or no route.
            vs = vs_.add_fault(vs, one)
            there.append(one)
    for _ in range(2):
        for request in requests:
            users, taken = first(before, request), first(vs, request)
            if users is None or taken is None:
                assert users is taken is None
                continue
            position = before["spec"]["http"].index(users) + 1
            block = dict(users.get("fault", {}))
            for one in there:
                block |= one.block if meant(one, request, users, position) else {}
            assert taken["timeout"] == users["timeout"]
            assert taken.get("fault", {}) == block
        if there:
            gone = there.pop(data.draw(st.integers(0, len(there) - 1)))
            vs = vs_.remove_fault(vs, gone.run, gone.fault)
            assert not any(is_ours(r.get("name", ""), gone.key) for r in vs["spec"]["http"])
    for one in there:
        vs = vs_.remove_fault(vs, one.run, one.fault)
    assert json.dumps(vs) == json.dumps(before)
