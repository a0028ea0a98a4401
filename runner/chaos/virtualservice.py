"""Faults in a VirtualService, as data: named copies of routes, put before the user's own. Pure.

The user's routes are never edited. For every route that leads to the disturbed service, a copy
named ``seatrial-<run>-<fault>-<n>`` goes right before it, with the ``fault`` block and, where the
fault is for certain requests only, with their headers in its match. Envoy takes the first route
that matches. To heal is to remove what bears the name: what was there before, and whatever the user
changed meanwhile, stays.

Faults that overlap on a route are stacked: copies with headers before copies without, the newest
first, and each carries the blocks of the ones below it as well, so that none hides another. (Two
faults of the same kind on the same requests cannot add up in Envoy: the newest wins.)
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Mapping
from typing import Any

from runner.chaos.annotation import (
    ANNOTATION,
    Tag,
    fault_key,
    is_ours,
    read_tags,
    write_tags,
)
from runner.chaos.objects import Object
from runner.errors import FaultError

MIN_DELAY_S = 0.001


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


def add_fault(vs: Object, tag: Tag) -> Object:
    """``vs`` with the fault of ``tag`` on every route that leads to its service.

    Adding the same fault again changes nothing: the copies are made anew.

    Raises:
        FaultError: When no route leads there, when no request can match, when the annotation is
            damaged, or when another fault has the same name.
    """
    tags = read_tags(vs)
    known = tags.get(tag.key)
    if known is not None and (known.run, known.fault) != (tag.run, tag.fault):
        raise FaultError(f"{_name(vs)} already carries another fault that is named {tag.key}")
    changed = _render(vs, {**tags, tag.key: tag})
    if not copies(changed, tag.run, tag.fault):
        raise FaultError(
            f"no route of {_name(vs)} can be disturbed for {tag.service}",
            accepted="an HTTP route to the service whose match the headers of the fault can meet",
        )
    return changed


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


def remove_all(vs: Object) -> Object:
    """``vs`` without any copy of ours and without the annotation."""
    return write_tags(_with_routes(vs, [r for r in _routes(vs) if not _ours(r)]), {})


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


def _render(vs: Object, tags: Mapping[str, Tag]) -> Object:
    """``vs`` with the copies that ``tags`` ask for, made from the user's routes as they are now."""
    numbers = dict.fromkeys(tags, 0)
    routes: list[Object] = []
    for route in _routes(_strip(vs, tags)):
        if not _ours(route):
            active = [t for t in tags.values() if leads_to(route, t.service, _namespace(vs))]
            for tag in _order(active):
                made = _copy(route, tag, active)
                if made is not None:
                    numbers[tag.key] += 1
                    routes.append({"name": f"{tag.key}-{numbers[tag.key]}", **made})
        routes.append(route)
    return write_tags(_with_routes(vs, routes), tags)


def _restacked(vs: Object, tags: Mapping[str, Tag]) -> Object:
    """``vs``, the copies of ``tags`` with no other blocks than theirs and the user's own."""
    routes: list[Object] = []
    copied: list[Object] = []  # The copies that stand before the next route of the user's.
    for route in _routes(vs):
        if _ours(route):
            copied.append(route)
            continue
        found = {_key(made) for made in copied}
        active = [
            tag
            for key, tag in tags.items()
            if key in found and leads_to(route, tag.service, _namespace(vs))
        ]
        known = {tag.key: tag for tag in active}
        for made in copied:
            tag = known.get(_key(made))
            block = tag and _stacked(route.get("fault") or {}, tag, active)
            routes.append({**made, "fault": block} if block else made)
        routes.append(route)
        copied = []
    return _with_routes(vs, [*routes, *copied])


def _key(copied: Object) -> str:
    """The key of the fault whose copy this is."""
    return str(copied["name"]).rpartition("-")[0]


def _order(active: list[Tag]) -> list[Tag]:
    newest_first = active[::-1]
    return sorted(newest_first, key=lambda tag: not tag.headers)


def _copy(route: Object, tag: Tag, active: list[Tag]) -> Object | None:
    made = {key: copy.deepcopy(value) for key, value in route.items() if key != "name"}
    if tag.headers:
        matches = [_narrowed(match, tag.headers) for match in made.get("match") or [{}]]
        reachable = [match for match in matches if match is not None]
        if not reachable:
            return None
        made["match"] = reachable
    made["fault"] = _stacked(made.get("fault") or {}, tag, active)
    return made


def _stacked(own: Object, tag: Tag, active: list[Tag]) -> Object:
    """The user's own block, then older faults on the same requests, then ours: the last wins."""
    below = active[: active.index(tag)]
    everyone = [t for t in (active if tag.headers else below) if not t.headers]
    same = [t for t in below if tag.headers and t.headers == tag.headers]
    blocks = (copy.deepcopy(dict(t.block)) for t in (*everyone, *same, tag))
    merged = dict(own)
    for block in blocks:
        merged.update(block)
    return merged


def _narrowed(match: Object, headers: Mapping[str, str]) -> Object | None:
    """``match`` for requests that also have ``headers``; None when it cannot be met any more."""
    conditions = dict(match.get("headers") or {})
    for name, value in headers.items():
        for user_name in [known for known in conditions if known.lower() == name]:
            if not _meets(conditions.pop(user_name), value):
                return None
        without = match.get("withoutHeaders") or {}
        if any(known.lower() == name and _meets(cond, value) for known, cond in without.items()):
            return None
        conditions[name] = {"exact": value}
    return {**match, "headers": conditions}


def _meets(condition: Mapping[str, Any] | None, value: str) -> bool:
    """Whether a header's ``value`` meets Istio's string match; an empty one asks for presence."""
    for kind, wanted in (condition or {}).items():
        if kind == "exact":
            return bool(value == wanted)
        if kind == "prefix":
            return value.startswith(str(wanted))
        if kind == "regex":
            try:
                return re.fullmatch(wanted, value) is not None
            except re.error:
                return False
    return True


def _strip(vs: Object, keys: Iterable[str]) -> Object:
    gone = tuple(keys)
    kept = [r for r in _routes(vs) if not any(is_ours(str(r.get("name", "")), k) for k in gone)]
    return _with_routes(vs, kept)


def _with_routes(vs: Object, routes: list[Object]) -> Object:
    if routes == _routes(vs):
        return vs
    return {**vs, "spec": {**vs["spec"], "http": routes}}


def _routes(vs: Object) -> list[Object]:
    return (vs.get("spec") or {}).get("http") or []


def _ours(route: Object) -> bool:
    return is_ours(str(route.get("name", "")))


def _name(vs: Object) -> str:
    return f"virtualservice/{(vs.get('metadata') or {}).get('name', '')}"


def _namespace(vs: Object) -> str:
    return str((vs.get("metadata") or {}).get("namespace") or "default")
