"""The recording: what was done and what was seen, as it stands on disk.

Rows of the load are plain slotted dataclasses, because there are many; everything else is a frozen
model. Offsets are seconds from the start of the load; a wall-clock anchor stands in the manifest.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from pydantic import Field

from runner.model.access import BareText, PrometheusAccess
from runner.model.alertspan import AlertSpan as AlertSpan  # noqa: PLC0414 - others take it here
from runner.model.faultrecord import FaultRecord
from runner.model.histogram import Counts
from runner.model.plan import Plan
from runner.model.shape import Items, Model
from runner.model.surroundings import Surroundings
from runner.model.target import Bounds

MANIFEST_SCHEMA = 1

EventKind = Literal["begin", "ok", "failed", "unknown", "note"]
RunState = Literal["planned", "running", "recorded", "interrupted", "aborted", "failed"]
Outcome = Literal["success", "http_4xx", "http_5xx", "timeout", "connection", "error"]

OUTCOMES: tuple[Outcome, ...] = (
    "success",
    "http_4xx",
    "http_5xx",
    "timeout",
    "connection",
    "error",
)


class Event(Model):
    """A line of the journal.

    An effect is journaled as ``begin`` before it happens, then as ``ok``, ``failed`` (it surely did
    not take) or ``unknown`` (it raised; nobody knows whether it took). ``note`` is everything else.

    Attributes:
        wall_s: Unix time.
        offset_s: Seconds from the start of the load; None before it has started.
        source: Who: ``target``, ``load``, ``signals``, ``guard``, ``run`` or a fault's id.
        action: What: ``open``, ``start``, ``inject``, ``heal``, ``stop``, ``collect``, ``close``...
    """

    wall_s: float
    offset_s: float | None = None
    source: str
    action: str
    kind: EventKind
    detail: str = ""


def aborted_from_outside(events: Iterable[Event]) -> bool:
    """Whether the run ended because its guardian said so: a switch was set, or its Lease lost."""
    return any((event.source, event.action) == ("guardian", "abort") for event in events)


def unhealed(events: Iterable[Event]) -> frozenset[str]:
    """Ids of faults whose injection began and whose heal is not on record as ``ok``.

    This is what may still be broken when nothing but the journal is left.
    """
    open_faults: set[str] = set()
    for event in events:
        if event.action == "inject" and event.kind == "begin":
            open_faults.add(event.source)
        elif event.action == "heal" and event.kind == "ok":
            open_faults.discard(event.source)
    return frozenset(open_faults)


class TargetInfo(Model):
    """Where a run goes: addresses and identity, never a secret.

    Attributes:
        prometheus_url: Address of Prometheus, as everybody may see it.
        prometheus: How it is reached; not recorded, and None where the address is all there is.
        kubeconfig: Path of the kubeconfig; used by the children of the run, not recorded.
        identity: What tells this target from others: API server and context.
        bounds: How much may be broken at a time.
        flags: What names this target on a command line; empty where its name does.
        require_opt_in: Whether its namespace had to allow faults by a label.
        parts: Version of each part of it that told one, such as ``envoy`` and ``prometheus``.
    """

    kind: Literal["sandbox", "cluster"]
    name: str
    namespace: str
    ingress_url: BareText
    host: str = Field(description="Host header of requests to the ingress; empty for none.")
    prometheus_url: str
    prometheus: PrometheusAccess | None = Field(exclude=True, default=None, repr=False)
    kubeconfig: str = Field(exclude=True, default="")
    context: str = ""
    identity: BareText = ""
    bounds: Bounds = Bounds()
    flags: str = ""
    require_opt_in: bool = True
    parts: dict[str, str] = Field(default_factory=dict)

    @property
    def access(self) -> PrometheusAccess:
        """How its Prometheus is reached."""
        return self.prometheus or PrometheusAccess.model_construct(url=self.prometheus_url)


class ClockAnchor(Model):
    """The two clocks of a run.

    Attributes:
        load_started_wall_s: Unix time of offset 0.
        prometheus_skew_s: Prometheus' ``time()`` minus ours; None when it could not be measured.
    """

    load_started_wall_s: float
    prometheus_skew_s: float | None = None


class Manifest(Model):
    """Identity and state of a run. The last thing that is written."""

    schema_version: int = MANIFEST_SCHEMA
    run_id: str
    experiment: str
    experiment_sha256: str
    state: RunState
    reason: str = ""
    created_at: str = Field(description="UTC, ISO 8601.")
    argv: Items[str] = ()
    git_revision: str = ""
    versions: dict[str, str] = Field(default_factory=dict)
    host: dict[str, str] = Field(default_factory=dict)
    seed: int = 0
    target: TargetInfo | None = None
    anchor: ClockAnchor | None = None


@dataclass(frozen=True, slots=True)
class LoadRow:
    """Requests of one second, to one endpoint, with one outcome.

    In the closed model, those that were *sent* in it; in the open model, those that were *due* in
    it, because what waits for a generator or a slow target must not move to a better second.

    Attributes:
        second: Whole seconds from the start of the load.
        endpoint: ``METHOD name``, as Locust reports them.
        outcome: How they ended.
        latency_us: Histogram of microseconds: the response time, from the intended start to the
            end of the response. The closed model has no intention but the send.
        service_us: The same requests, from the send; None where that is the same.
        late: In a search: whether they ended only after it had been decided what follows the step
            of their second. They count for everything else.
    """

    second: int
    endpoint: str
    outcome: str
    latency_us: Counts
    service_us: Counts | None = None
    late: bool = False

    @property
    def count(self) -> int:
        return sum(self.latency_us.values())


@dataclass(frozen=True, slots=True)
class GeneratorSecond:
    """How the load generator itself fared in one second; of several processes, the worst one.

    Attributes:
        cpu_ratio: CPU time of its process over time passed; 1 is one core.
        lag_s: How late its own timer fired, and so what a send may have been late as well.
        rss_bytes: Memory of its processes.
    """

    cpu_ratio: float
    lag_s: float
    rss_bytes: int


@dataclass(frozen=True, slots=True)
class ArrivalSecond:
    """What became of the arrivals of one second, in the open model.

    Attributes:
        offered: Arrivals that were due.
        started: Those that were given to a user, in this second.
        waited: Those of them that had to wait for a user, because all were busy, or because one
            had to be started and was not ready at once.
        dropped: Those that were given up, because no user came free in time.
        completed: Arrivals whose task ended in this second.
        late_us: Histogram of microseconds from the due moment to the start of those that did not
            wait for a user: how unpunctual the generator was.
    """

    offered: int = 0
    started: int = 0
    waited: int = 0
    dropped: int = 0
    completed: int = 0
    late_us: Counts = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SearchStep:
    """One step of a search as the generator carried it out.

    Attributes:
        ended: Whether it was followed to its end and its requests were waited for.
        in_flight: Tasks that were still under way when nobody waited any longer.
    """

    number: int
    rate_per_s: float
    start_s: float
    duration_s: float
    ended: bool = False
    in_flight: int = 0


USER_CODE = "(user code)"
"""Endpoint under which exceptions in a locustfile's own code are listed as failures."""

SHAPE_ENDED = "the locustfile's load shape ended"
"""How the note begins that tells of a shape which ended long before the load."""


WorkerWord = Literal["joined", "lost", "back", "late"]


@dataclass(frozen=True, slots=True)
class WorkerEvent:
    """Something that happened to a worker process of the generator.

    Attributes:
        what: ``joined`` at the start, ``lost`` when it fell silent, ``back`` when it spoke again
            (and was sent away), ``late`` when it came after the start (and was sent away).
    """

    second: int
    worker: str
    what: WorkerWord


def worker_sentence(event: WorkerEvent) -> str:
    """``event`` as a sentence without a full stop."""
    return {
        "joined": f"Worker {event.worker} joined",
        "lost": f"Worker {event.worker} was lost at {event.second} s; the others took its share",
        "back": f"Worker {event.worker} spoke again at {event.second} s and was sent away",
        "late": f"Worker {event.worker} came at {event.second} s, too late, and was sent away",
    }[event.what]


@dataclass(frozen=True, slots=True)
class LoadRecord:
    """Everything the load generator wrote down.

    Attributes:
        rows: One for each second, endpoint and outcome; several of the same key add up. As read
            from a file they are ``runner.model.packedrows.PackedRows``: cheap to hold, and dear
            to walk through row by row.
        users: Second to the number of running users at its end.
        failures: ``(endpoint, outcome, error text)`` to the number of times it was seen.
        dropped_failures: Failures whose text was not kept, because there were too many texts.
        finished: Whether the generator closed its record in an orderly way.
        complete: Whether it says, in closing, that it followed the plan to its end.
        generator: Second to the generator's own account.
        notes: Sentences about the record that its reader must know.
        interrupted: Users that were ended by force within a task; the request that each had under
            way is not on record.
        arrivals: Second to its arrivals; empty in the closed model.
        workers: What happened to worker processes, in order; empty for a generator of one process.
        steps: Steps of a search, in order.
        wanted: Second to the users that a locustfile's own shape wanted at its end.
    """

    rows: Sequence[LoadRow]
    users: Mapping[int, int]
    failures: Mapping[tuple[str, str, str], int]
    dropped_failures: int = 0
    finished: bool = False
    complete: bool = False
    generator: Mapping[int, GeneratorSecond] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    interrupted: int = 0
    arrivals: Mapping[int, ArrivalSecond] = field(default_factory=dict)
    workers: tuple[WorkerEvent, ...] = ()
    steps: tuple[SearchStep, ...] = ()
    wanted: Mapping[int, int] = field(default_factory=dict)


SignalState = Literal["ok", "gaps", "empty", "error"]


class SignalSeries(Model):
    """One indicator of one service over the whole run, as Prometheus answered.

    Attributes:
        sli: ``latency.p50|p95|p99``, ``traffic``, ``errors``, ``saturation.cpu|memory``,
            ``replicas.desired|ready``, ``pool.connections|pending|ejected`` (of the calling proxy
            that has most) or an own name.
        service: Service the series is about; empty when it is about all.
        unit: ``s``, ``per_s``, ``ratio`` or ``count``.
        points: ``(offset_s, value)``; a value is None where there was none or it was NaN.
    """

    sli: str
    service: str
    unit: str
    query: str
    step_s: float
    points: Items[tuple[float, float | None]]
    state: SignalState
    message: str = ""
    warnings: Items[str] = ()


class PhaseSignal(Model):
    """One indicator of one service over exactly one phase.

    Attributes:
        value: In the series' unit; None when there is nothing to tell.
        samples: Requests the value rests on (latency, errors, traffic), or scrapes (saturation).
    """

    phase: int
    sli: str
    service: str
    unit: str
    query: str
    value: float | None
    samples: float | None = None
    state: SignalState
    message: str = ""
    warnings: Items[str] = ()


class Signals(Model):
    """All that was collected from the signal source, and how complete it is.

    Attributes:
        services: Services that were asked for.
        stages: What the mesh saw in each plateau of an uneven load; ``phase`` is the index of the
            plateau.
        phases: Figures of phases, and of the plan's windows, by their index.
        alerts: Times in which alerts were pending or firing, of the target's namespace or of none.
        alerts_missing: Why nobody knows about alerts; empty when Prometheus was asked and answered.
        rules: Names of the alerts that Prometheus has rules for; None when that is not known.
        rule_severities: Name of such an alert to the severities that its rules give it.
        broken_rules: Name of such an alert to why Prometheus cannot evaluate its rule.
        scrape_gaps: Sentences, one for each scrape target that was down or silent in the run.
        fault_flags: Fault id to the number of requests that the mesh flagged as hit by it while it
            was planned to be in effect (FI, DI); absent where flags say nothing.
        late_flags: Fault id to flagged requests after the fault's end and its grace.
    """

    services: Items[str]
    series: Items[SignalSeries] = ()
    phases: Items[PhaseSignal] = ()
    stages: Items[PhaseSignal] = ()
    alerts: Items[AlertSpan] = ()
    alerts_missing: str = "alerts were not asked for"
    rules: Items[str] | None = None
    rule_severities: dict[str, Items[str]] = Field(default_factory=dict)
    broken_rules: dict[str, str] = Field(default_factory=dict)
    scrape_gaps: Items[str] = ()
    fault_flags: dict[str, float | None] = Field(default_factory=dict)
    late_flags: dict[str, float | None] = Field(default_factory=dict)
    error: str = ""


@dataclass(frozen=True, slots=True)
class Recording:
    """A run as read back from its folder; the only input of the evaluation."""

    manifest: Manifest
    plan: Plan
    events: tuple[Event, ...]
    load: LoadRecord
    signals: Signals | None
    faults: tuple[FaultRecord, ...]
    surroundings: Surroundings = field(default_factory=Surroundings)

    def offset_s(self, wall_s: float) -> float | None:
        """Seconds from the start of the load of a Unix time; None when the load never started."""
        anchor = self.manifest.anchor
        return None if anchor is None else wall_s - anchor.load_started_wall_s
