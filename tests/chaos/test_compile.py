"""Faults as Chaos Toolkit experiments: golden files, the tool's own validation, what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from chaos_plans import planned
from chaoslib.experiment import ensure_experiment_is_valid
from conftest import Golden

from runner.chaos.compile import compile_fault
from runner.errors import FaultError
from runner.model.plan import PlannedFault
from runner.model.recording import TargetInfo

RUN = "2026-11-20T092337Z-ab12"
START_S = 1_800_000_000.5
TARGET = TargetInfo(
    kind="cluster",
    name="staging",
    namespace="ecommerce",
    ingress_url="http://192.0.2.1",
    host="api.c4ang.com",
    prometheus_url="http://192.0.2.2:9090",
    kubeconfig="secret/place/kubeconfig",
    context="staging-eu",
)
FAULTS = {
    "http-abort": planned("http-abort", percent=50),
    "http-delay": planned("http-delay", delay="1500ms", percent=0.1, headers={"x-probe": "1"}),
    "http-abort-scoped": planned(
        "http-abort",
        headers={"X-User": {"regex": "b.*"}},
        source={"app": "order-api"},
        route="#2",
    ),
    "http-abort-inbound": planned("http-abort", side="server", headers={"X-Probe": "1"}),
    "http-delay-inbound-chosen": planned("http-delay", side="server", count="50%", number=7),
    "network-deny": planned("network-deny", direction="both"),
    "pod-kill": planned(
        "pod-kill", "order-api", number=3, count=2, grace_period="5s", duration_s=30.0
    ),
    "pod-kill-again": planned(
        "pod-kill",
        "order-api",
        number=3,
        count="50%",
        every="5m",
        jitter="30s",
        while_recovering=True,
        duration_s=1500.0,
    ),
    "scale": planned("scale", "order-api", number=4, replicas=0),
    "rollout-restart": planned("rollout-restart", "order-api", number=5, duration_s=60.0),
    "cordon": planned("cordon", "order-api", number=6, node="node-b"),
    "drain": planned(
        "drain", "order-api", number=7, selector="app=order-api", grace_period="2s", last_node=True
    ),
    "chaostoolkit": planned(
        "chaostoolkit",
        "order-api",
        number=8,
        method=[
            {
                "type": "action",
                "name": "stop the broker",
                "provider": {"type": "process", "path": "true", "arguments": ["${token}"]},
                "pauses": {"after": 1},
                "background": True,
            }
        ],
        rollbacks=[
            {
                "type": "action",
                "name": "start the broker",
                "provider": {"type": "http", "url": "http://${broker}/start", "method": "POST"},
            }
        ],
        steady_state=[
            {
                "type": "probe",
                "name": "broker answers",
                "tolerance": 200,
                "provider": {"type": "http", "url": "http://${broker}/"},
            }
        ],
        configuration={"broker": {"type": "env", "key": "BROKER", "default": "broker:8161"}},
        secrets={"site": {"token": {"type": "vault", "path": "broker", "key": "token"}}},
    ),
    "pod-kill-by-selector": planned(
        "pod-kill", "order-api", selector="app.kubernetes.io/name=order-service", min_healthy=0
    ),
}


def compiled(fault: PlannedFault) -> dict[str, Any]:
    return compile_fault(fault, TARGET, RUN, START_S)


@pytest.mark.parametrize("name", FAULTS)
def test_experiment_is_what_was_looked_at(name: str, golden: Golden) -> None:
    """Goal: the exchange format is stable. Method: one golden experiment for each kind."""
    golden(f"chaos/{name}.json", compiled(FAULTS[name]))


@pytest.mark.parametrize("name", FAULTS)
def test_chaos_toolkit_accepts_it(name: str) -> None:
    """Goal: an ordinary experiment. Method: the library's validation, which imports each function
    and binds its arguments, on the experiment as it is read from its file."""
    ensure_experiment_is_valid(json.loads(json.dumps(compiled(FAULTS[name]))))


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("http-abort", ["virtualservices"]),
        ("http-delay", ["virtualservices"]),
        ("http-abort-inbound", ["envoyfilters", "pods"]),
        ("http-delay-inbound-chosen", ["envoyfilters", "pods"]),
        ("network-deny", ["networkpolicies"]),
    ],
)
def test_fault_is_always_undone_and_looked_at_again(name: str, kinds: list[str]) -> None:
    """Goal: no fault outlives its experiment. Method: the rollbacks, and that they always play."""
    experiment = compiled(FAULTS[name])
    assert [a["name"] for a in experiment["rollbacks"]] == ["remove-fault", "verify-removal"]
    assert experiment["runtime"]["rollbacks"] == {"strategy": "always"}
    injected = experiment["method"][1]["provider"]["arguments"]
    for undo in experiment["rollbacks"]:
        arguments = undo["provider"]["arguments"]
        named = {key: injected[key] for key in ("namespace", "context", "run", "fault")}
        assert arguments == named | {"kinds": kinds}


def test_times_are_absolute() -> None:
    """Goal: the tool's start-up costs no accuracy. Method: start, end and expiry of a fault."""
    wait, inject, _, hold = compiled(FAULTS["http-abort"])["method"]
    assert wait["provider"]["arguments"] == {"wall_s": START_S}
    assert inject["provider"]["arguments"]["expires_at_wall_s"] == START_S + 5 + 15
    assert hold["provider"]["arguments"]["until_wall_s"] == START_S + 5


def test_no_path_stands_in_the_experiment() -> None:
    """Goal: experiments can be shared. Method: search for the kubeconfig's path."""
    assert all("secret/place" not in json.dumps(compiled(fault)) for fault in FAULTS.values())


def test_fault_on_nothing_is_refused() -> None:
    """Goal: 0 % is no fault. Method: a percentage that only a broken plan can hold."""
    good = FAULTS["http-abort"]
    broken = good.model_copy(update={"fault": good.fault.model_copy(update={"percent": 0.0})})
    with pytest.raises(FaultError, match=r"01-http-abort hits 0 %"):
        compiled(broken)


@pytest.mark.parametrize("side", ["client", "server"])
def test_headers_that_istio_would_ignore_are_refused(side: str) -> None:
    """Goal: no fault for everybody by accident. Method: a name that stands for something else, in
    a plan that no file can make."""
    good = planned("http-abort", side=side)
    fault = good.fault.model_copy(update={"headers": {"method": "GET"}})
    with pytest.raises(FaultError, match="'method' is no request header"):
        compiled(good.model_copy(update={"fault": fault}))


def test_fault_that_expires_before_its_end_is_refused() -> None:
    """Goal: nobody may heal it meanwhile. Method: a bound of the undo that only a broken plan has,
    on either side."""
    for name in ("http-abort", "http-abort-inbound", "network-deny"):
        broken = FAULTS[name].model_copy(update={"undo_by_s": 12.0})
        with pytest.raises(FaultError, match="expires before its end"):
            compiled(broken)
