"""The walk over honoured fields: what it keeps, what it reports, and that every field counts."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.targets.sandbox.mesh.fields import STRING, Schema, field_paths, prune
from runner.targets.sandbox.mesh.model import MeshInput
from runner.targets.sandbox.mesh.schema import HTTP_FAULT_TYPE, SCHEMAS
from runner.targets.sandbox.mesh.translate import translate
from runner.targets.sandbox.settings import SandboxSettings

SETTINGS = SandboxSettings("t", Path("/sandbox"), 1, 2, 3, 4, 5, 6, 7)
Obj = dict[str, Any]

OPERATIONS = {
    direction: {"add": {f"x-{direction}": "1"}, "set": {"x-set": "2"}, "remove": ["x-gone"]}
    for direction in ("request", "response")
}
TO_SHOP = [{"destination": {"host": "shop"}}]
TEXTS = ({"exact": "a"}, {"prefix": "a"}, {"regex": "a.*"})
FULL_POLICY: Obj = {
    "loadBalancer": {"simple": "ROUND_ROBIN", "warmupDurationSecs": "3s"},
    "connectionPool": {
        "tcp": {
            "maxConnections": 1,
            "connectTimeout": "2s",
            "maxConnectionDuration": "3s",
            "idleTimeout": "4s",
            "tcpKeepalive": {"probes": 5, "time": "6s", "interval": "7s"},
        },
        "http": {
            "http1MaxPendingRequests": 8,
            "http2MaxRequests": 9,
            "maxRequestsPerConnection": 10,
            "maxRetries": 11,
            "h2UpgradePolicy": "DO_NOT_UPGRADE",
        },
    },
    "outlierDetection": {
        "consecutive5xxErrors": 12,
        "consecutiveGatewayErrors": 13,
        "consecutiveLocalOriginFailures": 14,
        "splitExternalLocalOriginErrors": True,
        "interval": "15s",
        "baseEjectionTime": "16s",
        "maxEjectionPercent": 17,
        "minHealthPercent": 18,
    },
    "tls": {"mode": "DISABLE"},
}
# Each of these holds fields that exclude others.
POLICY_VARIANTS: list[Obj] = [
    FULL_POLICY,
    {
        "connectionPool": {"http": {"idleTimeout": "1s"}},
        "outlierDetection": {"consecutiveErrors": 3},
    },
    {"loadBalancer": {"simple": "LEAST_REQUEST", "warmup": {"duration": "2s"}}},
    {"loadBalancer": {"consistentHash": {"httpHeaderName": "x", "minimumRingSize": 7}}},
    {
        "loadBalancer": {
            "consistentHash": {"httpQueryParameterName": "q", "ringHash": {"minimumRingSize": 3}}
        }
    },
    {"loadBalancer": {"consistentHash": {"useSourceIp": True, "maglev": {"tableSize": 11}}}},
    {"loadBalancer": {"consistentHash": {"httpCookie": {"name": "c", "path": "/", "ttl": "9s"}}}},
]


def full_virtual_service() -> Obj:
    """A spec in which every honoured field stands at least once."""
    matches: list[Obj] = [
        {"uri": text, "scheme": text, "method": text, "authority": text, "queryParams": {"q": text}}
        | {"headers": {"h": text}, "withoutHeaders": {"n": text}}
        for text in TEXTS
    ]
    matches += [
        {"name": "m", "uri": {"prefix": "/n"}, "ignoreUriCase": True, "port": 80},
        {"uri": {"prefix": "/p"}, "port": 81},
        {"uri": {"prefix": "/g"}, "gateways": ["edge"]},
        {"uri": {"prefix": "/l"}, "sourceLabels": {"app": "order-api"}},
        {"uri": {"prefix": "/ns"}, "sourceNamespace": "elsewhere"},
    ]
    fault = {
        "delay": {"fixedDelay": "1s", "percentage": {"value": 2.5}},
        "abort": {"httpStatus": 500, "percentage": {"value": 0.1}},
    }
    both = [
        {"destination": {"host": "shop", "subset": name, "port": {"number": 80}}, "weight": weight}
        | {"headers": OPERATIONS}
        for name, weight in (("v1", 90), ("v2", 10))
    ]
    retries = {"attempts": 4, "perTryTimeout": "2s", "retryOn": "5xx", "backoff": "1ms"}
    some = [{"uri": {"prefix": "/some"}}]
    http: list[Obj] = [
        {
            "name": "full",
            "match": matches,
            "route": both,
            "timeout": "3s",
            "retries": {**retries, "retryIgnorePreviousHosts": False},
            "fault": fault,
            "headers": OPERATIONS,
            "rewrite": {"uri": "/w", "authority": "a"},
        },
        {
            "match": some,
            "route": TO_SHOP,
            "fault": {"delay": {"fixedDelay": "1s", "percent": 5}},
            "rewrite": {"uriRegexRewrite": {"match": "a", "rewrite": "b"}},
        },
        {
            "match": some,
            "redirect": {
                "uri": "/u",
                "authority": "b",
                "scheme": "https",
                "port": 8443,
                "redirectCode": 302,
            },
        },
        {"match": some, "directResponse": {"status": 418, "body": {"string": "t"}}},
    ]
    hosts = ["shop.test", "shop"]
    return {"hosts": hosts, "gateways": ["edge", "mesh"], "http": http, "exportTo": ["*"]}


def destination_rules() -> list[Obj]:
    """Specs in which together every honoured field stands; the ports differ from the rest."""
    plain = {"name": "v2", "labels": {"version": "v2"}}
    specs: list[Obj] = []
    for number, policy in enumerate(POLICY_VARIANTS):
        other = POLICY_VARIANTS[number - 1]
        both = {**policy, "portLevelSettings": [{"port": {"number": 81}, **other}]}
        subset = {"name": "v1", "labels": {"version": "v1"}, "trafficPolicy": both}
        spec = {"host": "shop", "exportTo": ["*"], "trafficPolicy": both}
        specs.append(copy.deepcopy({**spec, "subsets": [subset, plain]}))
    return specs


def full_gateway() -> Obj:
    port = {"number": 80, "name": "http", "protocol": "HTTP"}
    server = {"port": port, "hosts": ["*"], "name": "main"}
    return {"selector": {"istio": "ingressgateway"}, "servers": [server]}


def envoy_filters() -> list[Obj]:
    config = {"@type": HTTP_FAULT_TYPE, "abort": {"http_status": 503}}
    router = {"name": "envoy.filters.http.router"}
    manager = {"name": "envoy.filters.network.http_connection_manager", "subFilter": router}
    match = {"context": "SIDECAR_INBOUND", "listener": {"filterChain": {"filter": manager}}}
    return [
        {
            "workloadSelector": {"labels": {"version": "v1"}},
            "configPatches": [
                {
                    "applyTo": "HTTP_FILTER",
                    "match": match,
                    "patch": {
                        "operation": "INSERT_BEFORE",
                        "value": {"name": "envoy.filters.http.fault", spelling: config},
                    },
                }
            ],
        }
        for spelling in ("typed_config", "typedConfig")
    ]


SPECS: dict[str, list[Obj]] = {
    "VirtualService": [full_virtual_service()],
    "DestinationRule": destination_rules(),
    "Gateway": [full_gateway()],
    "EnvoyFilter": envoy_filters(),
}
WITHOUT_EFFECT = {
    # no selector selects all; another one is tried elsewhere
    "spec.selector.*",
    # names for people
    "spec.servers[].name",
    "spec.servers[].port.name",
    "spec.configPatches[].patch.value.name",
    # honoured because they ask for what is the case anyway
    "spec.exportTo[]",
    "spec.servers[].port.protocol",
    "spec.configPatches[].match.listener.filterChain.filter.name",
    "spec.configPatches[].match.listener.filterChain.filter.subFilter.name",
    *(
        f"spec.{place}{field}"
        for place in ("trafficPolicy.", "subsets[].trafficPolicy.")
        for level in ("", "portLevelSettings[].")
        for field in (f"{level}tls.mode", f"{level}connectionPool.http.h2UpgradePolicy")
    ),
}


def world(**replaced: Obj) -> MeshInput:
    """A mesh of two services and a caller, with one object of each kind."""

    def made(kind: str, name: str, spec: Obj, **more: Any) -> Obj:
        return {
            "kind": kind,
            "metadata": {"name": name, "namespace": "ecommerce", **more.pop("meta", {})},
            "spec": spec,
            **more,
        }

    specs = {kind: copy.deepcopy(found[0]) for kind, found in SPECS.items()} | replaced
    ports = [{"name": "http", "port": 80}, {"name": "alt", "port": 81}]
    pods = []
    for number, (app, version) in enumerate([("shop", "v1"), ("shop", "v2"), ("order-api", "v1")]):
        meta: Obj = {"labels": {"app": app, "version": version}, "annotations": {}}
        if app == "order-api":
            meta["annotations"]["sandbox.seatrial.dev/outbound"] = "true"
        status = {"podIP": f"127.65.0.{number + 2}", "phase": "Running"}
        pods.append(made("Pod", f"{app}-{version}", {}, meta=meta, status=status))
    targets = [{"name": port["name"], "port": 8080} for port in ports]
    subset = {"addresses": [{"ip": pod["status"]["podIP"]} for pod in pods[:2]], "ports": targets}
    return MeshInput(
        pods=tuple(pods),
        services=(made("Service", "shop", {"ports": ports}),),
        endpoints=(made("Endpoints", "shop", {}, subsets=[subset]),),
        virtual_services=(made("VirtualService", "shop", specs["VirtualService"]),),
        destination_rules=(made("DestinationRule", "shop", specs["DestinationRule"]),),
        gateways=(made("Gateway", "edge", specs["Gateway"]),),
        envoy_filters=(made("EnvoyFilter", "fault", specs["EnvoyFilter"]),),
    )


def resources(given_objects: MeshInput) -> str:
    """All that Envoy would be told."""
    config = translate(given_objects, SETTINGS)
    return json.dumps([config.listeners, config.routes, config.clusters, config.endpoints])


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Concrete paths of all values that the schema calls leaves."""
    typed = bool(path) and path[-1] in {"typed_config", "typedConfig"}
    if isinstance(value, dict) and not typed:
        for name, item in value.items():
            yield from leaves(item, (*path, name))
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from leaves(item, (*path, number))
    else:
        yield path


def abstract(path: tuple[Any, ...]) -> str:
    """The schema's name of a concrete path."""
    text = "spec" + "".join("[]" if isinstance(part, int) else f".{part}" for part in path)
    maps = r"\.(headers|withoutHeaders|queryParams|sourceLabels|labels|selector|add|set)\.[\w-]+"
    operations = re.sub(r"headers\.(request|response)", r"OPS.\1", text)
    return re.sub(maps, r".\1.*", operations).replace("OPS", "headers")


def without(spec: Obj, path: tuple[Any, ...]) -> Obj:
    changed = copy.deepcopy(spec)
    place: Any = changed
    for part in path[:-1]:
        place = place[part]
    del place[path[-1]]
    return changed


@pytest.mark.parametrize("kind", SCHEMAS)
def test_every_honoured_field_changes_something(kind: str) -> None:
    """Take each field away from a full object: what Envoy is told must change, or why not is known.

    That the full objects are full is checked too.
    """
    seen: set[str] = set()
    effective: set[str] = set()
    for spec in SPECS[kind]:
        before = resources(world(**{kind: spec}))
        assert translate(world(**{kind: spec}), SETTINGS).unsupported == ()
        for path in leaves(spec):
            seen.add(abstract(path))
            if resources(world(**{kind: without(spec, path)})) != before:
                effective.add(abstract(path))
    honoured = set(field_paths(SCHEMAS[kind], "spec"))
    assert seen == honoured
    assert honoured - effective == honoured & WITHOUT_EFFECT


@pytest.mark.parametrize("kind", SCHEMAS)
def test_unknown_field_is_reported_wherever_it_stands(kind: str) -> None:
    """Put a field nobody knows into each mapping of a full object: its very path is reported."""
    spec = SPECS[kind][0]
    places = {path[:-1] for path in leaves(spec)}
    places |= {path[:depth] for path in places for depth in range(len(path))}
    tried = 0
    for place in sorted(places, key=str):
        changed = copy.deepcopy(spec)
        inner: Any = changed
        for part in place:
            inner = inner[part]
        if not isinstance(inner, dict) or abstract((*place, "x")).endswith("*"):
            continue
        inner["nobodyKnows"] = 1
        path = "spec" + "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in place)
        reported = translate(world(**{kind: changed}), SETTINGS).unsupported
        found = [item for item in reported if item.ref.kind == kind]
        expected = f"{path}.nobodyKnows"
        if re.search(
            r"\.(labels|selector|sourceLabels|add|set|headers|\w+Headers|\w+Params)$", path
        ):
            # a map of names: the name is fine, its value is not
            assert [item.path for item in found][:1] == [expected], expected
        else:
            assert expected in [item.path for item in found]
        tried += 1
    assert tried >= 3


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@given(st.data())
def test_no_shape_of_an_object_breaks_the_translator(data: st.DataObject) -> None:
    """Replace any part of a full object by anything: the translator answers, and reports it."""
    kind = data.draw(st.sampled_from(sorted(SCHEMAS)))
    spec = copy.deepcopy(data.draw(st.sampled_from(SPECS[kind])))
    path = data.draw(st.sampled_from(list(leaves(spec))))
    depth = data.draw(st.integers(1, len(path)))
    place: Any = spec
    for part in path[: depth - 1]:
        place = place[part]
    place[path[depth - 1]] = data.draw(JUNK)
    json.dumps(resources(world(**{kind: spec})))


def test_wrong_values_are_left_out_and_named() -> None:
    """A number as duration, a percentage of 200, a status as text: each path, value and need."""
    fault = {"delay": {"fixedDelay": 5, "percentage": {"value": 200}}, "abort": {"httpStatus": "x"}}
    spec = {"hosts": ["shop"], "http": [{"route": TO_SHOP, "fault": fault, "timeout": "5"}]}
    reported = translate(world(VirtualService=spec), SETTINGS).unsupported
    assert [(item.path, item.reason) for item in reported] == [
        (
            "spec.http[0].fault.abort.httpStatus",
            "'x' is not honoured; accepted: a whole number from 0 to 4294967295",
        ),
        (
            "spec.http[0].fault.delay.fixedDelay",
            "5 is not honoured; accepted: a duration such as 5s or 250ms",
        ),
        (
            "spec.http[0].fault.delay.percentage.value",
            "200 is not honoured; accepted: a number from 0 to 100",
        ),
        (
            "spec.http[0].timeout",
            "'5' is not honoured; accepted: a duration such as 5s or 250ms",
        ),
    ]


def test_prune_keeps_positions_and_drops_nulls() -> None:
    """A bad item of a list leaves a gap, so that the positions in later reports are right."""
    schema: Schema = {"http": [{"name": STRING}]}
    kept, problems = prune({"http": [1, {"name": "b", "x": None}, {"y": 2}]}, schema, "spec")
    assert kept == {"http": [None, {"name": "b"}, {}]}
    assert [problem.path for problem in problems] == ["spec.http[0]", "spec.http[2].y"]


def test_objects_of_kinds_that_are_not_honoured_are_reported_whole() -> None:
    """A ServiceEntry and an AuthorizationPolicy: one report each, for the whole spec."""
    others = tuple(
        {"kind": kind, "metadata": {"name": "x", "namespace": "ecommerce"}, "spec": {"a": 1}}
        for kind in ("ServiceEntry", "AuthorizationPolicy")
    )
    reported = translate(replace(world(), others=others), SETTINGS).unsupported
    assert [(item.ref.kind, item.path) for item in reported] == [
        ("AuthorizationPolicy", "spec"),
        ("ServiceEntry", "spec"),
    ]
