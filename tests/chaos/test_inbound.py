"""Faults in front of pods: which pods, what is written, that it is all taken away again."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from chaos_fakes import FakeCluster
from chaos_objects import NAMESPACE, pod, service
from chaoslib.exceptions import ActivityFailed

from runner.chaos import actions, envoyfilter, probes
from runner.chaos.activities.shared import standing_in
from runner.chaos.annotation import Tag, read_tags
from runner.chaos.labelled import label_of
from runner.chaos.objects import ENVOY_FILTERS, PODS, SERVICES
from runner.errors import FaultError

Object = dict[str, Any]

KEY = "seatrial-run-1-01-x"
SUBJECT = f"envoyfilter/{KEY}"
LABEL = label_of(KEY)
NAMED: Object = {"namespace": NAMESPACE, "run": "Run-1", "fault": "01-x"}
KINDS = ["envoyfilters", "pods"]


def meshed(name: str, **more: Any) -> Object:
    """A pod with Istio's proxy."""
    made = pod(name, **more)
    made["spec"]["containers"].append({"name": "istio-proxy", "image": "proxy"})
    return made


@pytest.fixture
def cluster() -> Iterator[FakeCluster]:
    """Three ready pods of order-api with proxies, one that is not ready, and the Service."""
    pods = [meshed(f"order-api-{letter}") for letter in "abc"]
    made = FakeCluster().put(*pods, meshed("order-api-d", ready=False), kind=PODS)
    with standing_in(made.put(service(), kind=SERVICES)):
        yield made


def done(path: Path) -> list[tuple[str, str]]:
    return [(e["what"], e["subject"]) for e in map(json.loads, path.read_text().splitlines())]


def test_all_pods_are_selected_by_the_services_own_labels(
    cluster: FakeCluster, tmp_path: Path
) -> None:
    """Goal: also pods that start meanwhile. Method: the EnvoyFilter in full; no pod is touched;
    undone, nothing is left; the effects name each pod."""
    before = {name: cluster.spec(name, PODS) for name in cluster.objects["pods"]}
    effects = str(tmp_path / "effects")
    result = actions.abort_inbound_requests(
        service="order-api", status=503, percent=12.5, headers={"X-A": {"prefix": "b"}},
        effects=effects, **NAMED,
    )  # fmt: skip
    assert result == [SUBJECT, "pod/order-api-a", "pod/order-api-b", "pod/order-api-c"]
    body = cluster.spec(KEY, ENVOY_FILTERS)
    (patch,) = body["spec"].pop("configPatches")
    assert body["spec"] == {"workloadSelector": {"labels": {"app": "order-api"}}}
    assert body["apiVersion"] == "networking.istio.io/v1alpha3"
    assert patch == {
        "applyTo": "HTTP_FILTER",
        "match": {
            "context": "SIDECAR_INBOUND",
            "listener": {
                "filterChain": {
                    "filter": {
                        "name": "envoy.filters.network.http_connection_manager",
                        "subFilter": {"name": "envoy.filters.http.router"},
                    }
                }
            },
        },
        "patch": {
            "operation": "INSERT_BEFORE",
            "value": {
                "name": KEY,
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault",
                    "abort": {
                        "http_status": 503,
                        "percentage": {"numerator": 125_000, "denominator": "MILLION"},
                    },
                    "headers": [{"name": "x-a", "string_match": {"prefix": "b"}}],
                },
            },
        },
    }
    assert probes.inbound_fault_is_in_place(effects=effects, **NAMED)
    assert actions.remove_fault(kinds=KINDS, effects=effects, **NAMED) == [SUBJECT]
    assert probes.fault_is_gone(effects=effects, **NAMED)
    assert {name: cluster.spec(name, PODS) for name in before} == before
    assert cluster.objects["envoyfilters"] == {}
    whats = [("injected", SUBJECT), ("verified", SUBJECT), ("removed", SUBJECT)]
    assert done(tmp_path / "effects") == [*whats, ("gone", f"fault/{KEY}")]
    lines = (tmp_path / "effects").read_text().splitlines()
    in_front = "in front of pod/order-api-a, pod/order-api-b, pod/order-api-c"
    assert [json.loads(line)["detail"] for line in lines[:2]] == [in_front, in_front]


def test_chosen_pods_are_labelled_first_and_freed_last(
    cluster: FakeCluster, tmp_path: Path
) -> None:
    """Goal: only the chosen pods, by a repeatable draw. Method: two of three; the order of the
    requests, the labels, the record; and every pod is as before at the end."""
    before = {name: cluster.spec(name, PODS) for name in cluster.objects["pods"]}
    delay: Object = {"service": "order-api", "delay_s": 0.25, "count": 2, "seed": 4}
    result = actions.delay_inbound_requests(effects=str(tmp_path / "effects"), **delay, **NAMED)
    assert result == [SUBJECT, "pod/order-api-a", "pod/order-api-b"]
    wrote = [call for call in cluster.calls if call.split()[0] in ("replace", "create")]
    assert wrote == ["replace pods", "replace pods", "create envoyfilters"]
    body = cluster.spec(KEY, ENVOY_FILTERS)
    assert body["spec"]["workloadSelector"] == {"labels": {LABEL: "true"}}
    fault = body["spec"]["configPatches"][0]["patch"]["value"]["typed_config"]
    assert fault["delay"]["fixed_delay"] == "0.25s"
    assert fault["delay"]["percentage"] == {"numerator": 1_000_000, "denominator": "MILLION"}
    marked = [pod for pod in before if LABEL in cluster.spec(pod, PODS)["metadata"]["labels"]]
    assert marked == ["order-api-a", "order-api-b"]
    assert read_tags(cluster.spec("order-api-a", PODS))[KEY].run == "Run-1"
    cluster.calls.clear()
    freed = actions.remove_fault(kinds=KINDS, **NAMED)
    assert freed == [SUBJECT, "pod/order-api-a", "pod/order-api-b"]
    wrote = [call for call in cluster.calls if call.split()[0] in ("replace", "delete")]
    assert wrote == ["delete envoyfilters", "replace pods", "replace pods"]
    assert cluster.calls[:2] == ["items envoyfilters", "delete envoyfilters"]
    assert {name: cluster.spec(name, PODS) for name in before} == before
    assert done(tmp_path / "effects") == [
        ("injected", "pod/order-api-a"),
        ("injected", "pod/order-api-b"),
        ("injected", SUBJECT),
    ]


def test_draw_is_repeatable_and_only_of_ready_pods_with_a_proxy() -> None:
    """Goal: a recorded choice. Method: every seed, twice; an unready one and a bare one never."""
    pods = [*map(meshed, "abcd"), meshed("unready", ready=False), pod("bare")]
    drawn = [
        [p["metadata"]["name"] for p in envoyfilter.choose(pods, 2, seed, "s")]
        for seed in [*range(30), *range(30)]
    ]
    assert drawn[:30] == drawn[30:]
    assert {name for names in drawn for name in names} == set("abcd")
    assert all(len(set(names)) == 2 and names == sorted(names) for names in drawn)


@pytest.mark.parametrize(
    ("count", "expected"),
    [(None, 4), ("all", 4), (4, 4), ("50%", 2), ("1%", 1), ("74%", 2), ("one", 1)],
)
def test_counts(count: int | str | None, expected: int) -> None:
    """Goal: shares are rounded down, to one at least. Method: of four pods."""
    assert len(envoyfilter.choose(map(meshed, "abcd"), count, 0, "s")) == expected


@pytest.mark.parametrize("count", [0, 5, -1, "0%", "some"])
def test_counts_that_cannot_be_met_are_refused(count: int | str) -> None:
    """Goal: never fewer than asked. Method: none, more than there are, and no number."""
    with pytest.raises(FaultError):
        envoyfilter.choose(map(meshed, "abcd"), count, 0, "s")


def test_pods_without_proxies_and_services_without_pods_are_refused(cluster: FakeCluster) -> None:
    """Goal: no fault that nobody carries out, said in the gate and at injection. Method: pods
    without sidecars, none that is ready, no selector, no Service, no EnvoyFilters at all."""
    look: Object = {"namespace": NAMESPACE, "service": "order-api"}
    assert probes.pods_have_proxies(count=3, **look)
    with pytest.raises(ActivityFailed, match="3 ready pods with Istio's proxy, not 4"):
        probes.pods_have_proxies(count=4, **look)
    cases: list[tuple[list[Object], str]] = [
        ([pod("order-api-a")], "none of its ready pods has Istio's proxy"),
        ([meshed("order-api-a", ready=False)], "it has no ready pod"),
        ([], "it has no ready pod"),
    ]
    for pods, message in cases:
        cluster.objects["pods"] = {}
        cluster.put(*pods, kind=PODS)
        with pytest.raises(ActivityFailed, match=message):
            probes.pods_have_proxies(**look)
        with pytest.raises(ActivityFailed, match=message):
            actions.abort_inbound_requests(service="order-api", status=503, **NAMED)
    bare = service("bare")
    del bare["spec"]["selector"]
    cluster.put(bare, kind=SERVICES)
    for name, message in (("bare", "no selector"), ("nobody", "no service/nobody in ecommerce")):
        with pytest.raises(ActivityFailed, match=message):
            actions.abort_inbound_requests(service=name, status=503, **NAMED)
    cluster.refuse = {"items envoyfilters": [404]}
    with pytest.raises(ActivityFailed, match="HTTP 404"):
        probes.pods_have_proxies(**look)
    assert cluster.objects.get("envoyfilters", {}) == {}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"percent": 0}, "cannot be measured"),
        ({"percent": 0.00001}, "one of a million"),
        ({"status": 600}, "not an HTTP status"),
        ({"headers": {"method": "GET"}}, "no request header"),
        ({"expires_at_wall_s": 5.0}, "would expire before it begins"),
    ],
)
def test_what_measures_nothing_is_refused_before_anything_is_touched(
    cluster: FakeCluster, wrong: Object, message: str
) -> None:
    """Goal: no fault of nothing. Method: each argument out of its range; no request was made."""
    arguments: Object = {"service": "order-api", "status": 503} | NAMED | wrong
    with pytest.raises(ActivityFailed, match=message):
        actions.abort_inbound_requests(**arguments)
    assert cluster.calls == []


def test_too_short_a_delay_is_refused() -> None:
    """Goal: the smallest time that is written. Method: just below it, it, and NaN."""
    assert envoyfilter.delay_config(0.001, 1)["delay"]["fixed_delay"] == "0.001s"
    assert envoyfilter.delay_config(5, 1)["delay"]["fixed_delay"] == "5s"
    for delay_s in (0.0009, float("nan")):
        with pytest.raises(FaultError, match="too short"):
            envoyfilter.delay_config(delay_s, 1)


def test_pod_that_changes_hands_meanwhile_is_not_labelled(cluster: FakeCluster) -> None:
    """Goal: only what was chosen. Method: a rival replaces the pod before our write; and deletes
    it. What was labelled before is found by the undo."""

    def replaced(there: FakeCluster) -> None:
        there.put(meshed("order-api-b", uid="another"), kind=PODS)

    two: Object = {"service": "order-api", "status": 503, "count": 2, "seed": 4} | NAMED
    calls = []

    def second(there: FakeCluster) -> None:
        calls.append(1)
        if len(calls) == 2:
            replaced(there)

    cluster.meanwhile = second
    with pytest.raises(ActivityFailed, match="pod/order-api-b was replaced before"):
        actions.abort_inbound_requests(**two)
    cluster.meanwhile = None
    assert cluster.objects.get("envoyfilters", {}) == {}
    assert actions.remove_fault(kinds=KINDS, **NAMED) == ["pod/order-api-a"]

    def deleted(there: FakeCluster) -> None:
        there.objects["pods"].pop("order-api-a", None)

    cluster.meanwhile = deleted
    with pytest.raises(ActivityFailed, match="was deleted before"):
        actions.abort_inbound_requests(**two)


def test_what_cannot_be_removed_keeps_nothing_else_from_going(cluster: FakeCluster) -> None:
    """Goal: as much as possible is made whole. Method: one of two pods is refused for good."""
    actions.abort_inbound_requests(service="order-api", status=503, count=2, seed=4, **NAMED)
    cluster.refuse = {"replace pods": [403]}
    with pytest.raises(ActivityFailed, match=r"not removed from pod/order-api-a: .*HTTP 403"):
        actions.remove_fault(kinds=KINDS, **NAMED)
    assert cluster.objects["envoyfilters"] == {}
    assert LABEL in cluster.spec("order-api-a", PODS)["metadata"]["labels"]
    assert LABEL not in cluster.spec("order-api-b", PODS)["metadata"]["labels"]


def test_lost_answers_and_rivals_of_the_filter(cluster: FakeCluster) -> None:
    """Goal: once is enough. Method: POST again after a lost answer; again with other content."""
    abort: Object = {"service": "order-api", "status": 503} | NAMED
    cluster.refuse = {"create": [0, 500]}
    actions.abort_inbound_requests(**abort)
    assert cluster.calls.count("create envoyfilters") == 3
    assert actions.abort_inbound_requests(**abort)[0] == SUBJECT
    with pytest.raises(ActivityFailed, match="is there already, and is something else"):
        actions.abort_inbound_requests(**(abort | {"status": 500}))


def test_filter_that_is_taken_away_or_changed_is_noticed(cluster: FakeCluster) -> None:
    """Goal: a fault that vanished is no proof. Method: the hold after each kind of interference,
    after an expiry before its end, and at a time that has passed."""
    hold = NAMED | {"until_wall_s": time.time() + 60}
    abort: Object = {"service": "order-api", "status": 503} | NAMED
    with pytest.raises(ActivityFailed, match=rf"{SUBJECT} is not there"):
        probes.inbound_fault_holds(**hold)
    actions.abort_inbound_requests(expires_at_wall_s=time.time() + 30, **abort)
    with pytest.raises(ActivityFailed, match=r"expires at .* before its end"):
        probes.inbound_fault_holds(**hold)
    assert probes.inbound_fault_holds(**NAMED, until_wall_s=0.0)
    body = cluster.spec(KEY, ENVOY_FILTERS)
    cluster.put({**body, "spec": {**body["spec"], "configPatches": []}}, kind=ENVOY_FILTERS)
    with pytest.raises(ActivityFailed, match="was changed, and is no fault"):
        probes.inbound_fault_holds(**hold)
    cluster.put({**body, "metadata": {**body["metadata"], "annotations": {}}}, kind=ENVOY_FILTERS)
    with pytest.raises(ActivityFailed, match="does not carry"):
        probes.inbound_fault_holds(**hold)
    cluster.put(body, kind=ENVOY_FILTERS)
    cluster.objects["pods"] = {}
    with pytest.raises(ActivityFailed, match="stands in front of no ready pod"):
        probes.inbound_fault_is_in_place(**NAMED)


def test_a_fault_whose_chosen_pods_are_all_replaced_ends_the_hold(cluster: FakeCluster) -> None:
    """Goal: a fault in front of nobody is no proof. Method: two chosen pods, which go one by one;
    others of the Service stay."""
    made = actions.abort_inbound_requests(service="order-api", status=503, count=2, **NAMED)
    first, second = (one.removeprefix("pod/") for one in made[1:])
    soon: Object = NAMED | {"until_wall_s": time.time() + 0.05}
    del cluster.objects["pods"][first]
    assert probes.inbound_fault_holds(**soon)
    del cluster.objects["pods"][second]
    with pytest.raises(ActivityFailed, match=rf"{SUBJECT} stands in front of nobody"):
        probes.inbound_fault_holds(**NAMED, until_wall_s=time.time() + 60)


def test_names_by_default_are_those_of_by_hand(cluster: FakeCluster) -> None:
    """Goal: usable without any bookkeeping. Method: no run, no fault, and the undo by its name."""
    only: Object = {"service": "order-api", "namespace": NAMESPACE}
    made = actions.delay_inbound_requests(delay_s=1, **only)
    assert made[0] == "envoyfilter/seatrial-by-hand-http-delay-order-api"
    assert actions.remove_fault(namespace=NAMESPACE, fault="http-delay-order-api") == made[:1]


def test_labels_of_a_fault_are_read_from_its_object() -> None:
    """Goal: what is verified is what is there. Method: made and read back."""
    fault = Tag("r", "f", "o", "2030-01-01T00:00:00Z")
    body = envoyfilter.make("n", fault, envoyfilter.abort_config(500, 1), {}, {"a": "b"})
    assert envoyfilter.labels_of(body) == {"a": "b"}
    assert body["spec"]["configPatches"][0]["patch"]["value"]["typed_config"].keys() == {
        "@type",
        "abort",
    }
