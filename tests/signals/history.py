"""Two minutes in the life of a mesh, with every figure known, to fill a Prometheus with.

Second by second from 30 s before the load to 5 s after it, each counter follows a formula:

* gateway → order-api: 10/s for ever; 1/s more that fail with 500, last seen 75 s into the run.
* order-api → payment-api: 5/s; in the fault (60-90 s) 3/s more that are refused (``FI``), a label
  set that is not there before its first value, 3.
* gateway → product-api: 4/s; its counter is reset between 99 s and 100 s, when it reads 0.
* Each request is counted by the callee as well, where nobody may count it again.
* product-api's pods delay 2/s more from 60 s to 90 s: only they write ``DI`` on them.
* order-api's latency: 60 % up to 10 ms, 95 % up to 50 ms, all up to 100 ms; product-api's: all
  above the highest bound.
* One pod each of order-api and of a service called ``order``, whose name is the beginning of it.
* payment-api's pods are scraped by a target that nothing is known of from 40 s to 50 s.
* order-api is scaled from 2 to 3 replicas at 70 s, and the third is ready at 80 s.
* Two proxies call order-api; at 50 s one of them has 31 connections, and 4 requests wait.
* A queue is 2 long, 8 in the fault, not a number from 95 s to 99 s, and gone from 110 s on.
* Each 5 s rules are evaluated: HighErrorRate is pending from 65 s on and fires from 75 s to 100 s;
  OldAlert fires from before the load to 10 s; one of another namespace fires all the time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from runner.model.experiment import Experiment
from runner.model.plan import Plan, make_plan

BEFORE_S, RUN_S, AFTER_S = 30, 120, 5
SILENT = range(41, 50)
NAMESPACE = "ecommerce"
GATEWAY = "istio-ingressgateway"
BUCKET = "istio_request_duration_milliseconds_bucket"
ORDER_POD = "order-api-7d9f8b6c5-bcdfg"
NAMESAKE_POD = "order-6c5d4f7b8-xwvzt"
PAYMENT_POD = "payment-api-5c4d7f8b9-hjklm"

Value = Callable[[int], float | None]
Counter = tuple[str, dict[str, str], Value]


def plan_with_abort(**changes: object) -> Plan:
    """10 s of warmup, an abort of payments from 60 s to 90 s, 30 s of recovery."""
    document = {
        "name": "made-up",
        "description": "What the made-up history is the history of.",
        "load": {"locustfile": "shop.py", "stages": [{"duration": "120s", "users": 10}]},
        "warmup": "10s",
        "faults": [
            {
                "kind": "http-abort",
                "service": "payment-api",
                "at": "60s",
                "duration": "30s",
                "status": 503,
                "percent": 50,
            }
        ],
        "objectives": ["errors < 1%"],
        **changes,
    }
    return make_plan(Experiment.model_validate(document))


def requests_of(
    source: str, service: str, code: str, flags: str = "-", workload: str = ""
) -> dict[str, str]:
    """Labels of a request counter at the source."""
    return {
        "job": "envoy",
        "instance": "mesh:15090",
        "reporter": "source",
        "source_workload": source,
        "destination_service_name": service,
        "destination_service_namespace": NAMESPACE,
        "destination_workload": workload or service,
        "response_code": code,
        "response_flags": flags,
    }


def line(at_zero: float, per_s: float) -> Value:
    """A counter that reads ``at_zero`` at offset 0 and grows by ``per_s`` for ever."""
    return lambda t: at_zero + per_s * t


def step(before: float, after: float, at_s: int) -> Value:
    """A gauge that changes once."""
    return lambda t: after if t >= at_s else before


def peak(usual: float, most: float, at_s: int) -> Value:
    """A gauge that is high for one second."""
    return lambda t: most if t == at_s else usual


def failing(t: int) -> float | None:
    """70 at offset 0, 1/s more, gone after 75 s."""
    return 70.0 + t if t <= 75 else None


def refused(t: int) -> float | None:
    """3/s from 60 s to 90 s; not there before its first value."""
    return 3.0 * (min(t, 90) - 60) if t > 60 else None


def reset(t: int) -> float:
    """4/s, starting anew at 100 s."""
    return 400.0 + 4 * t if t < 100 else 4.0 * (t - 100)


def _requests() -> Iterator[Counter]:
    for labels, value in (
        (requests_of(GATEWAY, "order-api", "200"), line(1000, 10)),
        (requests_of(GATEWAY, "order-api", "500"), failing),
        (requests_of("order-api", "payment-api", "200"), line(500, 5)),
        (requests_of("order-api", "payment-api", "503", "FI", workload="unknown"), refused),
        (requests_of(GATEWAY, "product-api", "200"), reset),
    ):
        yield "istio_requests_total", labels, value
        yield "istio_requests_total", labels | {"reporter": "destination"}, value
    delayed = requests_of(GATEWAY, "product-api", "200", "DI")
    yield "istio_requests_total", delayed | {"reporter": "destination"}, late


def late(t: int) -> float | None:
    """2/s from 60 s to 90 s; not there before its first value."""
    return 2.0 * (min(t, 90) - 60) if t > 60 else None


def _latencies() -> Iterator[Counter]:
    orders = requests_of(GATEWAY, "order-api", "200")
    products = requests_of(GATEWAY, "product-api", "200")
    for bound, share in (("10", 0.6), ("50", 0.95), ("100", 1.0), ("+Inf", 1.0)):
        yield BUCKET, orders | {"le": bound}, line(1000 * share, 10 * share)
        yield BUCKET, orders | {"le": bound, "response_code": "500"}, line(70, 1)
        yield BUCKET, products | {"le": bound}, reset if bound == "+Inf" else line(0, 0)
    yield "istio_request_duration_milliseconds_sum", orders, line(20_000, 200)


def _pods() -> Iterator[Counter]:
    for pod, instance, cores in (
        (ORDER_POD, "pods:1", 0.01),
        (NAMESAKE_POD, "pods:1", 0.04),
        (PAYMENT_POD, "pods:2", 0.02),
    ):
        labels = {"job": "pods", "instance": instance, "namespace": NAMESPACE, "pod": pod}
        app = labels | {"container": "app"}
        yield "up", {"job": "pods", "instance": instance}, line(1, 0)
        for container in ("app", ""):
            used = labels | {"container": container}
            yield "container_cpu_usage_seconds_total", used, line(50, cores)
        yield "container_memory_working_set_bytes", app, lambda t: 48e6 if t == 45 else 32e6
        requested = app | {"resource": "cpu"}
        yield "kube_pod_container_resource_requests", requested, line(0.05, 0)
        limit = app | {"resource": "memory"}
        yield "kube_pod_container_resource_limits", limit, line(128e6, 0)


def _replicas() -> Iterator[Counter]:
    for deployment, third_s in (("order-api", 70), ("order", 10_000)):
        labels = {"job": "pods", "instance": "pods:1", "namespace": NAMESPACE}
        labels["deployment"] = deployment
        yield "kube_deployment_spec_replicas", labels, step(2, 3, third_s)
        yield "kube_deployment_status_replicas_ready", labels, step(2, 3, third_s + 10)


def _pools() -> Iterator[Counter]:
    for pod, most, waiting in ((GATEWAY, 31, 4), ("cart-api-1", 9, 0)):
        cluster = f"outbound|80||order-api.{NAMESPACE}.svc.cluster.local"
        labels = {"job": "envoy", "instance": "mesh:15090", "pod": pod, "cluster_name": cluster}
        yield "envoy_cluster_upstream_cx_active", labels, peak(5, most, 50)
        yield "envoy_cluster_upstream_rq_pending_active", labels, peak(0, waiting, 50)
        # A namesake elsewhere, and another service whose name ends alike.
        for name in ("order-api.elsewhere", f"pre-order-api.{NAMESPACE}"):
            other = labels | {"cluster_name": f"outbound|80||{name}.svc.cluster.local"}
            yield "envoy_cluster_upstream_cx_active", other, line(99, 0)


def _queue() -> Iterator[Counter]:
    labels = {"job": "pods", "instance": "pods:1", "namespace": NAMESPACE}

    def length(t: int) -> float | None:
        return None if t >= 110 else float("nan") if 95 <= t < 100 else 8.0 if 60 < t <= 90 else 2.0

    yield "queue_depth", labels, length


def _alerts() -> Iterator[Counter]:
    def each_5_s(first: int, last: int) -> Value:
        return lambda t: 1.0 if first <= t <= last and t % 5 == 0 else None

    rate = {"alertname": "HighErrorRate", "severity": "critical", "service": "payment-api"}
    old = {"alertname": "OldAlert", "severity": "warning", "namespace": NAMESPACE}
    other = {"alertname": "TheirAlert", "severity": "critical", "namespace": "others"}
    for labels, state, first, last in (
        (rate, "pending", 65, 70),
        (rate, "firing", 75, 100),
        (old, "firing", -BEFORE_S, 10),
        (other, "firing", -BEFORE_S, RUN_S),
    ):
        yield "ALERTS", {"alertstate": state, **labels}, each_5_s(first, last)


def history(start_s: int) -> Iterator[str]:
    """The history in OpenMetrics; ``start_s`` is the Unix time at which the load began."""
    envoy: Counter = ("up", {"job": "envoy", "instance": "mesh:15090"}, line(1, 0))
    for name, labels, value in (
        envoy,
        *_requests(),
        *_latencies(),
        *_pods(),
        *_replicas(),
        *_pools(),
        *_queue(),
        *_alerts(),
    ):
        text = ",".join(f'{label}="{content}"' for label, content in labels.items())
        for second in range(-BEFORE_S, RUN_S + AFTER_S + 1):
            known = value(second)
            if known is None or (labels.get("instance") == "pods:2" and second in SILENT):
                continue
            yield f"{name}{{{text}}} {known} {start_s + second}"
