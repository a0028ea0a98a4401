"""The whole sandbox on real parts: ready, used, side by side, failing, killed, gone.

Most checks look at the session's one sandbox and leave it as it was; those that break one start
their own.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode, urlsplit

import pytest

from runner.errors import MissingPartError, TargetBusyError, TargetError, UsageError
from runner.targets.sandbox import control
from runner.targets.sandbox.allocation import is_free
from runner.targets.sandbox.apiclient import (
    DEPLOYMENTS,
    ENDPOINTS,
    NODES,
    PODS,
    SERVICES,
    ApiClient,
    Obj,
    Resource,
)
from runner.targets.sandbox.control import SandboxInfo
from runner.targets.sandbox.manifests import INGRESS_SERVICE
from runner.targets.sandbox.manifests import SERVICES as SHOP
from runner.targets.sandbox.state import start_mark

T = TypeVar("T")

pytestmark = pytest.mark.sandbox

ROUTES = [service.route for service in SHOP]


def get(url: str, path: str, host: str = "api.c4ang.com", method: str = "GET") -> tuple[int, str]:
    """Status and body of one request to 127.0.0.1, past any proxy setting."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=10)
    try:
        connection.request(method, path, headers={"Host": host})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def query(info: SandboxInfo, expression: str) -> list[dict[str, Any]]:
    status, body = get(
        info.prometheus_url, "/api/v1/query?" + urlencode({"query": expression}), "127.0.0.1"
    )
    assert status == 200, body
    result: list[dict[str, Any]] = json.loads(body)["data"]["result"]
    return result


def until(ask: Callable[[], T], good: Callable[[T], object], limit_s: float = 15.0) -> T:
    """Ask until the answer is good, at most ``limit_s`` seconds; the last answer."""
    deadline = time.monotonic() + limit_s
    while not good(answer := ask()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return answer


def objects(kubeconfig: Path, resource: Resource, namespace: str | None = None) -> list[Obj]:
    async def read() -> list[Obj]:
        async with ApiClient.from_kubeconfig(kubeconfig) as client:
            return (await client.list(resource, namespace))[0]

    return asyncio.run(read())


def put_node(kubeconfig: Path, name: str) -> None:
    async def put() -> None:
        async with ApiClient.from_kubeconfig(kubeconfig) as client:
            await client.create(NODES, {"metadata": {"name": name}})

    asyncio.run(put())


def pods(info: SandboxInfo) -> list[Obj]:
    return objects(info.kubeconfig, PODS, info.namespace)


def processes(info: SandboxInfo) -> dict[int, str]:
    """The live processes of a sandbox with their marks."""
    marks = {pid: start_mark(pid) for pid in info.pids.values()}
    return {pid: mark for pid, mark in marks.items() if mark is not None}


def still_there(marks: dict[int, str]) -> list[int]:
    return [pid for pid, mark in marks.items() if start_mark(pid) == mark]


def taken_ports(info: SandboxInfo) -> list[str]:
    return [name for name, port in info.ports.items() if not is_free("127.0.0.1", port)]


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Path]:
    """A folder for sandboxes of a single test; whatever is still up afterwards is taken down."""
    root = tmp_path / "sandboxes"
    yield root
    for info in control.all_sandboxes(root=root):
        control.down(info.name, root=root)


# -- ready -----------------------------------------------------------------------------------


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
    assert {pod["metadata"]["name"] for pod in found} < sandbox_info.pids.keys()


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
    seen = until(hops, lambda found: wanted <= {hop[:3] for hop in found})
    assert wanted <= {hop[:3] for hop in seen}
    assert {hop[3] for hop in seen if hop[:3] in wanted} <= {"200", "201"}


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
    with pytest.raises(TargetBusyError, match="is up already, with the ingress port"):
        control.up(sandbox_info.name, root=root, ports={"ingress": 1025})


# -- side by side, failing, gone -------------------------------------------------------------


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def test_two_side_by_side_and_the_end_of_one(sandbox_info: SandboxInfo, own: Path) -> None:
    """A second sandbox on a port of our choice; its Envoy is killed; it goes, the first stays."""
    port = free_port()
    words: list[str] = []
    side = control.up(
        "side", root=own, ports={"ingress": port}, owner_pid=os.getpid(), progress=words.append
    )
    assert side.ingress_url == f"http://127.0.0.1:{port}"
    assert any("pods not ready" in word for word in words)
    assert set(side.ports.values()).isdisjoint(sandbox_info.ports.values())
    addresses = [{pod["status"]["podIP"] for pod in pods(info)} for info in (side, sandbox_info)]
    assert [len(found) for found in addresses] == [12, 12]
    assert addresses[0].isdisjoint(addresses[1])
    assert get(side.ingress_url, "/api/v1/orders")[0] == 200

    os.kill(side.pids["envoy"], signal.SIGKILL)
    failed = until(
        lambda: control.status("side", root=own), lambda info: info and info.state == "failed"
    )
    assert failed is not None
    assert failed.message == "envoy ended by itself (killed by signal 9)"
    later = until(
        lambda: control.status("side", root=own), lambda info: info and "envoy" not in info.pids
    )
    assert later is not None
    assert "envoy" not in later.pids
    with pytest.raises(TargetError, match="is up, but has failed: envoy ended"):
        control.up("side", root=own)

    marks = processes(side)
    assert control.down("side", root=own) is True
    assert still_there(marks) == []
    assert taken_ports(side) == []
    assert not own.exists()
    assert control.down("side", root=own) is False
    assert get(sandbox_info.ingress_url, "/api/v1/orders")[0] == 200


def test_a_killed_supervisor_leaves_no_orphan(own: Path) -> None:
    """Prometheus is killed and it shows; the supervisor is killed and all is gone."""
    info = control.up("doomed", root=own, owner_pid=os.getpid())
    os.kill(info.pids["prometheus"], signal.SIGKILL)
    failed = until(
        lambda: control.status("doomed", root=own), lambda info: info and info.state == "failed"
    )
    assert failed is not None
    assert failed.message == "prometheus ended by itself (killed by signal 9)"
    marks = processes(failed)
    assert len(marks) >= 14
    os.kill(info.pids["supervisor"], signal.SIGKILL)
    assert until(lambda: still_there(marks), lambda left: not left) == []
    assert taken_ports(info) == []
    assert (own / "sandbox-doomed" / "kubeconfig").exists()
    assert control.status("doomed", root=own) is None
    assert not own.exists()


def test_a_sandbox_attaches_to_another_api_server(own: Path, tmp_path: Path) -> None:
    """A second process serves the API only; the sandbox ends with its owner and tidies up there."""
    home, port = tmp_path / "api", free_port()
    home.mkdir(mode=0o700)
    command = [sys.executable, "-m", "runner.targets.sandbox.apiserver"]
    command += ["--home", str(home), "--port", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    owner = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        until((home / "kubeconfig").exists, bool)
        until(lambda: is_free("127.0.0.1", port), lambda free: not free)
        info = control.up("guest", root=own, api_server=home / "kubeconfig", owner_pid=owner.pid)
        assert info.attached is True
        assert info.api_url == f"https://127.0.0.1:{port}"
        assert "api" not in info.ports
        assert len(objects(home / "kubeconfig", PODS, "ecommerce")) == 12
        assert get(info.ingress_url, "/api/v1/orders")[0] == 200
        with pytest.raises(TargetBusyError, match="another sandbox is attached"):
            control.up("rival", root=own, api_server=home / "kubeconfig", owner_pid=os.getpid())
        marks = processes(info)
        owner.communicate(b"\n", timeout=10)
        assert until(lambda: still_there(marks), lambda left: not left) == []
        assert control.status("guest", root=own) is None
        assert objects(home / "kubeconfig", DEPLOYMENTS, "ecommerce") == []
        assert objects(home / "kubeconfig", PODS, "ecommerce") == []
        assert objects(home / "kubeconfig", NODES) == []
        assert server.poll() is None
        put_node(home / "kubeconfig", "somebodys-node")
        with pytest.raises(TargetError, match="nodes of its own: somebodys-node"):
            control.up("guest", root=own, api_server=home / "kubeconfig", owner_pid=os.getpid())
    finally:
        owner.kill()
        owner.communicate()
        server.terminate()
        server.wait(10)


def test_asked_to_end_while_it_starts(own: Path) -> None:
    """The supervisor in the foreground gets SIGTERM as soon as it says that it is starting."""
    home = own / "sandbox-hasty"
    command = [sys.executable, "-m", "runner.targets.sandbox", "--name", "hasty"]
    process = subprocess.Popen([*command, "--home", str(home)], stderr=subprocess.DEVNULL)
    info = until(lambda: control.status("hasty", root=own), lambda i: i and "envoy" in i.pids)
    assert info is not None
    marks = processes(info)
    process.terminate()
    assert process.wait(20) == 0
    assert still_there(marks) == []
    assert not home.exists()


# -- bad days --------------------------------------------------------------------------------


def test_an_interrupted_up_leaves_nothing(own: Path) -> None:
    """Ctrl-C in the caller, while it shows what the sandbox is waiting for."""
    seen: list[SandboxInfo | None] = []

    def interrupt(words: str) -> None:
        if "pods not ready" in words:
            seen.append(control.status("hasty", root=own))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        control.up("hasty", root=own, owner_pid=os.getpid(), progress=interrupt)
    assert seen[0] is not None
    assert still_there(processes(seen[0])) == []
    assert taken_ports(seen[0]) == []
    assert not own.exists()


def test_a_taken_port_is_a_clear_error(own: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(TargetError) as caught:
            control.up("taken", root=own, ports={"ingress": port}, owner_pid=os.getpid())
    assert f"port {port} on 127.0.0.1" in caught.value.message
    assert f"(pid {os.getpid()})" in caught.value.message
    assert not own.exists()


def test_a_missing_prometheus_is_told_before_anything_starts(
    own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEATRIAL_PROMETHEUS", "/no/such/prometheus")
    with pytest.raises(MissingPartError, match="/no/such/prometheus"):
        control.up("poor", root=own, owner_pid=os.getpid())
    assert not own.exists()


def test_a_missing_envoy_is_told_before_anything_starts(
    own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a platform without the wheel: the module cannot be imported."""
    shadow = tmp_path / "shadow"
    shadow.mkdir()
    (shadow / "envoy.py").write_text("raise ImportError('no wheel for this platform')\n")
    monkeypatch.setenv("PYTHONPATH", str(shadow))
    with pytest.raises(MissingPartError, match="Envoy") as caught:
        control.up("poor", root=own, owner_pid=os.getpid())
    assert caught.value.hint
    assert not own.exists()


def test_an_api_server_that_is_not_there_is_told(own: Path, tmp_path: Path) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    cluster = {"server": f"http://127.0.0.1:{free_port()}"}
    context = {"cluster": "gone", "user": "me"}
    kubeconfig.write_text(
        json.dumps(
            {
                "clusters": [{"name": "gone", "cluster": cluster}],
                "users": [{"name": "me", "user": {"token": "t"}}],
                "contexts": [{"name": "gone", "context": context}],
                "current-context": "gone",
            }
        )
    )
    with pytest.raises(TargetError, match=r"the API server http://.* cannot be used"):
        control.up("lost", root=own, api_server=kubeconfig, owner_pid=os.getpid())
    assert not own.exists()


def test_an_end_before_ready_says_what_was_missing(own: Path) -> None:
    with pytest.raises(TargetError, match=r"not ready within 0\.2 s"):
        control.up("slow", root=own, timeout_s=0.2, owner_pid=os.getpid())
    assert not own.exists()
