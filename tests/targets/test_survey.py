"""Looks at an ingress and a Prometheus: what is asked, and what becomes of the answers."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

import pytest
from worlds import HOST, NAMESPACE, virtual_service, world

from runner.model.experiment import Experiment
from runner.model.plan import Plan, make_plan
from runner.model.recording import TargetInfo
from runner.targets.looking import look
from runner.targets.survey import asked_for, survey
from runner.targets.symptom import refusals, remarks

AHEAD_S = 7.0
LOCUSTFILE = 'class U:\n    def t(self):\n        self.client.get("/api/v1/orders")\n'


def vector(*series: tuple[dict[str, str], float]) -> dict[str, Any]:
    return {"result": [{"metric": labels, "value": [0, str(value)]} for labels, value in series]}


def age(service: str, reporter: str, seconds: float) -> tuple[dict[str, str], float]:
    return {"destination_service_name": service, "reporter": reporter}, seconds


def call(workload: str, service: str, requests: float) -> tuple[dict[str, str], float]:
    return {"source_workload": workload, "destination_service_name": service}, requests


class Place(BaseHTTPRequestHandler):
    """An ingress behind Envoy, and a Prometheus seven seconds ahead; ``calls`` may be refused."""

    asked: ClassVar[list[str]] = []
    calls: ClassVar[dict[str, Any] | None] = None
    ages: ClassVar[dict[str, Any] | None] = None

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        if parts.path != "/api/v1/query":
            self.asked.append(f"{self.headers['Host']}{parts.path}")
            self._answer(404 if parts.path.endswith("/health") else 200, b"")
            return
        (query,) = parse_qs(parts.query)["query"]
        if query == "time()":
            data: dict[str, Any] | None = {"result": [0, str(time.time() + AHEAD_S)]}
        else:
            assert f'destination_service_namespace="{NAMESPACE}"' in query
            data = self.ages if "timestamp(" in query else self.calls
        body = json.dumps({"status": "success", "data": data}).encode()
        self._answer(422 if data is None else 200, body)

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def version_string(self) -> str:
        return "envoy"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture
def target() -> Iterator[TargetInfo]:
    Place.asked.clear()
    Place.ages = vector(age("order-api", "source", 3.0), age("order-api", "destination", 4.0))
    Place.calls = vector(call("order-api", "payment-api", 30.0), call("gw", "order-api", 40.0))
    server = ThreadingHTTPServer(("127.0.0.1", 0), Place)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}"
    yield TargetInfo(
        kind="cluster",
        name="staging",
        namespace=NAMESPACE,
        ingress_url=url,
        host=HOST,
        prometheus_url=url,
    )
    server.shutdown()
    thread.join()
    server.server_close()


def test_what_is_seen_is_what_was_answered(target: TargetInfo) -> None:
    seen = look(target, HOST, ["/api/v1/orders", "/x/health"])
    assert [(one.path, one.status, one.through_envoy) for one in seen.answers] == [
        ("/api/v1/orders", 200, True),
        ("/x/health", 404, True),
    ]
    assert Place.asked == [f"{HOST}/api/v1/orders", f"{HOST}/x/health"]
    assert seen.data_age_s == {("order-api", "source"): 3.0, ("order-api", "destination"): 4.0}
    assert seen.calls == {("order-api", "payment-api"): 30.0, ("gw", "order-api"): 40.0}
    assert seen.prometheus_skew_s == pytest.approx(AHEAD_S, abs=2.0)
    assert seen.data_problem == ""


def test_calls_that_are_too_much_to_ask_are_not_known(target: TargetInfo) -> None:
    """Goal: a large mesh is no obstacle. Method: Prometheus refuses the longest question."""
    Place.calls = None
    seen = look(target, HOST, [])
    assert (seen.calls, seen.data_problem) == ({}, "")
    Place.ages = None
    assert look(target, HOST, []).data_problem == (
        "Prometheus gave no answer about the mesh: HTTP 422: no reason given"
    )


def test_nobody_there_is_an_answer_too(target: TargetInfo) -> None:
    dead = target.model_copy(
        update={"ingress_url": "http://127.0.0.1:9", "prometheus_url": "http://127.0.0.1:9"}
    )
    seen = look(dead, HOST, ["/"])
    assert seen.answers[0].status == 0
    assert seen.answers[0].problem.startswith("the ingress of staging at http://127.0.0.1:9 does")
    assert seen.data_problem.startswith("Prometheus gave no answer about the mesh: ")
    assert seen.prometheus_skew_s is None


def plan_of(service: str) -> Plan:
    fault = {"kind": "http-abort", "service": service, "at": "20s", "duration": "10s"}
    return make_plan(
        Experiment.model_validate(
            {
                "name": "x",
                "description": "d",
                "load": {"locustfile": "u.py", "stages": [{"duration": "60s", "users": 1}]},
                "faults": [{**fault, "status": 503}],
                "objectives": ["errors < 1%"],
            }
        )
    )


def test_a_survey_asks_for_the_path_of_the_load_and_follows_it(
    target: TargetInfo, tmp_path: Path
) -> None:
    """Goal: routes, calls and the file are put together. Method: one service of each kind."""
    (tmp_path / "u.py").write_text(LOCUSTFILE)
    found = survey(plan_of("payment-api"), target, world(), [tmp_path])
    assert refusals(found) == []
    assert remarks(found) == [
        "clocks: Prometheus' clock is 7.0 s ahead of ours; set the clocks; a fault's time and the "
        "signals' would not be the same"
    ]
    assert Place.asked[0] == f"{HOST}/api/v1/orders"
    Place.calls = vector(call("gw", "order-api", 40.0), call("payment-api", "order-api", 40.0))
    (refusal,) = refusals(survey(plan_of("payment-api"), target, world(), [tmp_path]))
    assert refusal.startswith("01-http-abort: the load never reaches payment-api: its paths lead")
    doubts = remarks(survey(plan_of("payment-api"), target, world(), []))
    assert doubts[0] == (
        "01-http-abort: whether the load reaches payment-api is not known before the run: the "
        "locustfile does not say in plain text what it asks for"
    )


def test_health_paths_are_asked_for_where_there_is_a_route() -> None:
    objects = world(virtualservices=[virtual_service("order-api"), virtual_service("cart-api")])
    assert [*asked_for(objects, HOST)] == ["/api/v1/orders", "/api/v1/orders/health"]
