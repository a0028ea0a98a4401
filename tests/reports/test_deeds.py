"""Every kind of fault in words, as plan, preview and report have them."""

from __future__ import annotations

from typing import Any

import pytest
from fault_deeds import EVERY_KIND
from pydantic import TypeAdapter

from runner.model.fault import Fault
from runner.reports.deeds import deed, deeds

READER: TypeAdapter[Fault] = TypeAdapter(Fault)
TIMES = {"at": "20s", "duration": "20s"}


def fault(**written: Any) -> Fault:
    return READER.validate_python({**TIMES, **written})


WORDS = {
    "pod-kill": "kill 1 pod of order-api every 5s, at once, leaving 1 healthy",
    "http-delay": "delay 60 % of the requests to payment-api by 250\u00a0ms",
    "http-abort": "answer 50 % of the requests to payment-api with HTTP 503 in front of 1 pod; the "
    "breaker must eject a pod",
    "scale": "scale deployment/product-api to 1, and back",
    "rollout-restart": "restart deployment/customer-api pod by pod",
    "cordon": "cordon node/node-a",
    "drain": "drain node/node-b, evicting all pods of the namespace",
    "network-deny": "forbid all traffic to the pods of payment-api",
    "chaostoolkit": "play Chaos Toolkit activities: fill-the-disk",
}


@pytest.mark.parametrize("written", EVERY_KIND, ids=lambda one: one["kind"])
def test_every_kind_has_its_words(written: dict[str, Any]) -> None:
    """Goal: plan and report say the same. Method: a fault of each kind, twice."""
    words = WORDS[written["kind"]]
    verb, _, rest = words.partition(" ")
    assert deed(fault(**written)) == words
    assert deeds(fault(**written)) == f"{verb.capitalize()}s {rest}"


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (
            {"kind": "http-abort", "status": 500, "expects": "no-breaker", "side": "server"},
            "answer all requests to pay with HTTP 500 in front of all pods; the breaker must not "
            "eject a pod",
        ),
        (
            {"kind": "http-delay", "delay": "1s", "headers": {"X-A": "1", "b": {"prefix": "2"}}},
            "delay all requests to pay by 1\u00a0s (only with x-a: 1, b: 2 (prefix))",
        ),
        (
            {"kind": "http-abort", "status": 500, "source": {"app": "order"}, "route": "#2"},
            "answer all requests to pay with HTTP 500 (only from app=order) (only route #2)",
        ),
        (
            {"kind": "pod-kill", "count": "50%", "selector": "a=b", "every": "5s", "jitter": "1s"}
            | {"grace_period": "3s"},
            "kill 50% of the pods with a=b every 5s ± 1s, grace 3s, leaving 1 healthy",
        ),
        (
            {"kind": "drain", "selector": "a=b"},
            "drain a node that holds a pod of pay, evicting pods with a=b",
        ),
        (
            {"kind": "network-deny", "direction": "both"},
            "forbid all traffic to and from the pods of pay",
        ),
    ],
)
def test_what_narrows_a_fault_is_said(more: dict[str, Any], words: str) -> None:
    assert deed(fault(service="pay", **more)) == words
