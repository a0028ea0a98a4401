"""Istio's two metrics, counted by Envoy's own stats access logger. Pure.

Three places count, and each request passes exactly the right ones:

* the client's connection manager: ``reporter="source"``, one per request, with every flag;
* the client's router, per attempt that a pod answered: ``reporter="destination"``;
* a pod's inbound listener, where there is one: ``reporter="destination"`` including the faults
  injected there. The router then leaves that pod's attempts out.

Envoy renders a value that does not exist as an empty tag; Istio writes ``unknown``.
:data:`RELABELINGS` makes Istio's names and values of them.
"""

from __future__ import annotations

from typing import Any

from runner.targets.sandbox.mesh.model import Xds
from runner.targets.sandbox.mesh.registry import Client, Pod, Workload

STATS_PREFIX = "istio"
BUCKETS_MS = (
    *(0.5, 1, 2.5, 5, 10, 15, 20, 25, 30, 40, 50, 75, 100, 150, 200, 250, 300, 400, 500, 750),
    *(1000, 1500, 2500, 5000, 10000, 15000, 30000, 60000),
)
PEER_HEADER = "x-seatrial-peer"
_SOURCE_PARTS = ("source_workload", "source_workload_namespace", "source_app", "source_version")
_HOST_PARTS = {
    "destination_workload": "workload",
    "destination_workload_namespace": "workload_namespace",
    "destination_app": "app",
    "destination_version": "version",
}
_SERVICE_PARTS = {
    "destination_service": "service",
    "destination_service_name": "service_name",
    "destination_service_namespace": "service_namespace",
}

RELABELINGS: list[dict[str, Any]] = [
    {
        "source_labels": ["__name__"],
        "regex": "envoy_(istio_.*)",
        "target_label": "__name__",
        "replacement": "$1",
    },
    *(
        {
            "source_labels": ["__name__", label],
            "regex": "istio_.*;",
            "target_label": label,
            "replacement": "unknown",
        }
        for label in (*_SOURCE_PARTS, *_HOST_PARTS, *_SERVICE_PARTS)
    ),
]
"""Prometheus ``metric_relabel_configs`` for what Envoy serves."""


def source_logger(client: Client) -> Xds:
    """Counts every request of a client, whatever became of it."""
    return _logger("source", _literal(client.workload), _service_tags(), _host_tags())


def destination_logger(client: Client) -> Xds:
    """Counts, at the client, the attempts that a pod without inbound listener answered.

    An attempt without a response code never reached a pod (no connection, overflow), or nobody
    knows whether it did; a pod's proxy would not have counted the former.
    """
    logger = _logger("destination", _literal(client.workload), _service_tags(), _host_tags())
    logger["filter"] = {
        "and_filter": {
            "filters": [
                {
                    "status_code_filter": {
                        "comparison": {
                            "op": "GE",
                            "value": {
                                "default_value": 1,
                                "runtime_key": "seatrial.lowest_counted_code",
                            },
                        }
                    }
                },
                {
                    "extension_filter": {
                        "name": "envoy.access_loggers.extension_filters.cel",
                        "typed_config": {
                            "@type": "type.googleapis.com/envoy.extensions.access_loggers"
                            ".filters.cel.v3.ExpressionFilter",
                            "expression": _NOT_COUNTED_ELSEWHERE,
                        },
                    }
                },
            ]
        }
    }
    return logger


_NOT_COUNTED_ELSEWHERE = (
    "!('istio' in xds.upstream_host_metadata.filter_metadata) || "
    "!('counted_by' in xds.upstream_host_metadata.filter_metadata['istio'])"
)


def inbound_logger(pod: Pod, services: list[tuple[str, str, str]]) -> Xds:
    """Counts, at a pod's inbound listener, what arrives there.

    Args:
        pod: The pod.
        services: Host, name and namespace of the services that the pod belongs to; requests
            are counted for the first, as nothing in them tells which one was meant.
    """
    source = {part: f"%DYNAMIC_METADATA(istio:{part})%" for part in _SOURCE_PARTS}
    service = dict(zip(_SERVICE_PARTS, (services or [("", "", "")])[0], strict=True))
    values = (pod.workload.name, pod.workload.namespace, pod.workload.app, pod.workload.version)
    return _logger("destination", source, service, dict(zip(_HOST_PARTS, values, strict=True)))


def peer_header(client: Client) -> Xds:
    """The request header by which an inbound listener knows who calls."""
    workload = client.workload
    value = "~".join((workload.name, workload.namespace, workload.app, workload.version))
    return {
        "header": {"key": PEER_HEADER, "value": value},
        "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
    }


def peer_filter() -> Xds:
    """The HTTP filter that reads and removes :func:`peer_header`."""
    parts = len(_SOURCE_PARTS)
    rules: list[Xds] = [
        {
            "header": PEER_HEADER,
            "on_header_present": {
                "metadata_namespace": "istio",
                "key": part,
                "type": "STRING",
                "regex_value_rewrite": {
                    "pattern": {"regex": "~".join(["([^~]*)"] * parts)},
                    "substitution": f"\\{position + 1}",
                },
            },
            "remove": position == parts - 1,
        }
        for position, part in enumerate(_SOURCE_PARTS)
    ]
    return {
        "name": "envoy.filters.http.header_to_metadata",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http"
            ".header_to_metadata.v3.Config",
            "request_rules": rules,
        },
    }


def _literal(workload: Workload) -> dict[str, str]:
    values = (workload.name, workload.namespace, workload.app, workload.version)
    return dict(zip(_SOURCE_PARTS, values, strict=True))


def _service_tags() -> dict[str, str]:
    return {name: f"%CLUSTER_METADATA(istio:{key})%" for name, key in _SERVICE_PARTS.items()}


def _host_tags() -> dict[str, str]:
    return {name: f"%UPSTREAM_METADATA(istio:{key})%" for name, key in _HOST_PARTS.items()}


def _logger(
    reporter: str, source: dict[str, str], service: dict[str, str], host: dict[str, str]
) -> Xds:
    values = {
        "reporter": reporter,
        **source,
        **service,
        **host,
        "request_protocol": "http",
        "response_code": "%RESPONSE_CODE%",
        "response_flags": "%RESPONSE_FLAGS%",
        # A source does not know it in Istio either.
        "connection_security_policy": "unknown" if reporter == "source" else "none",
    }
    tags = [{"name": name, "value_format": value} for name, value in values.items() if value]
    return {
        "name": "envoy.access_loggers.stats",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.access_loggers.stats.v3.Config",
            "stats_scope": {"prefix": STATS_PREFIX},
            "counters": [{"stat": {"name": "requests_total", "tags": tags}, "value_fixed": 1}],
            "histograms": [
                {
                    "stat": {"name": "request_duration_milliseconds", "tags": tags},
                    "unit": "Milliseconds",
                    "value_format": "%DURATION%",
                }
            ],
        },
    }
