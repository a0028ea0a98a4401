"""The real Prometheus scraping something that lives: what a made-up history cannot show.

Six seconds of load, scraped each half second. A pod is killed after three and replaced by another,
so that its series end with the marks that only a scrape leaves.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
import requests
from fake_prometheus import send, server
from history import plan_with_abort
from real_prometheus import prometheus
from test_prometheus_history import target_at

from runner.model.recording import ClockAnchor
from runner.signals.prometheus import PrometheusSource

pytestmark = pytest.mark.sandbox

NAMESPACE = 'namespace="ecommerce"'
KILLED_S, END_S = 3.0, 6.0


class LivingPods:
    """Metrics of two pods of payment-api: one stays, one is replaced at ``KILLED_S``."""

    def __init__(self) -> None:
        self.began_s: float | None = None

    def page(self) -> str:
        at_s = 0.0 if self.began_s is None else time.time() - self.began_s
        successor = "payment-api-7d9f8b6c5-zzzzz"
        pods = {
            "payment-api-7d9f8b6c5-bcdfg": 100.0,
            "payment-api-7d9f8b6c5-hjklm" if at_s < KILLED_S else successor: 5.0,
        }
        lines = []
        for pod, cpu_s in pods.items():
            labels = f'{NAMESPACE},pod="{pod}",container="app"'
            lines += [
                f"container_cpu_usage_seconds_total{{{labels}}} {cpu_s}",
                f"container_memory_working_set_bytes{{{labels}}} 32e6",
                f'kube_pod_container_resource_requests{{{labels},resource="cpu"}} 0.05',
                f'kube_pod_container_resource_limits{{{labels},resource="memory"}} 128e6',
            ]
        mesh = 'reporter="source",destination_service_namespace="ecommerce"'
        service = 'destination_service_name="payment-api",destination_workload="payment-api"'
        for code, flags, count in (("200", "-", 50), ("503", "FI", 7 if at_s > KILLED_S else 0)):
            if count:
                outcome = f'response_code="{code}",response_flags="{flags}"'
                lines.append(f"istio_requests_total{{{mesh},{service},{outcome}}} {count}")
        return "\n".join([*lines, ""])


def wait_for_scrapes(url: str) -> None:
    """Return when the first samples are in: Prometheus looks for its targets each 5 s only."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        answer = requests.get(f"{url}/api/v1/query", {"query": "up == 1"}, timeout=5).json()
        if answer["data"]["result"]:
            return
        time.sleep(0.1)
    raise AssertionError("Prometheus scraped nothing in time")


@contextmanager
def exported(pods: LivingPods) -> Iterator[str]:
    def respond(handler: BaseHTTPRequestHandler, _: Mapping[str, str]) -> None:
        send(handler, pods.page().encode())

    with server(respond) as url:
        yield url.removeprefix("http://")


def test_killed_pod_neither_lingers_nor_counts_twice(tmp_path: Path) -> None:
    """Requests of CPU are those of the living, refusals those after the kill, memory of two pods.

    The successor's 5 CPU seconds, which it was first seen with, belong to the phase it was born in.
    """
    pods = LivingPods()
    fault = {"kind": "http-abort", "service": "payment-api", "status": 503}
    plan = plan_with_abort(
        load={"locustfile": "shop.py", "stages": [{"duration": "6s", "users": 1}]},
        warmup="0s",
        faults=[{**fault, "at": "3s", "duration": "3s"}],
    )
    with exported(pods) as address, prometheus(tmp_path, [address]) as url:
        wait_for_scrapes(url)
        pods.began_s = time.time()
        anchor = ClockAnchor(load_started_wall_s=pods.began_s, prometheus_skew_s=0.0)
        time.sleep(END_S + 0.6)
        signals = PrometheusSource().collect(plan, anchor, target_at(url), END_S, tmp_path / "raw")
    assert (signals.error, signals.scrape_gaps) == ("", ())
    seen = {(one.phase, one.sli): one for one in signals.phases if one.service == "payment-api"}
    assert seen[1, "saturation.memory"].value == pytest.approx(0.25)
    assert seen[0, "saturation.cpu"].value == pytest.approx(0.0)
    assert seen[1, "saturation.cpu"].value == pytest.approx(5.0 / 3.0 / 0.1)
    assert (seen[0, "traffic"].samples, seen[1, "traffic"].samples) == (0.0, 7.0)
    assert seen[1, "errors"].value == 1.0
    assert signals.fault_flags == {"01-http-abort": 7.0}
    assert signals.late_flags == {"01-http-abort": None}
