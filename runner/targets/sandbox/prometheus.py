"""The sandbox's Prometheus: its configuration as pure data, and its process.

It scrapes Envoy and the pod exporter every second, keeps what Istio and Kubernetes would have
named, and evaluates the alert rules of the reference system. It sends alerts nowhere.
"""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any, Final

from runner.errors import TargetError
from runner.targets.sandbox.children import start_child, stop_child
from runner.targets.sandbox.mesh.telemetry import RELABELINGS
from runner.targets.sandbox.settings import SandboxSettings
from runner.targets.sandbox.state import write_atomically

SCRAPE_INTERVAL_S: Final = 1
RETENTION: Final = "3d"
JOB_ENVOY: Final = "envoy"
JOB_PODS: Final = "pods"
ALERTS_FASTER: Final = 10
"""By so much the alerts of the sandbox are faster than those of the reference system."""
RATE_WINDOW_S: Final = 30
START_LIMIT_S: Final = 15.0
STOP_GRACE_S: Final = 5.0
_POLL_S: Final = 0.05
_HTTP_OK: Final = 200

# What Envoy is asked for: Istio's metrics, and per cluster what pools, breakers and outlier
# detection do. All of its statistics would be ten times as much.
ENVOY_FILTER: Final = (
    r"^istio|circuit_breakers|outlier_detection|upstream_rq_pending|upstream_rq_retry"
    r"|upstream_cx_active|upstream_cx_overflow|upstream_cx_connect_fail|upstream_rq_active"
    r"|membership_|update_rejected|update_failure"
)

_SOURCE: Final = 'reporter="source"'


def scrape_config(settings: SandboxSettings) -> dict[str, Any]:
    """Prometheus' configuration file. JSON is YAML, so it may be written as JSON."""
    return {
        "global": {
            "scrape_interval": f"{SCRAPE_INTERVAL_S}s",
            "scrape_timeout": f"{SCRAPE_INTERVAL_S}s",
            "evaluation_interval": "5s",
            "external_labels": {"sandbox": settings.name},
        },
        "rule_files": [str(_rules_file(settings))],
        "scrape_configs": [
            {
                "job_name": JOB_ENVOY,
                "metrics_path": "/stats/prometheus",
                "params": {"filter": [ENVOY_FILTER]},
                "static_configs": [{"targets": [f"127.0.0.1:{settings.envoy_admin_port}"]}],
                "metric_relabel_configs": RELABELINGS,
            },
            {
                "job_name": JOB_PODS,
                # A metric's own `namespace`, `pod` and `container` are what counts.
                "honor_labels": True,
                "static_configs": [{"targets": [f"127.0.0.1:{settings.exporter_port}"]}],
            },
        ],
    }


def alert_rules() -> dict[str, Any]:
    """The alerts that run beside the reference system, right about Istio's two reporters.

    Same conditions and severities, but a tenth of the times: what lasts five minutes there is seen
    over half a minute here, and fires half a minute later. Each rule says so itself.
    """
    window = f"[{RATE_WINDOW_S}s]"
    requests = f"rate(istio_requests_total{{{_SOURCE}}}{window})"
    failed = f'rate(istio_requests_total{{{_SOURCE},response_code=~"5.."}}{window})'
    buckets = f"rate(istio_request_duration_milliseconds_bucket{{{_SOURCE}}}{window})"
    overflow = f'rate(istio_requests_total{{{_SOURCE},response_flags=~".*UO.*"}}{window})'
    by = "by (destination_service_name)"
    rules = [
        _alert(
            "HighErrorRate",
            f"sum {by} ({failed}) / sum {by} ({requests}) > 0.01",
            300,
            "critical",
            "{{ $labels.destination_service_name }} answers more than 1 % with 5xx",
        ),
        _alert(
            "HighLatency",
            f"histogram_quantile(0.95, sum by (destination_service_name, le) ({buckets})) > 1000",
            300,
            "warning",
            "p95 of {{ $labels.destination_service_name }} is above 1000 ms",
        ),
        _alert(
            "PodDown",
            "kube_deployment_status_replicas_available < kube_deployment_spec_replicas",
            300,
            "critical",
            "{{ $labels.deployment }} has fewer pods than it should",
        ),
        _alert(
            "CircuitBreakerOpen",
            f"sum {by} ({overflow}) > 0",
            120,
            "warning",
            "the connection pool of {{ $labels.destination_service_name }} overflows",
        ),
    ]
    return {"groups": [{"name": "seatrial", "rules": rules}]}


def command_line(binary: Path, settings: SandboxSettings) -> list[str]:
    """Prometheus' program and arguments."""
    return [
        str(binary),
        f"--config.file={_config_file(settings)}",
        f"--storage.tsdb.path={settings.home / 'prometheus' / 'data'}",
        f"--storage.tsdb.retention.time={RETENTION}",
        f"--web.listen-address=127.0.0.1:{settings.prometheus_port}",
        "--log.level=warn",
    ]


class PrometheusProcess:
    """One Prometheus: started, watched and stopped by the supervisor."""

    def __init__(self, settings: SandboxSettings, binary: Path) -> None:
        self._settings = settings
        self._binary = binary
        self._process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        """Its base URL."""
        return f"http://127.0.0.1:{self._settings.prometheus_port}"

    @property
    def pid(self) -> int | None:
        """Its process id; None when it does not run."""
        process = self._process
        return process.pid if process and process.returncode is None else None

    def write_configuration(self) -> None:
        """Write the configuration file and the rules that it names."""
        home = self._settings.home / "prometheus"
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_atomically(_config_file(self._settings), json.dumps(scrape_config(self._settings)))
        write_atomically(_rules_file(self._settings), json.dumps(alert_rules()))

    async def start(self) -> None:
        """Write the configuration and start; :meth:`wait_ready` says when it can be used.

        Raises:
            TargetError: When the program cannot be started.
        """
        self.write_configuration()
        try:
            self._process = await start_child(
                command_line(self._binary, self._settings),
                log=self._settings.logs / "prometheus.log",
            )
        except OSError as error:
            raise TargetError(f"Prometheus cannot be started: {error}") from error

    async def wait_ready(self, timeout_s: float = START_LIMIT_S) -> None:
        """Return when it answers queries.

        Raises:
            TargetError: When it ends first, or does not answer within ``timeout_s`` seconds.
        """
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if self._process is None or self._process.returncode is not None:
                raise TargetError("Prometheus ended while it started" + self._last_words())
            if await _answers(self._settings.prometheus_port, "/-/ready"):
                return
            await asyncio.sleep(_POLL_S)
        raise TargetError(f"Prometheus was not ready within {timeout_s:g} s" + self._last_words())

    async def wait(self) -> int:
        """Wait for its end, and return its exit code.

        Raises:
            TargetError: When it was never started.
        """
        if self._process is None:
            raise TargetError("Prometheus was not started")
        return await self._process.wait()

    async def stop(self) -> None:
        """End it: SIGTERM, then SIGKILL after 5 s. Does nothing when it does not run."""
        if self._process is not None:
            await stop_child(self._process, grace_s=STOP_GRACE_S)

    def _last_words(self) -> str:
        try:
            lines = (self._settings.logs / "prometheus.log").read_text(errors="replace").split("\n")
        except OSError:
            return ""
        words = [line for line in lines if line.strip()][-2:]
        return f": {' | '.join(words)}" if words else ""


def _alert(name: str, expression: str, reference_s: int, severity: str, summary: str) -> Any:
    """A rule that waits for a tenth of the time for which the reference system waits."""
    wait_s = reference_s // ALERTS_FASTER
    pace = f"the sandbox waits {wait_s} s for it, the reference system {reference_s} s"
    return {
        "alert": name,
        "expr": expression,
        "for": f"{wait_s}s",
        "labels": {"severity": severity},
        "annotations": {"summary": summary, "description": pace},
    }


def _config_file(settings: SandboxSettings) -> Path:
    return settings.home / "prometheus" / "prometheus.json"


def _rules_file(settings: SandboxSettings) -> Path:
    return settings.home / "prometheus" / "rules.json"


async def _answers(port: int, path: str) -> bool:
    """True when a GET of ``path`` on 127.0.0.1:``port`` answers 200 within a second."""
    try:
        async with asyncio.timeout(1.0):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
                writer.write(request.encode())
                status = (await reader.readline()).split(b" ")
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return False
    return len(status) > 1 and status[1] == str(_HTTP_OK).encode()
