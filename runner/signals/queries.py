"""The golden signals as PromQL, one dialect per mesh: data, and how it is filled in. No I/O.

A request inside of a mesh is counted twice, by the proxy of the caller (``reporter="source"``) and
by that of the callee (``destination``). What callers experience is the source's view, and only the
source sees refusals that never reach a callee: an injected abort (``FI``), a full connection pool
(``UO``), no healthy host (``UH``). So latency, traffic and errors are read at the source, always.

One thing is read at the callee: which requests were hit by a fault in front of his pod. There his
own proxy writes ``FI`` or ``DI``, and the caller's sees only a bad or a late answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from string import Template
from types import MappingProxyType
from typing import Final, Literal

Unit = Literal["s", "per_s", "ratio", "count"]

_REGEX_SPECIAL = re.compile(r"([\\.+*?()|\[\]{}^$])")


@dataclass(frozen=True, slots=True)
class Chart:
    """A query that is asked over the whole run, for all services in one answer.

    Attributes:
        sli: Indicator, such as ``latency.p95``.
        unit: Unit after ``factor``.
        template: PromQL with ``$namespace``, ``$window`` and, per service, the regular expressions
            ``$pods``, ``$workloads`` and ``$service``.
        factor: What the answer is multiplied with to be in ``unit``.
    """

    sli: str
    unit: Unit
    template: str
    factor: float = 1.0


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one mesh, and the exporters beside it, name things.

    Attributes:
        name: The mesh.
        service_label: Label of the called service.
        workload_label: Label of the called workload, whose name its pods' names begin with.
        code_label: Label of the HTTP status.
        flags_label: Label of the proxy's response flags.
        requests: Selector of the request counter, source view.
        buckets: Selector of the latency histogram's buckets over requests without error.
        durations: Selector of the same histogram's sum.
        ingress: Matcher for what came through the ingress gateway.
        flagged: Where a fault acts to the selector of requests with one of the response flags
            ``$flag``: ``client`` and ``server`` (the side of ``$service``), ``ingress`` and
            ``egress`` (to ``$service``, and from ``$workloads``).
        failed_code: Regular expression of a status that is an error; 0 means no answer at all.
        unknown: Values of ``service_label`` that are no service.
        latency_factor: What turns a latency into seconds.
        cpu: Selector of the CPU counter of the containers of ``$pods``.
        cpu_capacity: Expression of the CPU that these pods request, in cores.
        memory: Expression of their memory use as a share of their limits.
        pods: Regular expression of the pods of workload ``$workload``.
        charts: Queries over the run that answer for all services at once.
        service_charts: Queries over the run that are asked for each service.
        fault_flags: Kind of fault to the flags (any of them, as a regular expression) on requests
            that it hit.
        late_flags: The same for requests after its end, where others would prove nothing.
        overflow_flag: The flag on requests that a full connection pool refused.
    """

    name: str
    service_label: str
    workload_label: str
    code_label: str
    flags_label: str
    requests: str
    buckets: str
    durations: str
    ingress: Mapping[str, str]
    flagged: Mapping[str, str]
    failed_code: str
    unknown: frozenset[str]
    latency_factor: float
    cpu: str
    cpu_capacity: str
    memory: str
    pods: str
    charts: tuple[Chart, ...]
    service_charts: tuple[Chart, ...]
    fault_flags: Mapping[str, str]
    late_flags: Mapping[str, str]
    overflow_flag: str


_ISTIO_ALL: Final = 'reporter="source",destination_service_namespace="$namespace"'
_ISTIO_CALLED: Final = 'reporter="destination",destination_service_namespace="$namespace"'
_ISTIO_CALLERS: Final = 'reporter="source",source_workload_namespace="$namespace"'
# Flags are combined, as in "DI,URX".
_ISTIO_HIT: Final = 'istio_requests_total{%s,%s,response_flags=~"(.*,)?($flag)(,.*)?"}'
_ISTIO_FAILED: Final = "5..|0"
_ISTIO_RATE: Final = "sum by (destination_service_name) (rate(istio_requests_total{%s%s}[$window]))"
_ISTIO_LATENCY: Final = (
    "histogram_quantile(%s, sum by (destination_service_name, le) (rate("
    'istio_request_duration_milliseconds_bucket{%s,response_code!~"%s"}[$window])))'
)
_ISTIO_PROBLEMS: Final = _ISTIO_RATE % (_ISTIO_ALL, f',response_code=~"{_ISTIO_FAILED}"')
_ISTIO_TRAFFIC: Final = _ISTIO_RATE % (_ISTIO_ALL, "")

_RANDOM: Final = "[bcdfghjklmnpqrstvwxz2456789]"

# The empty container and POD are sums and pause containers of the kubelet, not containers.
_CONTAINERS: Final = 'namespace="$namespace",pod=~"$pods",container!="",container!="POD"'
_CPU: Final = f"container_cpu_usage_seconds_total{{{_CONTAINERS}}}"
_CPU_REQUESTED: Final = (
    'sum(kube_pod_container_resource_requests{namespace="$namespace",pod=~"$pods",resource="cpu"})'
)
_MEMORY: Final = (
    f"sum(container_memory_working_set_bytes{{{_CONTAINERS}}}) / "
    "sum(kube_pod_container_resource_limits{"
    'namespace="$namespace",pod=~"$pods",resource="memory"})'
)

# Of all proxies that call a service, the one with the fullest pool: limits are each proxy's own.
# Istio's proxies tell of pools only where `proxyStatsMatcher` says so; the sandbox's do.
_POOL: Final = (
    "max(max_over_time(envoy_cluster_%s{"
    'cluster_name=~"outbound[|].*[|]$service[.]$namespace[.].*"}[$window]))'
)
_REPLICAS: Final = (
    'sum(kube_deployment_%s{namespace="$namespace",deployment=~"$workloads"} or '
    'kube_statefulset_%s{namespace="$namespace",statefulset=~"$workloads"})'
)

ISTIO: Final = Dialect(
    name="istio",
    service_label="destination_service_name",
    workload_label="destination_workload",
    code_label="response_code",
    flags_label="response_flags",
    requests=f"istio_requests_total{{{_ISTIO_ALL}}}",
    buckets=(
        "istio_request_duration_milliseconds_bucket{"
        f'{_ISTIO_ALL},response_code!~"{_ISTIO_FAILED}"}}'
    ),
    durations=(
        f'istio_request_duration_milliseconds_sum{{{_ISTIO_ALL},response_code!~"{_ISTIO_FAILED}"}}'
    ),
    ingress=MappingProxyType({"source_workload": "istio-ingressgateway"}),
    flagged=MappingProxyType(
        {
            "client": _ISTIO_HIT % (_ISTIO_ALL, 'destination_service_name="$service"'),
            "server": _ISTIO_HIT % (_ISTIO_CALLED, 'destination_service_name="$service"'),
            "ingress": _ISTIO_HIT % (_ISTIO_ALL, 'destination_service_name="$service"'),
            "egress": _ISTIO_HIT % (_ISTIO_CALLERS, 'source_workload=~"$workloads"'),
        }
    ),
    failed_code=_ISTIO_FAILED,
    unknown=frozenset({"", "unknown", "PassthroughCluster", "BlackHoleCluster"}),
    latency_factor=1e-3,
    cpu=_CPU,
    cpu_capacity=_CPU_REQUESTED,
    memory=_MEMORY,
    # StatefulSet; DaemonSet; Deployment with its ReplicaSet's hash. Random names have no vowels, so
    # that "order" does not match the pods of "order-api".
    pods=f"$workload-[0-9]+|$workload(-{_RANDOM}+)?-{_RANDOM}{{5}}",
    charts=(
        *(
            Chart(f"latency.{name}", "s", _ISTIO_LATENCY % (ratio, _ISTIO_ALL, _ISTIO_FAILED), 1e-3)
            for name, ratio in (("p50", "0.5"), ("p95", "0.95"), ("p99", "0.99"))
        ),
        Chart("traffic", "per_s", _ISTIO_TRAFFIC),
        # A service without a failure has no series of failures: that is 0, not nothing.
        Chart("errors", "ratio", f"({_ISTIO_PROBLEMS} or {_ISTIO_TRAFFIC} * 0) / {_ISTIO_TRAFFIC}"),
    ),
    service_charts=(
        Chart("saturation.cpu", "ratio", f"sum(rate({_CPU}[$window])) / {_CPU_REQUESTED}"),
        Chart("saturation.memory", "ratio", _MEMORY),
        Chart("replicas.desired", "count", _REPLICAS % ("spec_replicas", "replicas")),
        Chart(
            "replicas.ready",
            "count",
            _REPLICAS % ("status_replicas_ready", "status_replicas_ready"),
        ),
        Chart("pool.connections", "count", _POOL % "upstream_cx_active"),
        Chart("pool.pending", "count", _POOL % "upstream_rq_pending_active"),
        Chart("pool.ejected", "count", _POOL % "outlier_detection_ejections_active"),
    ),
    # No connection (UF), none that lasted (UC), no host that is left (UH), no answer in time (UT).
    fault_flags=MappingProxyType(
        {"http-abort": "FI", "http-delay": "DI", "network-deny": "UF|UC|UH|UT"}
    ),
    # Hosts may stay ejected, and requests go on to be slow, for quite other reasons.
    late_flags=MappingProxyType({"http-abort": "FI", "http-delay": "DI", "network-deny": "UF"}),
    overflow_flag="UO",
)

DIALECTS: Final[Mapping[str, Dialect]] = MappingProxyType({"istio": ISTIO})


def filled(template: str, **values: str) -> str:
    """``template`` with its ``$names`` replaced; each value is escaped as a PromQL string.

    Args:
        template: PromQL in which a name stands inside of double quotes, or for a duration.
        values: Text by name.

    Raises:
        KeyError: When a name in the template has no value.
    """
    return Template(template).substitute({name: escaped(value) for name, value in values.items()})


def escaped(value: str) -> str:
    """``value`` as it stands between double quotes in PromQL."""
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def literal(value: str) -> str:
    """A regular expression (RE2) that matches ``value`` and nothing else."""
    return _REGEX_SPECIAL.sub(r"\\\1", value)


def pods_of(dialect: Dialect, workloads: Iterable[str]) -> str:
    """A regular expression of all pods of ``workloads``. PromQL anchors it at both ends."""
    return "|".join(
        Template(dialect.pods).substitute(workload=literal(name)) for name in sorted(set(workloads))
    )


def with_matchers(selector: str, matchers: Mapping[str, str]) -> str:
    """``selector``, which ends in ``}``, with more labels that must be equal."""
    more = "".join(f',{label}="{escaped(value)}"' for label, value in sorted(matchers.items()))
    return f"{selector.removesuffix('}')}{more}}}"


def seconds(duration_s: float) -> str:
    """A PromQL duration; milliseconds are its finest unit."""
    return f"{max(1, round(duration_s * 1000))}ms"
