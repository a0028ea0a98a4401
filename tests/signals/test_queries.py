"""The dialect's queries: escaping, whose pods are whose, and what they say in full."""

from __future__ import annotations

import re
from dataclasses import fields

import pytest
from conftest import Golden

from runner.model.fault import FAULT_KINDS, FLAGGED_KINDS
from runner.signals.queries import (
    ISTIO,
    Chart,
    escaped,
    filled,
    literal,
    pods_of,
    seconds,
    with_matchers,
)


def test_values_are_escaped_twice_where_they_are_patterns() -> None:
    """Once for the regular expression, once for the string around it."""
    assert escaped('a"b\\c\nd') == 'a\\"b\\\\c\\nd'
    assert literal("a.b|c") == r"a\.b\|c"
    assert filled('up{pod=~"$pods"}', pods=literal("v1.2")) == 'up{pod=~"v1\\\\.2"}'


def test_hostile_value_stays_inside_of_its_quotes() -> None:
    """A service name cannot end the string and add a matcher."""
    query = filled('m{service="$service"}', service='x"} or vector(1) #')
    assert query == 'm{service="x\\"} or vector(1) #"}'


def test_name_without_a_value_is_refused() -> None:
    with pytest.raises(KeyError, match="window"):
        filled("rate(m[$window])")


@pytest.mark.parametrize(
    ("pod", "mine"),
    [
        ("order-7d9f8b6c5-bcdfg", True),  # Deployment
        ("order-0", True),  # StatefulSet
        ("order-x2k9z", True),  # DaemonSet
        ("order-api-7d9f8b6c5-bcdfg", False),
        ("order-api-0", False),
        ("order", False),
        ("reorder-0", False),
    ],
)
def test_pods_of_a_workload_are_its_own(pod: str, mine: bool) -> None:
    """A workload whose name begins with another's is not it."""
    assert bool(re.fullmatch(pods_of(ISTIO, ["order"]), pod)) is mine


def test_pods_of_several_workloads() -> None:
    pattern = pods_of(ISTIO, ["order-v2", "order-v1"])
    assert re.fullmatch(pattern, "order-v1-7d9f8b6c5-bcdfg")
    assert re.fullmatch(pattern, "order-v2-0")
    assert not re.fullmatch(pattern, "order-v3-0")


def test_matchers_are_added() -> None:
    assert with_matchers('m{a="1"}', {"job": 'x"y'}) == 'm{a="1",job="x\\"y"}'


def test_durations_keep_milliseconds() -> None:
    assert [seconds(value) for value in (5.0, 0.5, 0.0001)] == ["5000ms", "500ms", "1ms"]


def test_mesh_figures_are_read_at_the_source() -> None:
    """Every selector of a mesh metric names its reporter: without it, requests count twice."""
    templates = [getattr(ISTIO, one.name) for one in fields(ISTIO)]
    charts = [chart.template for chart in (*ISTIO.charts, *ISTIO.service_charts)]
    for text in (*templates, *charts):
        if isinstance(text, str):
            selectors = re.findall(r"istio_\w+\{([^}]*)\}", text)
            assert all('reporter="source"' in selector for selector in selectors), text


def test_every_fault_on_requests_has_a_flag() -> None:
    """What a proxy flags has flags, during the fault and after it; nothing else is asked about."""
    flagged = {*FLAGGED_KINDS, "network-deny"}
    assert set(ISTIO.fault_flags) == set(ISTIO.late_flags) == flagged
    assert flagged <= set(FAULT_KINDS)


def test_only_a_fault_in_front_of_pods_is_read_at_the_callee() -> None:
    """Every other flag is the caller's: his proxy knows of it, and no other counts it again."""
    reporters = {
        place: re.findall('reporter="(.*?)"', text) for place, text in ISTIO.flagged.items()
    }
    assert reporters == {
        "client": ["source"],
        "server": ["destination"],
        "ingress": ["source"],
        "egress": ["source"],
    }


@pytest.mark.parametrize(
    ("flags", "wanted", "found"),
    [("FI", "FI", True), ("DI,FI", "FI", True), ("UF,URX", "UF|UC", True), ("UFX", "UF", False)],
)
def test_one_of_several_flags_is_enough(flags: str, wanted: str, found: bool) -> None:
    """Flags are combined; a longer flag that contains another one is not it."""
    (pattern,) = re.findall('response_flags=~"(.*?)"', ISTIO.flagged["client"])
    assert bool(re.fullmatch(pattern.replace("$flag", wanted), flags)) is found


def test_queries_in_full(golden: Golden) -> None:
    """Looked at by a person; each also runs against the real Prometheus in another test."""
    values = {
        "namespace": "ecommerce",
        "pods": pods_of(ISTIO, ["order-api"]),
        "workloads": "order-api",
        "window": "5s",
        "service": "payment-api",
        "flag": "FI",
    }

    def full(text: str) -> str:
        return filled(text, **values)

    charts: list[Chart] = [*ISTIO.charts, *ISTIO.service_charts]
    golden(
        "signals/istio-queries.json",
        {
            "counters": {
                name: full(getattr(ISTIO, name))
                for name in ("requests", "buckets", "durations", "cpu")
            },
            "flagged": {place: full(text) for place, text in ISTIO.flagged.items()},
            "saturation": {name: full(getattr(ISTIO, name)) for name in ("cpu_capacity", "memory")},
            "charts": {chart.sli: full(chart.template) for chart in charts},
        },
    )
