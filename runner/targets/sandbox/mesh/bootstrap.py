"""Envoy's bootstrap configuration and command line. Pure."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from runner.targets.sandbox.mesh.telemetry import BUCKETS_MS, STATS_PREFIX
from runner.targets.sandbox.settings import SandboxSettings

DRAIN_S: Final = 1
"""Seconds that connections of a removed listener have to finish."""

# What the admin interface shows. It can not be told to quit, to drain or to log more.
_ADMIN_PATHS: Final = (
    "/ready",
    "/stats",
    "/clusters",
    "/listeners",
    "/config_dump",
    "/server_info",
    "/memory",
)


def bootstrap(settings: SandboxSettings) -> dict[str, Any]:
    """The bootstrap: nothing but where the rest is found and how statistics are named."""
    return {
        "node": {"id": f"seatrial-{settings.name}", "cluster": "seatrial-sandbox"},
        "admin": {
            "address": {
                "socket_address": {"address": "127.0.0.1", "port_value": settings.envoy_admin_port}
            },
            "allow_paths": [{"prefix": path} for path in _ADMIN_PATHS],
        },
        "dynamic_resources": {
            "cds_config": config_source(settings.xds / "cds.json"),
            "lds_config": config_source(settings.xds / "lds.json"),
        },
        # Histograms are merged only at a flush, and Prometheus looks every second.
        "stats_flush_interval": "1s",
        "stats_config": {
            "use_all_default_tags": False,
            "stats_tags": _stats_tags(),
            "histogram_bucket_settings": [
                {"match": {"prefix": STATS_PREFIX}, "buckets": list(BUCKETS_MS)}
            ],
        },
    }


def config_source(path: Path) -> dict[str, Any]:
    """A file that Envoy reads at start and whenever another is moved to its place."""
    return {"path_config_source": {"path": str(path)}, "resource_api_version": "V3"}


def command_line(binary: Path, config: Path) -> list[str]:
    """Envoy's program and arguments.

    A field that Envoy does not know makes it reject an update: by default it would ignore the
    field and take the rest. One worker thread, so that limits are exact and the cost is small.
    """
    options = {
        "--config-path": str(config),
        "--concurrency": "1",
        "--drain-time-s": str(DRAIN_S),
        "--log-level": "warning",
        "--log-format": "%Y-%m-%dT%T.%e %l %n %v",
    }
    flags = ["--disable-hot-restart", "--reject-unknown-dynamic-fields"]
    return [str(binary), *flags, *(word for pair in options.items() for word in pair)]


def _stats_tags() -> list[dict[str, str]]:
    """Labels of a cluster's statistics: Istio's cluster name, and the pod whose client it is.

    A statistic is named ``cluster.<key>@<namespace>.<pod>;.<rest>``.
    """
    return [
        {"tag_name": "cluster_name", "regex": r"^cluster\.((.+?)@[^;]+;\.)"},
        {"tag_name": "pod", "regex": r"^cluster\.(.+?@(?:[^.;]+\.)?([^;]+);\.)"},
    ]
