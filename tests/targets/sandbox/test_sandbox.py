"""A ready sandbox on real parts, looked at from the outside; it is left as it was."""

from __future__ import annotations

import json
import stat
import subprocess
from collections import Counter

import pytest
from sandbox_rig import get, objects, pods, processes, query, until

from runner.errors import UsageError
from runner.targets.sandbox import control
from runner.targets.sandbox.apiclient import ENDPOINTS, SERVICES
from runner.targets.sandbox.control import SandboxInfo
from runner.targets.sandbox.manifests import INGRESS_SERVICE
from runner.targets.sandbox.manifests import SERVICES as SHOP

pytestmark = pytest.mark.sandbox

ROUTES = [service.route for service in SHOP]


def test_the_status_tells_what_a_run_needs(sandbox_info: SandboxInfo) -> None:
    status = control.status(sandbox_info.name, root=sandbox_info.home.parent)
    assert status is not None
    assert (status.state, status.message, status.namespace) == ("ready", "", "ecommerce")
    assert status.host == "api.c4ang.com"
    assert {"supervisor", "envoy", "prometheus"} < status.pids.keys()
    assert len(status.pids) == 15
    assert len(processes(status)) == 15
    assert status.parts.keys() == {"kubernetes", "envoy", "prometheus"}
    assert status.parts["envoy"].startswith("1.")
    assert status.exports[0] == f"export KUBECONFIG={status.kubeconfig}"
    assert (status.unsupported, status.rejected) == ((), ())
    assert control.all_sandboxes(root=sandbox_info.home.parent) == [status]


def test_nothing_of_a_sandbox_can_be_read_by_others(sandbox_info: SandboxInfo) -> None:
    assert stat.S_IMODE(sandbox_info.home.stat().st_mode) == 0o700
    assert stat.S_IMODE(sandbox_info.kubeconfig.stat().st_mode) == 0o600


def test_envoy_may_hold_the_connections_of_a_thousand_users(sandbox_info: SandboxInfo) -> None:
    import psutil

    soft, hard = psutil.Process(sandbox_info.pids["envoy"]).rlimit(psutil.RLIMIT_NOFILE)
    assert soft >= min(hard, 65_536)


def test_every_port_listens_on_loopback_only(sandbox_info: SandboxInfo) -> None:
    import psutil

    mine = set(sandbox_info.pids.values())
    places = {
        (connection.laddr.ip, connection.laddr.port)
        for connection in psutil.net_connections(kind="tcp")
        if connection.status == psutil.CONN_LISTEN and connection.pid in mine and connection.laddr
    }
    assert {port for _, port in places} >= set(sandbox_info.ports.values())
    assert [place for place in places if not place[0].startswith("127.")] == []


def test_twelve_pods_are_two_of_two(sandbox_info: SandboxInfo) -> None:
    found = pods(sandbox_info)
    ready = Counter(
        pod["metadata"]["labels"]["app"]
        for pod in found
        if [status["ready"] for status in pod["status"]["containerStatuses"]] == [True, True]
    )
    assert ready == {service.name: 2 for service in SHOP}
    assert {pod["status"]["phase"] for pod in found} == {"Running"}
    # Asked now: other tests on this sandbox have killed pods since the fixture was made.
    now = control.status(sandbox_info.name, root=sandbox_info.home.parent)
    assert now is not None
    assert {pod["metadata"]["name"] for pod in found} < now.pids.keys()


def test_no_endpoints_are_empty(sandbox_info: SandboxInfo) -> None:
    counted = {
        item["metadata"]["name"]: sum(len(s.get("addresses") or ()) for s in item["subsets"])
        for item in objects(sandbox_info.kubeconfig, ENDPOINTS, sandbox_info.namespace)
    }
    assert counted == {service.name: 2 for service in SHOP}


def test_the_load_balancer_has_an_address(sandbox_info: SandboxInfo) -> None:
    (service,) = objects(sandbox_info.kubeconfig, SERVICES, "istio-system")
    assert service["metadata"]["name"] == INGRESS_SERVICE
    assert service["status"]["loadBalancer"]["ingress"][0]["ip"] == "127.0.0.1"


@pytest.mark.kubectl
def test_kubectl_finds_the_sandbox_by_what_status_says(sandbox_info: SandboxInfo) -> None:
    """The export lines go through a shell, as a user would paste them."""
    lines = "; ".join([*sandbox_info.exports, "kubectl get service -A --no-headers"])
    shown = subprocess.run(
        ["sh", "-c", lines], capture_output=True, text=True, timeout=30, check=True
    )
    rows = [line.split() for line in shown.stdout.splitlines()]
    assert [row[4] for row in rows if row[1] == INGRESS_SERVICE] == ["127.0.0.1"]
    assert len(rows) == 7


@pytest.mark.parametrize("path", [*ROUTES, "/api/v1/customers/health", "/api/v1/orders/health"])
def test_each_route_answers(sandbox_info: SandboxInfo, path: str) -> None:
    assert get(sandbox_info.ingress_url, path)[0] == 200


def test_an_order_goes_through_and_an_unknown_path_does_not(sandbox_info: SandboxInfo) -> None:
    assert get(sandbox_info.ingress_url, "/api/v1/orders", method="POST")[0] in (200, 201)
    assert get(sandbox_info.ingress_url, "/api/v2/orders")[0] == 404


def test_both_reporters_see_an_order_and_what_it_calls(sandbox_info: SandboxInfo) -> None:
    """One order is placed; Prometheus then knows each hop from both of its ends."""
    get(sandbox_info.ingress_url, "/api/v1/orders", method="POST")

    def hops() -> set[tuple[str, ...]]:
        names = ("reporter", "source_workload", "destination_service_name", "response_code")
        found = query(sandbox_info, "istio_requests_total")
        return {tuple(item["metric"][name] for name in names) for item in found}

    wanted = {
        (reporter, source, destination)
        for reporter in ("source", "destination")
        for source, destination in [
            ("istio-ingressgateway", "order-api"),
            ("order-api", "payment-api"),
            ("order-api", "customer-api"),
        ]
    }

    def answered(found: set[tuple[str, ...]]) -> set[tuple[str, ...]]:
        # Other tests on this sandbox inject faults, which leave their own codes behind.
        return {hop[:3] for hop in found if hop[3] in ("200", "201")}

    seen = until(hops, lambda found: wanted <= answered(found))
    assert wanted <= answered(seen)


def test_latency_is_a_histogram_in_milliseconds(sandbox_info: SandboxInfo) -> None:
    """The product service works 25 ms on average; the median must be near that."""
    for _ in range(20):
        get(sandbox_info.ingress_url, "/api/v1/products")
    buckets = (
        "sum by (le) (istio_request_duration_milliseconds_bucket"
        '{reporter="source",destination_service_name="product-api"})'
    )
    count = 'sum(istio_request_duration_milliseconds_count{destination_service_name="product-api"})'
    until(lambda: query(sandbox_info, count), lambda r: r and float(r[0]["value"][1]) >= 40)
    (median,) = query(sandbox_info, f"histogram_quantile(0.5, {buckets})")
    assert 10 < float(median["value"][1]) < 50


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ('count(container_memory_working_set_bytes{namespace="ecommerce"} > 5e6)', 12),
        (
            'count(kube_pod_container_resource_limits{namespace="ecommerce",resource="memory"}'
            " == 134217728)",
            12,
        ),
        ('sum(kube_deployment_status_replicas_available{namespace="ecommerce"})', 12),
        ('sum(kube_pod_container_resource_requests{pod=~"order-api-.*",resource="cpu"})', 0.1),
        ("min(up)", 1),
    ],
)
def test_the_pods_are_measured(sandbox_info: SandboxInfo, expression: str, expected: float) -> None:
    found = until(
        lambda: query(sandbox_info, expression),
        lambda result: result and float(result[0]["value"][1]) == pytest.approx(expected),
    )
    assert [float(item["value"][1]) for item in found] == [pytest.approx(expected)]


def test_alert_rules_are_loaded_and_quiet(sandbox_info: SandboxInfo) -> None:
    _, body = get(sandbox_info.prometheus_url, "/api/v1/rules", "127.0.0.1")
    rules = json.loads(body)["data"]["groups"][0]["rules"]
    assert {(rule["name"], rule["health"]) for rule in rules} <= {
        (name, health)
        for name in ("HighErrorRate", "HighLatency", "PodDown", "CircuitBreakerOpen")
        for health in ("ok", "unknown")
    }
    assert len(rules) == 4


def test_logs_of_each_part_can_be_read(sandbox_info: SandboxInfo) -> None:
    root = sandbox_info.home.parent
    lines = list(control.logs(sandbox_info.name, tail=1000, root=root))
    assert any(line.startswith("supervisor: ") and "ready after" in line for line in lines)
    alone = list(control.logs(sandbox_info.name, "supervisor", tail=1, root=root))
    assert len(alone) == 1
    assert not alone[0].startswith("supervisor: ")
    with pytest.raises(UsageError, match="no log of 'nginx'"):
        control.logs(sandbox_info.name, "nginx", root=root)


def test_a_second_up_joins_the_first(sandbox_info: SandboxInfo) -> None:
    root = sandbox_info.home.parent
    again = control.up(sandbox_info.name, root=root)
    assert again.pids["supervisor"] == sandbox_info.pids["supervisor"]
    with pytest.raises(UsageError, match=r"is already up, with ingress port .* instead of 1"):
        control.up(sandbox_info.name, root=root, ports={"ingress": 1025})
