"""Which services a load reaches: by the paths in its locustfile, the routes and the known calls.

The locustfile is read, never run: what it asks for is known as far as it stands there in plain
text. Pure; whoever calls this reads the file.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

from runner.targets.inspection import Object, Objects
from runner.targets.istio import MESH, covers, destinations, gateways_of, routes_of
from runner.targets.workloads import service_named, services_of_workload

_VERBS = ("get", "post", "put", "patch", "delete", "head", "options")
_ANY_VERB = ("request", "rest", "rest_")
_HARMLESS = ("locust", "runner", "gevent", "requests")
ENOUGH_REQUESTS = 20.0
"""With so many requests to a service in the last hour, its calls to others were likely seen.

Not if they were nobody's but health checks': then no service was seen to call any other.
"""


@dataclass(frozen=True, slots=True)
class Paths:
    """What a locustfile asks for.

    Attributes:
        gets: Whole paths that are asked for with GET.
        asked: All paths, or what they begin with.
        whole: Whether that is surely all.
    """

    gets: tuple[str, ...] = ()
    asked: tuple[str, ...] = ()
    whole: bool = False


def paths_in(source: str) -> Paths:
    """The paths in the text of a locustfile; none of a text that is no Python."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return Paths()
    gets: list[str] = []
    asked: list[str] = []
    whole = not _imports_others(tree)
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        found = _target_of(call)
        if found is None:
            continue
        verb, target = found
        path, complete = _path(target)
        if not path:
            whole = False
            continue
        asked.append(path)
        if complete and verb == "get":
            gets.append(path)
    return Paths(tuple(dict.fromkeys(gets)), tuple(dict.fromkeys(asked)), whole and bool(asked))


def _imports_others(tree: ast.AST) -> bool:
    """Whether the file takes code from files that were not read."""
    names: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [one.name for one in node.names]
        elif isinstance(node, ast.ImportFrom):
            names.append("." if node.level else node.module or "")
    known = (*_HARMLESS, *sys.stdlib_module_names)
    return any(name.partition(".")[0] not in known for name in names)


def _target_of(call: ast.Call) -> tuple[str, ast.expr | None] | None:
    """Verb and address of a call such as ``self.client.get("/x")``; None for other calls."""
    if not isinstance(call.func, ast.Attribute):
        return None
    verb, owner = call.func.attr, call.func.value
    name = owner.attr if isinstance(owner, ast.Attribute) else getattr(owner, "id", "")
    arguments = [*call.args]
    if verb in _ANY_VERB and (name == "client" or verb != "request"):
        first = arguments.pop(0) if arguments else None
        verb = str(getattr(first, "value", "")).lower() if _is_text(first) else ""
    elif verb not in _VERBS or name != "client":
        return None
    named = [word.value for word in call.keywords if word.arg in ("url", "path")]
    return verb, next(iter([*arguments[:1], *named]), None)


def _is_text(node: Any) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _path(node: ast.expr | None) -> tuple[str, bool]:
    """The path that an expression gives, or what it begins with, and whether that is all."""
    if isinstance(node, ast.JoinedStr) and node.values and _is_text(node.values[0]):
        text, complete = str(getattr(node.values[0], "value", "")), len(node.values) == 1
    elif isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Add, ast.Mod)):
        text, complete = _path(node.left)[0].partition("%")[0], False
    elif _is_text(node):
        text, complete = str(getattr(node, "value", "")), True
    else:
        return "", False
    if text.startswith(("http://", "https://")):
        text = urlsplit(text).path or "/"
    return (text, complete) if text.startswith("/") else ("", False)


# -- routes ----------------------------------------------------------------------------------------


def path_for(virtual_services: Iterable[Object], host: str) -> str:
    """A path that a VirtualService for ``host`` has a route for; ``/`` when none tells one."""
    for vs in virtual_services:
        if not _is_for(vs, host):
            continue
        for match in (m for route in routes_of(vs) for m in route.get("match") or ()):
            uri = match.get("uri") or {}
            path = str(uri.get("exact") or uri.get("prefix") or "")
            if path.startswith("/"):
                return quote(path)
    return "/"


def _is_for(vs: Object, host: str) -> bool:
    hosts = (vs.get("spec") or {}).get("hosts") or ()
    return any(covers(str(pattern), host) for pattern in hosts)


def entered(paths: Sequence[str], host: str, objects: Objects, namespace: str) -> set[str]:
    """The Services to which the ingress may lead requests for ``paths``."""
    found: set[str] = set()
    for vs in objects.of("virtualservices"):
        if not _is_for(vs, host) or gateways_of(vs) == [MESH]:
            continue
        for route in routes_of(vs):
            matches = route.get("match") or [{}]
            if any(_matches(match, path) for match in matches for path in paths):
                names = (service_named(to.get("host", ""), namespace) for to in destinations(route))
                found |= {name for name in names if name}
    return found


def _matches(match: Any, path: str) -> bool:
    """Whether a route may match ``path``, or a path that begins with it."""
    uri = match.get("uri") or {}
    if exact := uri.get("exact"):
        return path.partition("?")[0] == exact or str(exact).startswith(path)
    if prefix := uri.get("prefix"):
        return path.startswith(str(prefix)) or str(prefix).startswith(path)
    if regex := uri.get("regex"):
        try:
            return re.fullmatch(str(regex), path.partition("?")[0]) is not None
        except re.error:  # RE2 knows things that this does not.
            return True
    return True


# -- calls -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Reach:
    """Which services a load reaches.

    Attributes:
        sure: Those that it reaches by a route or by known calls.
        entered: Those that it reaches by a route.
        whole: Whether others are surely not reached.
        why: Why that is not sure; empty where it is.
    """

    sure: frozenset[str]
    entered: frozenset[str]
    whole: bool
    why: str = ""


def reach_of(
    paths: Paths,
    calls: Mapping[tuple[str, str], float],
    *,
    host: str,
    objects: Objects,
    namespace: str,
) -> Reach:
    """Follow the load from the ingress on.

    Args:
        paths: What the locustfile asks for.
        calls: (workload, service) to requests in the last hour.
        host: Host header of the load.
        objects: What there is on the target.
        namespace: Where that was read.
    """
    first = entered(paths.asked, host, objects, namespace)
    callees: dict[str, set[str]] = {}
    for workload, service in calls:
        for caller in services_of_workload(workload, objects):
            callees.setdefault(caller, set()).add(service)
    reached, ahead = set(first), list(first)
    while ahead:
        for service in callees.get(ahead.pop(), set()) - reached:
            reached.add(service)
            ahead.append(service)
    unseen = [name for name in sorted(reached) if _received(name, calls) < ENOUGH_REQUESTS]
    if not paths.whole:
        why = "the locustfile does not say in plain text what it asks for"
    elif not first:
        why = f"no VirtualService leads the load's paths for {host or 'its host'} to a service"
    elif not callees:
        why = "no service was seen to call another in the last hour, so that calls are not known"
    elif unseen:
        why = f"whom {', '.join(unseen)} calls is not known: it had no requests in the last hour"
    else:
        why = ""
    return Reach(frozenset(reached), frozenset(first), whole=not why, why=why)


def _received(service: str, calls: Mapping[tuple[str, str], float]) -> float:
    return sum(requests for (_, called), requests in calls.items() if called == service)
