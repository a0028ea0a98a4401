"""What doctor and preflight find: pods, mesh objects, metrics, clocks, the way in."""

from __future__ import annotations

from typing import Any

import pytest
from worlds import HOST, NAMESPACE, SERVICES, destination_rule, pod, virtual_service, world

from runner.model.recording import TargetInfo
from runner.targets.health import clock_symptoms, ejectable, health_symptoms
from runner.targets.inspection import Objects
from runner.targets.istio import istio_symptoms, load_balancers, policies, routes_to
from runner.targets.preflight import target_symptoms
from runner.targets.sighting import Answered, Seen, data_symptom, ingress_symptoms
from runner.targets.symptom import Symptom, refusals, remarks
from runner.targets.workloads import has_sidecar, ready_of

ENVOY = {"server": "istio-envoy"}


def of(symptoms: tuple[Symptom, ...], part: str) -> tuple[str, str]:
    """State and finding of the only symptom of a part."""
    (found,) = [one for one in symptoms if one.part == part]
    return found.state, found.found


# -- pods and endpoints ----------------------------------------------------------------------------


def test_a_healthy_namespace_is_well_in_every_part() -> None:
    """Goal: nothing to say where nothing is wrong. Method: all parts of a healthy target."""
    ages = {(s, r): 1.4 for s in SERVICES for r in ("source", "destination")}
    answers = (Answered("/api/v1/orders", 200, ENVOY), Answered("/api/v1/orders/health", 200))
    seen = Seen(host=HOST, answers=answers, data_age_s=ages, prometheus_skew_s=0.1)
    objects = Objects(kinds=world().kinds, errors={}, api_skew_s=-0.3)
    info = TargetInfo(
        kind="sandbox",
        name="default",
        namespace=NAMESPACE,
        ingress_url="http://127.0.0.1:1/",
        host=HOST,
        prometheus_url="",
    )
    found = target_symptoms(objects, seen, info)
    assert [(one.part, one.state, one.found) for one in found] == [
        ("ingress", "ok", f"HTTP 200 at http://127.0.0.1:1/api/v1/orders (Host: {HOST})"),
        ("health paths", "ok", "well: /api/v1/orders/health"),
        ("load's way", "ok", "through an Envoy"),
        ("mesh metrics", "ok", "newest sample 1 s old or less, from both reporters"),
        ("clocks", "ok", "Prometheus' and the API server's agree with ours within 2 s"),
        ("pods", "ok", "4 of 4 ready (2/2)"),
        ("sidecars", "ok", "in all 4 pods behind Services"),
        ("endpoints", "ok", "each of 2 Services has ready ones"),
        (
            "Istio objects",
            "ok",
            "2 VirtualServices, 2 DestinationRules, 1 Gateway; they fit each other",
        ),
        ("access policies", "ok", "none in the way"),
    ]
    assert (refusals(found), remarks(found)) == ([], [])


def test_a_pod_that_is_not_ready_shows_its_containers() -> None:
    """Goal: ``1/2`` as kubectl shows it; ended pods are nobody's trouble. Method: one of each."""
    half = pod("order-api", "a", ready=False)
    half["status"]["containerStatuses"][0]["ready"] = True
    done = pod("order-api", "job", ready=False)
    done["status"]["phase"] = "Succeeded"
    found = health_symptoms(world(pods=[half, pod("order-api", "b"), done]), NAMESPACE)
    assert of(found, "pods") == ("warn", "1 of 2 ready; not: order-api-a 1/2")


def test_no_pod_at_all_is_missing() -> None:
    found = health_symptoms(world(pods=[]), NAMESPACE)
    assert of(found, "pods") == ("missing", "there is no pod in the namespace shop")


def test_a_sidecar_may_be_an_init_container_that_stays() -> None:
    """Goal: both ways of Istio. Method: restartPolicy Always, and an init container that ends."""
    newer = pod("order-api", "a", sidecar=False)
    newer["spec"]["initContainers"] = [{"name": "istio-proxy", "restartPolicy": "Always"}]
    newer["status"]["initContainerStatuses"] = [{"name": "istio-proxy", "ready": True}]
    assert (has_sidecar(newer), ready_of(newer)) == (True, "2/2")
    ending = pod("order-api", "a", sidecar=False)
    ending["spec"]["initContainers"] = [{"name": "istio-init"}, {"name": "istio-proxy"}]
    assert (has_sidecar(ending), ready_of(ending)) == (False, "1/1")
    pods = [newer, pod("payment-api", "a", sidecar=False)]
    found = health_symptoms(world(pods=pods), NAMESPACE)
    assert of(found, "sidecars") == ("warn", "without istio-proxy: payment-api-a")


def test_a_service_without_endpoints_is_named_and_one_without_selector_is_not() -> None:
    services = [*world().of("services"), {"metadata": {"name": "outside"}, "spec": {}}]
    endpoints = [{"metadata": {"name": "order-api"}, "subsets": [{"addresses": [{"ip": "1"}]}]}]
    found = health_symptoms(world(services=services, endpoints=endpoints), NAMESPACE)
    assert of(found, "endpoints") == ("warn", "no ready endpoint: payment-api")


@pytest.mark.parametrize(
    ("detection", "pods", "most"),
    [
        (None, 4, None),
        ({"interval": "10s"}, 9, 0),
        ({"interval": "10s"}, 10, 1),
        ({"maxEjectionPercent": 50}, 3, 1),
        ({"maxEjectionPercent": 0}, 4, 0),
        ({"maxEjectionPercent": 100}, 4, 4),
        ({"maxEjectionPercent": 33}, 3, 0),
    ],
)
def test_how_many_pods_a_breaker_may_eject(detection: Any, pods: int, most: int | None) -> None:
    """Goal: Envoy's strict count: a hundredth of all pods times the percentage, rounded down."""
    objects = world(
        pods=[pod("order-api", str(n)) for n in range(pods)],
        destinationrules=[destination_rule("order-api", detection)],
    )
    assert ejectable("order-api", objects, NAMESPACE)[0] == most


# -- the mesh's objects ----------------------------------------------------------------------------


def to(host: str, subset: str | None = None) -> dict[str, Any]:
    destination = {"host": host} | ({"subset": subset} if subset else {})
    return {"route": [{"destination": destination}]}


def ordered(**spec: Any) -> dict[str, Any]:
    return virtual_service("order-api", **spec)


def subset_of_v2() -> dict[str, Any]:
    rule = destination_rule("order-api", None)
    rule["spec"]["subsets"] = [{"name": "v2", "labels": {"version": "v2"}}]
    return rule


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (
            {"virtualservices": [virtual_service("order-api", http=[to("ordr-api")])]},
            "virtualservice/order-api leads to ordr-api, which is no Service; did you mean "
            "order-api?",
        ),
        (
            {"virtualservices": [virtual_service("order-api", http=[to("order-api", "v2")])]},
            "virtualservice/order-api leads to the subset v2 of order-api, which no "
            "DestinationRule has",
        ),
        (
            {"virtualservices": [virtual_service("order-api", gateways=["egde", "mesh"])]},
            "virtualservice/order-api names the gateway egde, which is not there; did you mean "
            "edge?",
        ),
        (
            {"virtualservices": [virtual_service("order-api", hosts=["typo.example"])]},
            "virtualservice/order-api is for typo.example, which is no Service and in none of its "
            "gateways",
        ),
        (
            {"destinationrules": [destination_rule("orders-api", None)]},
            "destinationrule/orders-api is about orders-api, which is no Service; did you mean "
            "order-api?",
        ),
        (
            {"destinationrules": [subset_of_v2()]},
            "the subset v2 of destinationrule/order-api selects no pod (version=v2)",
        ),
        ({"gatewayproxies": []}, "the selector of gateway/edge (istio=gw) picks no pod"),
    ],
)
def test_what_does_not_fit_is_said(changed: dict[str, list[Any]], said: str) -> None:
    """Goal: each kind of misfit, and nothing else. Method: one thing of a healthy mesh is off."""
    (found,) = istio_symptoms(world(**changed), NAMESPACE)
    assert found.state == "warn"
    assert found.found.split("; ", 1)[1].startswith(said)


@pytest.mark.parametrize(
    "changed",
    [
        {"virtualservices": [ordered(http=[to("payment-api.shop.svc.cluster.local")])]},
        {"virtualservices": [ordered(http=[to("mail.other.svc.cluster.local")])]},
        {"virtualservices": [ordered(gateways=["elsewhere/edge"], hosts=["a.b"])]},
        {
            "virtualservices": [ordered(hosts=["pay.example"], http=[to("pay.example")])],
            "serviceentries": [{"metadata": {"name": "p"}, "spec": {"hosts": ["pay.example"]}}],
        },
    ],
)
def test_what_cannot_be_known_here_is_no_misfit(changed: dict[str, list[Any]]) -> None:
    """Goal: no false alarm. Method: full names, other namespaces, and hosts outside."""
    assert istio_symptoms(world(**changed), NAMESPACE)[0].state == "ok"


def test_gateways_whose_proxies_may_not_be_read_are_no_misfit() -> None:
    unread = Objects(kinds=world().kinds | {"gatewayproxies": []}, errors={"gatewayproxies": "403"})
    assert istio_symptoms(unread, NAMESPACE)[0].state == "ok"


def test_a_namespace_without_routes_is_warned_of() -> None:
    (found,) = istio_symptoms(world(virtualservices=[]), NAMESPACE)
    assert found.state == "warn"
    assert found.found == "0 VirtualServices, 2 DestinationRules, 1 Gateway"


def test_a_load_balancer_needs_an_address() -> None:
    """Goal: nobody waits for a cloud. Method: one with a name, one with none, and a pod."""

    def balancer(name: str, *ingress: dict[str, str]) -> dict[str, Any]:
        status = {"loadBalancer": {"ingress": list(ingress)}}
        return {"metadata": {"name": name}, "spec": {"type": "LoadBalancer"}, "status": status}

    assert load_balancers(world()) == ()
    there = balancer("edge", {"hostname": "lb.example"}, {"ip": "192.0.2.1"})
    (found,) = load_balancers(world(gatewayproxies=[there]))
    assert (found.state, found.found) == ("ok", "edge at lb.example, 192.0.2.1")
    (found,) = load_balancers(world(gatewayproxies=[there, balancer("late")]))
    assert (found.state, found.found) == ("warn", "without an address: late")


def test_policies_in_the_way_are_told() -> None:
    """Goal: 403 is explained beforehand. Method: one policy of each kind and action."""

    def named(name: str, **spec: Any) -> dict[str, Any]:
        return {"metadata": {"name": name}, "spec": spec}

    found = policies(
        world(
            authorizationpolicies=[
                named("nobody"),
                named("all", rules=[{}]),
                named("some", rules=[{"from": []}], action="DENY"),
                named("watch", action="AUDIT"),
            ],
            requestauthentications=[named("tokens")],
            peerauthentications=[named("strict", mtls={"mode": "STRICT"})],
        )
    )
    assert found.state == "warn"
    assert found.found == (
        "authorizationpolicy/nobody lets through only nothing; authorizationpolicy/some refuses "
        "what its rules say; requestauthentication/tokens refuses requests with a token that is "
        "not valid; peerauthentication/strict (STRICT) refuses callers outside of the mesh"
    )
    mutual = policies(world(peerauthentications=[named("strict", mtls={"mode": "STRICT"})]))
    assert mutual.state == "ok"
    forbidden = Objects(kinds=world().kinds, errors={"authorizationpolicies": "HTTP 403"})
    assert policies(forbidden).found == "not known: authorizationpolicies cannot be read"


# -- clocks, metrics, the ingress ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("skew_s", "state"),
    [(2.0, "ok"), (-2.1, "warn"), (30.0, "warn"), (30.1, "missing"), (-99.0, "missing")],
)
def test_clocks_apart_are_told_and_far_apart_refused(skew_s: float, state: str) -> None:
    (found,) = clock_symptoms([("Prometheus", 0.0), ("the API server", skew_s)])
    assert found.state == state
    if state != "ok":
        way = "ahead of" if skew_s > 0 else "behind"
        assert found.found == f"the API server's clock is {abs(skew_s):.1f} s {way} ours"


def test_clocks_that_nobody_told_are_a_warning() -> None:
    (found,) = clock_symptoms([("Prometheus", None), ("the API server", None)])
    assert (found.state, found.found) == ("warn", "nobody told the time")


def ages(source: float | None = 1.0, destination: float | None = 2.0) -> Seen:
    known = {"source": source, "destination": destination}
    return Seen(data_age_s={("order-api", r): s for r, s in known.items() if s is not None})


@pytest.mark.parametrize(
    ("seen", "called", "state", "said"),
    [
        (ages(), True, "ok", "newest sample 2 s old or less, from both reporters"),
        (ages(source=299.0), True, "warn", "the newest sample about order-api is 299"),
        (ages(destination=None), True, "warn", "no sample about order-api has reporter"),
        (
            Seen(data_age_s={("order-api", r): 200.0 for r in ("source", "destination")}),
            False,
            "warn",
            "the newest sample about order-api is 200 s old",
        ),
        (Seen(), True, "warn", "nobody has called a service yet"),
        (Seen(), False, "ok", "nobody has called a service yet"),
        (Seen(data_problem="Prometheus gave no answer"), False, "missing", "Prometheus gave no"),
    ],
)
def test_metrics_are_fresh_and_from_both_sides(
    seen: Seen, called: bool, state: str, said: str
) -> None:
    found = data_symptom(seen, ["order-api"], called=called)
    assert found.state == state
    assert found.found.startswith(said)


def test_a_service_that_nobody_called_is_named() -> None:
    found = data_symptom(ages(), ["order-api", "saga"], called=True)
    assert found.state == "warn"
    assert found.found.endswith("from both reporters; nobody has called yet: saga")


def test_the_way_in_is_judged_by_its_answers() -> None:
    """Goal: 404, 5xx, silence, and a way without Envoy. Method: one answer of each kind."""

    def judged(*answers: Answered) -> list[tuple[str, str, str]]:
        found = ingress_symptoms(Seen(host=HOST, answers=answers), "http://x", [HOST])
        return [(one.part, one.state, one.hint) for one in found]

    bare = ("load's way", "warn")
    hint = f"is the Host right? the VirtualServices list: {HOST}"
    assert judged(Answered("/x", 404, ENVOY)) == [
        ("ingress", "warn", hint),
        ("load's way", "ok", ""),
    ]
    assert [one[:2] for one in judged(Answered("/x", 503))] == [("ingress", "warn"), bare]
    silent = judged(Answered("/x", 0, problem="refused"))
    assert silent == [("ingress", "missing", "is the target up?")]
    upstream = Answered("/x", 200, {"X-Envoy-Upstream-Service-Time": "3"})
    assert judged(upstream, Answered("/y/health", 404))[1:] == [("load's way", "ok", "")]
    sick = judged(upstream, Answered("/y/health", 500), Answered("/z/health", 200))
    assert sick[1] == ("health paths", "warn", "")


@pytest.mark.parametrize(
    ("host", "leads"),
    [
        ("pay", True),
        ("pay.shop", True),
        ("pay.shop.svc.cluster.local", True),
        ("pay.bank", False),
        ("pay.bank.svc.cluster.local", False),
        ("payment", False),
    ],
)
def test_a_route_to_a_namesake_elsewhere_is_none_to_the_service(host: str, leads: bool) -> None:
    """Goal: what is told before a run is what its actions find. Method: each way to name one."""
    route = {"route": [{"destination": {"host": host}}]}
    vs = {"metadata": {"name": "x"}, "spec": {"http": [route]}}
    assert routes_to(vs, "pay", "shop") == ([route] if leads else [])
