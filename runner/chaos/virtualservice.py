"""Faults in a VirtualService, as data: named copies of routes, put before the user's own. Pure.

The user's routes are never edited. For every route that leads to the disturbed service, a copy
named ``seatrial-<run>-<fault>-<n>`` goes right before it, with the ``fault`` block and, where the
fault is for certain requests only, with their headers and callers' labels in its match. Envoy takes
the first route that matches. To heal is to remove what bears the name: what was there before, and
whatever the user changed meanwhile, stays.

Faults that overlap on a route are stacked, so that none hides another: there is a copy for each set
of scopes that a request can be in, the most particular ones first, and it carries the blocks of all
faults that such a request is meant for. (Two faults of the same kind on the same requests cannot
add up in Envoy: the newest wins.)
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Iterator, Mapping
from functools import partial

from runner.chaos.annotation import (
    ANNOTATION,
    Tag,
    fault_key,
    is_ours,
    read_tags,
    write_tags,
)
from runner.chaos.objects import Object
from runner.chaos.scopes import CannotCombineError, key_of, narrowed, subsets
from runner.errors import FaultError

MIN_DELAY_S = 0.001
MESH = "mesh"
"""The name among gateways that stands for all sidecars."""
ACCEPTED_ROUTE = "an HTTP route to the service that the fault's route, headers and source can meet"


def delay_block(delay_s: float, percent: float) -> Object:
    """Istio's block for a delay of ``delay_s`` on ``percent`` (0 to 100) of the requests.

    Raises:
        FaultError: When this would disturb nothing.
    """
    if delay_s < MIN_DELAY_S:
        raise FaultError(f"a delay of {delay_s:g} s is too short", accepted="1ms or more")
    millis = round(delay_s * 1000)
    text = f"{millis // 1000}s" if millis % 1000 == 0 else f"{millis}ms"
    return {"delay": {"fixedDelay": text, "percentage": {"value": _percent(percent)}}}


def abort_block(status: int, percent: float) -> Object:
    """Istio's block that answers ``percent`` (0 to 100) of the requests with ``status``.

    Raises:
        FaultError: When this would disturb nothing, or is no HTTP status.
    """
    if not 200 <= status <= 599:
        raise FaultError(f"{status} is not an HTTP status", accepted="200 to 599")
    return {"abort": {"httpStatus": status, "percentage": {"value": _percent(percent)}}}


def _percent(percent: float) -> float:
    if not 0 < percent <= 100:
        raise FaultError(
            f"a fault on {percent:g} % of the requests cannot be measured",
            accepted="more than 0 and at most 100 percent",
        )
    return float(percent)


def names_service(host: str, service: str, namespace: str) -> bool:
    """Whether a destination ``host`` means ``service``, seen from ``namespace``."""
    short = (service, f"{service}.{namespace}")
    return host in (*short, f"{short[1]}.svc", f"{short[1]}.svc.cluster.local")


def leads_to(route: Object, service: str, namespace: str) -> bool:
    """Whether any destination of an HTTP route is ``service``."""
    hosts = ((part.get("destination") or {}).get("host", "") for part in route.get("route") or ())
    return any(names_service(host, service, namespace) for host in hosts)


def routes_to(vs: Object, service: str) -> int:
    """Number of the user's HTTP routes in ``vs`` that lead to ``service``."""
    return sum(
        leads_to(route, service, _namespace(vs)) for route in _routes(vs) if not _ours(route)
    )


def reach(vs: Object, tag: Tag) -> int:
    """Number of the user's routes that the fault of ``tag`` can be put on, were it alone.

    Raises:
        FaultError: When Istio has no match for the requests that are meant.
    """
    own = [route for route in _routes(vs) if not _ours(route)]
    meant = [route for position, route in enumerate(own, 1) if _meant(vs, route, position, tag)]
    try:
        return sum(_matches(route, [tag], strict=True) is not None for route in meant)
    except FaultError as error:
        raise _about(vs, error) from error


def add_fault(vs: Object, tag: Tag) -> Object:
    """``vs`` with the fault of ``tag`` on every route that leads to its service.

    Adding the same fault again changes nothing: the copies are made anew.

    Raises:
        FaultError: When no route leads there, when no request can match, when the annotation is
            damaged, when another fault has the same name, or when Istio has no match for the
            requests that are meant.
    """
    tags = read_tags(vs)
    known = tags.get(tag.key)
    if known is not None and _meaning(known) != _meaning(tag):
        raise FaultError(f"{_name(vs)} already carries another fault that is named {tag.key}")
    try:
        changed = _render(vs, {**tags, tag.key: tag}, strict=True)
    except FaultError as error:
        raise _about(vs, error) from error
    if not copies(changed, tag.run, tag.fault):
        raise FaultError(
            f"no route of {_name(vs)} can be disturbed for {tag.service}{scope_text(tag)}",
            accepted=ACCEPTED_ROUTE,
        )
    return changed


def _about(vs: Object, error: FaultError) -> FaultError:
    return FaultError(f"{_name(vs)}: {error.message}", accepted=error.accepted, hint=error.hint)


def _meaning(tag: Tag) -> tuple[object, ...]:
    scope = key_of(tag.conditions, tag.source)
    return tag.run, tag.fault, tag.service, dict(tag.block), scope, tag.route


def scope_text(tag: Tag) -> str:
    """`` (route #2, header x, …)``: what a fault is limited to; empty when it is for all."""
    parts = [f"route {tag.route}"] if tag.route else []
    parts += [f"header {name}" for name in tag.headers]
    parts += [f"callers with {name}={value}" for name, value in tag.source.items()]
    return f" ({', '.join(parts)})" if parts else ""


def remove_fault(vs: Object, run: str, fault: str) -> Object:
    """``vs`` without the copies and the tag of one fault; equal to ``vs`` when it has none."""
    return remove_faults(vs, {fault_key(run, fault)})


def remove_faults(vs: Object, keys: Iterable[str]) -> Object:
    """``vs`` without the copies and tags of the faults with these keys.

    Never adds a route: a copy of another fault that somebody took away meanwhile stays away.
    """
    gone = set(keys)
    stripped = _strip(vs, gone)
    try:
        tags = read_tags(vs)
    except FaultError:
        # Names are enough. The damaged annotation belongs to nobody once no copy is left.
        return stripped if any(map(_ours, _routes(stripped))) else write_tags(stripped, {})
    kept = {key: tag for key, tag in tags.items() if key not in gone}
    if len(kept) == len(tags):
        return stripped
    return write_tags(_restacked(stripped, kept), kept)


def copies(vs: Object, run: str, fault: str) -> list[str]:
    """Names of the routes in ``vs`` that belong to a fault."""
    key = fault_key(run, fault)
    return [route["name"] for route in _routes(vs) if is_ours(str(route.get("name", "")), key)]


def faults_on(vs: Object) -> dict[str, Tag | None]:
    """Keys of all faults that ``vs`` carries by tag or by name; None for one without a tag.

    A damaged annotation shows as its own name.
    """
    found: dict[str, Tag | None] = {}
    try:
        found.update(read_tags(vs))
    except FaultError:
        found[ANNOTATION] = None
    for route in _routes(vs):
        if _ours(route):
            found.setdefault(_key(route), None)
    return found


# -- copies ------------------------------------------------------------------------------------


def _render(vs: Object, tags: Mapping[str, Tag], *, strict: bool = False) -> Object:
    """``vs`` with the copies that ``tags`` ask for, made from the user's routes as they are now.

    What Istio has no match for is left out, unless ``strict``: then it is an error. (The user may
    have changed a match since; that must not keep any other fault from being removed.)
    """
    numbers = dict.fromkeys(tags, 0)
    routes: list[Object] = []
    own = 0
    for route in _routes(_strip(vs, tags)):
        if not _ours(route):
            own += 1
            active = [tag for tag in tags.values() if _meant(vs, route, own, tag)]
            for tag, made in _layers(route, active, strict=strict):
                numbers[tag.key] += 1
                routes.append({"name": f"{tag.key}-{numbers[tag.key]}", **made})
        routes.append(route)
    return write_tags(_with_routes(vs, routes), tags)


def _restacked(vs: Object, tags: Mapping[str, Tag]) -> Object:
    """``vs``, the copies of ``tags`` with no other blocks than theirs and the user's own.

    Only where a fault has a copy before a route already, it gets one again.
    """
    numbers = dict.fromkeys(tags, 0)
    routes: list[Object] = []
    copied: list[Object] = []  # The copies that stand before the next route of the user's.

    def put(key: str, made: Object) -> None:
        numbers[key] += 1
        routes.append({"name": f"{key}-{numbers[key]}", **made})

    for route in [*_routes(vs), None]:
        if route is not None and _ours(route):
            copied.append(route)
            continue
        found = {_key(made) for made in copied} & tags.keys()
        active = [
            tag
            for key, tag in tags.items()
            if key in found and route and leads_to(route, tag.service, _namespace(vs))
        ]
        for made in copied:
            tag = tags.get(_key(made))
            if tag is None:  # Of a fault that nothing else is known of.
                routes.append(made)
            elif tag not in active:  # The user took his own route away.
                put(tag.key, {**_unnamed(made), "fault": copy.deepcopy(dict(tag.block))})
        for tag, made in _layers(route or {}, active, strict=False):
            put(tag.key, made)
        routes += [] if route is None else [route]
        copied = []
    return _with_routes(vs, routes)


def _key(copied: Object) -> str:
    """The key of the fault whose copy this is."""
    return str(copied["name"]).rpartition("-")[0]


def _meant(vs: Object, route: Object, position: int, tag: Tag) -> bool:
    """Whether a fault is for the user's n-th route; labels of callers only count in the mesh."""
    named = tag.route in ("", f"#{position}", str(route.get("name") or ""))
    gateways = (vs.get("spec") or {}).get("gateways") or [MESH]
    sourced = not tag.source or MESH in gateways
    return named and sourced and leads_to(route, tag.service, _namespace(vs))


def _layers(route: Object, active: list[Tag], *, strict: bool) -> Iterator[tuple[Tag, Object]]:
    """The copies that go before ``route``, each with the fault that it is named for.

    Every fault has a copy of its own, and the newest one also those for requests that are in
    several scopes. A copy that an equal one precedes would never be reached.
    """
    scopes: dict[str, list[Tag]] = {}
    for tag in active:
        scopes.setdefault(key_of(tag.conditions, tag.source), []).append(tag)
    everyone = scopes.pop("", [])
    seen: set[str] = set()
    for chosen in (*subsets([*scopes][::-1], strict=strict), ()):
        meant = [tag for key in chosen for tag in scopes[key]]
        matches = _matches(route, [scopes[key][0] for key in chosen], strict=strict)
        text = json.dumps(matches, sort_keys=True)
        if matches is None or (len(chosen) > 1 and text in seen):
            continue
        seen.add(text)
        named = [tag for tag in active if tag in (meant if chosen else everyone)][::-1]
        for tag in named[:1] if len(chosen) > 1 else named:
            below = named[: named.index(tag)]
            carried = [t for t in active if (t in meant or t in everyone) and t not in below]
            yield tag, _copy(route, carried, matches if chosen else None)


def _matches(route: Object, scopes: list[Tag], *, strict: bool) -> list[Object] | None:
    """The route's matches for requests in all of ``scopes``; None when there are no such."""
    found: list[Object | None] = list(route.get("match") or [{}])
    try:
        for tag in scopes:
            narrow = partial(narrowed, headers=tag.conditions, source=tag.source)
            found = [narrow(match) for match in found if match is not None]
    except CannotCombineError:
        if strict:
            raise
        return None
    return [match for match in found if match is not None] or None


def _copy(route: Object, carried: list[Tag], matches: list[Object] | None) -> Object:
    """``route`` with the user's own block and those of ``carried``, oldest first: the last wins."""
    made = _unnamed(route)
    if matches is not None:
        made["match"] = matches
    block = made.get("fault") or {}
    for tag in carried:
        block = {**block, **copy.deepcopy(dict(tag.block))}
    made["fault"] = block
    return made


def _unnamed(route: Object) -> Object:
    return {key: copy.deepcopy(value) for key, value in route.items() if key != "name"}


def _strip(vs: Object, keys: Iterable[str]) -> Object:
    gone = tuple(keys)
    kept = [r for r in _routes(vs) if not any(is_ours(str(r.get("name", "")), k) for k in gone)]
    return _with_routes(vs, kept)


def _with_routes(vs: Object, routes: list[Object]) -> Object:
    if not routes and not _routes(vs):
        return vs  # Whether the list is empty or missing.
    return {**vs, "spec": {**vs["spec"], "http": routes}}


def _routes(vs: Object) -> list[Object]:
    return (vs.get("spec") or {}).get("http") or []


def _ours(route: Object) -> bool:
    return is_ours(str(route.get("name", "")))


def _name(vs: Object) -> str:
    return f"virtualservice/{(vs.get('metadata') or {}).get('name', '')}"


def _namespace(vs: Object) -> str:
    return str((vs.get("metadata") or {}).get("namespace") or "default")
