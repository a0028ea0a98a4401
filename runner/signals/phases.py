"""Latency, traffic, errors and refusals of each service over exactly one phase, from counters.

The service without a name is the ingress: everything that came through the gateway.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from runner.errors import SignalError
from runner.model.recording import PhaseSignal
from runner.signals.counters import bucket_quantile, summed_buckets
from runner.signals.figures import Figure, PhaseWindow, attempt, failed, nothing
from runner.signals.growth import Growth, growth
from runner.signals.queries import Dialect
from runner.signals.scope import Scope

INGRESS = ""
QUANTILES: tuple[str, ...] = ("p50", "p95", "p99")
"""Statistics that are always collected, whatever the objectives ask for."""

Labelled = tuple[dict[str, str], float]


@dataclass(frozen=True, slots=True)
class Counted:
    """What the mesh's counters grew by in one phase; the error where that could not be asked."""

    window: PhaseWindow
    requests: Growth | SignalError
    buckets: Growth | SignalError
    durations: Growth | SignalError


def counted(scope: Scope, window: PhaseWindow, kind: str = "phase") -> Counted:
    """Ask for one phase, or for one window of another ``kind``, which raw answers are named by.

    Raises:
        UnreachableError: When Prometheus does not answer at all.
    """

    def ask(name: str, template: str) -> Growth | SignalError:
        label = f"{kind}{window.phase.index}-{name}"
        times = (window.start_s, window.end_s)
        return attempt(lambda: growth(scope.client, label, scope.fill(template), *times))

    return Counted(
        window,
        requests=ask("requests", scope.dialect.requests),
        buckets=ask("buckets", scope.dialect.buckets),
        durations=ask("durations", scope.dialect.durations),
    )


def workloads_seen(dialect: Dialect, phases: Iterable[Counted]) -> dict[str, set[str]]:
    """Services that were called in any phase, each with the workloads that answered for it."""
    found: dict[str, set[str]] = {}
    for one in phases:
        if isinstance(one.requests, SignalError):
            continue
        for labels, value in _labelled(one.requests):
            service = labels.get(dialect.service_label, "")
            if value > 0 and service not in dialect.unknown:
                workloads = found.setdefault(service, set())
                workload = labels.get(dialect.workload_label, "")
                workloads.update({workload} - dialect.unknown)
    return found


def mesh_signals(
    dialect: Dialect, seen: Counted, services: Iterable[str], statistics: Iterable[str]
) -> Iterator[PhaseSignal]:
    """Traffic, errors and latency statistics of ``services`` and of the ingress in one phase."""
    slis: dict[str, Callable[[str], Figure]] = {
        "traffic": lambda service: _traffic(dialect, seen, service),
        "errors": lambda service: _errors(dialect, seen, service),
        "overflow": lambda service: _overflow(dialect, seen, service),
        "latency.avg": lambda service: _mean(dialect, seen, service),
    }
    for name in statistics:
        if name.startswith("p"):
            slis[f"latency.{name}"] = (
                lambda service, name=name: (  # type: ignore[misc]
                    _quantile(dialect, seen, service, float(name[1:]) / 100)
                )
            )
    for service in (*services, INGRESS):
        for sli, figure in slis.items():
            yield figure(service).of(seen.window, sli, service)


# -- one figure ------------------------------------------------------------------------------------

_NO_SERIES = "the mesh knows no request to it"
_NO_REQUESTS = "the mesh saw no request to it"
_NO_SUCCESS = "the mesh saw no request to it that succeeded"


def _traffic(dialect: Dialect, seen: Counted, service: str) -> Figure:
    grown = seen.requests
    if isinstance(grown, SignalError):
        return failed("", grown)
    series = _of(dialect, grown, service)
    if not series:
        return nothing(grown.query, _NO_SERIES, tuple(grown.warnings))
    total = sum(value for _, value in series)
    return Figure(total / seen.window.seconds, total, grown.query, warnings=tuple(grown.warnings))


def _errors(dialect: Dialect, seen: Counted, service: str) -> Figure:
    grown = seen.requests
    if isinstance(grown, SignalError):
        return failed("", grown)
    series = _of(dialect, grown, service)
    total = sum(value for _, value in series)
    if total <= 0:
        message = _NO_REQUESTS if series else _NO_SERIES
        return nothing(grown.query, message, tuple(grown.warnings))
    wrong = sum(
        value
        for labels, value in series
        if re.fullmatch(dialect.failed_code, labels.get(dialect.code_label, ""))
    )
    return Figure(wrong / total, total, grown.query, warnings=tuple(grown.warnings))


def _overflow(dialect: Dialect, seen: Counted, service: str) -> Figure:
    """Requests that a full connection pool refused; flags are combined, as in ``UO,URX``."""
    grown = seen.requests
    if isinstance(grown, SignalError):
        return failed("", grown)
    series = _of(dialect, grown, service)
    if not series:
        return nothing(grown.query, _NO_SERIES, tuple(grown.warnings))
    refused = sum(
        value
        for labels, value in series
        if dialect.overflow_flag in labels.get(dialect.flags_label, "").split(",")
    )
    total = sum(value for _, value in series)
    return Figure(refused, total, grown.query, warnings=tuple(grown.warnings))


def _quantile(dialect: Dialect, seen: Counted, service: str, ratio: float) -> Figure:
    grown = seen.buckets
    if isinstance(grown, SignalError):
        return failed("", grown)
    buckets = summed_buckets(_of(dialect, grown, service))
    found = bucket_quantile(buckets, ratio)
    warnings = tuple(grown.warnings)
    if found.value is None:
        return nothing(grown.query, _NO_SUCCESS if buckets else _NO_SERIES, warnings)
    value = found.value * dialect.latency_factor
    total = buckets[max(buckets)]
    if found.beyond:
        message = f"it is above {value:g} s, the highest bound that the mesh counts by"
        return Figure(value, total, grown.query, "gaps", message, warnings)
    return Figure(value, total, grown.query, warnings=warnings)


def _mean(dialect: Dialect, seen: Counted, service: str) -> Figure:
    grown, durations = seen.buckets, seen.durations
    if isinstance(grown, SignalError):
        return failed("", grown)
    if isinstance(durations, SignalError):
        return failed("", durations)
    buckets = summed_buckets(_of(dialect, grown, service))
    total = buckets[max(buckets)] if buckets else 0.0
    warnings = (*grown.warnings, *durations.warnings)
    if total <= 0:
        return nothing(durations.query, _NO_SUCCESS if buckets else _NO_SERIES, warnings)
    spent = sum(value for _, value in _of(dialect, durations, service))
    value = spent / total * dialect.latency_factor
    return Figure(value, total, durations.query, warnings=warnings)


def _of(dialect: Dialect, grown: Growth, service: str) -> list[Labelled]:
    """The series of ``service``, or those that came through the gateway."""
    wanted = dict(dialect.ingress) if service == INGRESS else {dialect.service_label: service}
    return [
        (labels, value) for labels, value in _labelled(grown) if wanted.items() <= labels.items()
    ]


def _labelled(grown: Growth) -> Iterator[Labelled]:
    return ((dict(key), value) for key, value in grown.values.items())
