"""A run under way, read from the folder that it writes: figures and words for its page.

What is new in the record of the load is taken in by every look, wherever in the run the first one
is; what is kept does not grow with the length of the run. Writes nothing, and never blocks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import groupby

from runner.analysis.guards import load_look
from runner.analysis.live import LiveLoad
from runner.analysis.windows import phase_label
from runner.errors import LoadError, RecordingError
from runner.model.histogram import merge_into, quantile_us
from runner.model.plan import Phase, Plan
from runner.model.recording import Event, LoadRow, Manifest, unhealed
from runner.model.shape import Items, Model
from runner.model.summary import RunSummary, summary_of
from runner.ports import LoadProgress
from runner.reports import format as fmt
from runner.reports.grid import Grid, grid_of
from runner.reports.overlay import LoadLines, Overlay, overlays
from runner.reports.runlist import RunLine, run_line
from runner.reports.text import Shown
from runner.store import RunDir

Read = Callable[[], LoadProgress]
"""What the load generator has newly written; at most so much that it can be held in memory."""

MOST_READS = 3
"""Reads of one look: a record that has long been growing is caught up with in several looks."""

_BEHIND_S = 10.0

MOST_EVENTS, MOST_REMARKS = 20, 5


class LiveFault(Model):
    """A planned fault, and how far it has come."""

    id: Shown
    what: Shown
    when: str
    word: str
    active: bool


class LiveGuard(Model):
    """A guard, and what it sees now."""

    title: Shown
    sees: Shown
    word: str
    breached: bool


class LiveEvent(Model):
    """A line of the journal."""

    when: str
    what: Shown
    kind: str
    detail: Shown


class LiveFigure(Model):
    """A figure of the last seconds."""

    name: str
    text: str
    bad: bool = False


class LiveState(Model):
    """Everything that the page of a run under way shows.

    Attributes:
        over: Whether nothing more is to come but the report.
        settled: Whether not even that is to come.
        done_ratio: How much of the load is done.
    """

    line: RunLine
    question: Shown
    over: bool
    settled: bool
    activity: Shown
    clock: str
    left: str
    done_ratio: float
    phase: Shown
    figures: Items[LiveFigure]
    faults: Items[LiveFault]
    guards: Items[LiveGuard]
    events: Items[LiveEvent]
    remarks: Items[Shown]
    charts: Items[Overlay]


@dataclass(slots=True)
class _Step:
    """What was seen in one step of the charts."""

    requests: int = 0
    failures: int = 0
    latencies: dict[int, int] = field(default_factory=dict)


class LiveRun:
    """A run that is watched.

    Args:
        run: Its folder; it must have a plan.
        read: Gives what is new in its record of the load.

    Raises:
        RecordingError: When the folder holds no plan of this version.
    """

    def __init__(self, run: RunDir, read: Read) -> None:
        self.run = run
        self._plan: Plan = run.read_plan()
        self._read = read
        self._live = LiveLoad()
        self._grid: Grid = grid_of(self._plan, None)
        self._steps: dict[int, _Step] = {}
        self._started_wall_s: float | None = None
        self._reached_s = 0.0
        self._trouble = ""
        self._behind = False
        self._events: tuple[Event, ...] = ()
        self._events_size = -1

    def look(self, now_s: float) -> LiveState:
        """The run as of the Unix time ``now_s``.

        Raises:
            RecordingError: When the folder has lost its manifest.
        """
        manifest = self.run.read_manifest()
        self._take_in(now_s)
        summary = summary_of(self.run.files(), now_s)
        over = summary.standing != "under way"
        offset_s = self._offset_s(now_s, over=over)
        phase = None if over or offset_s is None else self._plan.phase_at(offset_s)
        return LiveState(
            line=run_line(summary),
            question=self._plan.experiment.description,
            over=over,
            settled=summary.report or summary.standing in ("unfinished", "torn"),
            activity=self._activity(manifest, summary, offset_s),
            clock=fmt.NOTHING if offset_s is None else fmt.clock_offset(offset_s),
            left=self._left(offset_s, over=over),
            done_ratio=0.0 if offset_s is None else offset_s / self._plan.duration_s,
            phase=_phase_words(self._plan, phase),
            figures=self._figures(offset_s, over=over),
            faults=self._faults(offset_s, over=over),
            guards=() if over or self._behind else self._guards(offset_s),
            events=tuple(map(_event, self._events[: -MOST_EVENTS - 1 : -1])),
            remarks=self._remarks(),
            charts=self._charts(),
        )

    # -- taking in -------------------------------------------------------------------------------

    def _take_in(self, now_s: float) -> None:
        size = self.run.events_path.stat().st_size if self.run.events_path.exists() else 0
        try:
            if size != self._events_size:
                self._events, self._events_size = self.run.read_events(), size
            self._behind = not any(self._takes_all(now_s) for _ in range(MOST_READS))
            self._trouble = ""
        except (LoadError, RecordingError) as error:
            self._trouble = error.message

    def _takes_all(self, now_s: float) -> bool:
        """Take in one reading; whether there was nothing more, or nothing more of long ago."""
        progress = self._read()
        self._started_wall_s = progress.started_wall_s or self._started_wall_s
        if not (progress.rows or progress.users or progress.arrivals):
            return True
        self._add(progress, now_s)
        return now_s - (self._started_wall_s or now_s) - self._reached_s < _BEHIND_S

    def _add(self, progress: LoadProgress, now_s: float) -> None:
        """Take in what is new, each row at the moment at which it was written.

        A second's rows are written at its end, and what ended later than its second after those of
        a later one. So the record itself tells when, also to one who comes late.
        """
        now_offset_s = now_s - (self._started_wall_s or now_s)

        def reached(row: LoadRow) -> float:
            self._reached_s = max(self._reached_s, min(row.second + 1.0, now_offset_s))
            return self._reached_s

        for at_s, rows in groupby(progress.rows, key=reached):
            self._live.add(rows, (), at_s)
        if progress.users:
            last = max(second for second, _ in progress.users) + 1.0
            self._reached_s = max(self._reached_s, min(last, now_offset_s))
            self._live.add((), progress.users, self._reached_s)
        self._live.arrivals.add(progress.arrivals)
        self._live.remarks.extend(progress.remarks)
        del self._live.remarks[:-MOST_REMARKS]
        for row in progress.rows:
            index = self._grid.index_of(float(row.second))
            if index is not None:
                self._count(self._steps.setdefault(index, _Step()), row)

    @staticmethod
    def _count(step: _Step, row: LoadRow) -> None:
        step.requests += row.count
        if row.outcome == "success":
            merge_into(step.latencies, row.latency_us)
        else:
            step.failures += row.count

    # -- telling ---------------------------------------------------------------------------------

    def _offset_s(self, now_s: float, *, over: bool) -> float | None:
        """Offset of this moment within the plan; of a run that is over, where its record ends."""
        if self._started_wall_s is None:
            return None
        offset_s = self._reached_s if over else now_s - self._started_wall_s
        return min(max(0.0, offset_s), self._plan.duration_s)

    def _activity(self, manifest: Manifest, summary: RunSummary, offset_s: float | None) -> str:
        if summary.standing == "judged":
            return f"ended: {summary.why}"
        if summary.standing in ("unfinished", "torn"):
            return summary.why
        if summary.standing == "unjudged":
            return manifest.reason or "ended; being judged"
        begun = [event for event in self._events if event.kind == "begin"]
        if offset_s is None or offset_s >= self._plan.duration_s:
            last = begun[-1] if begun else None
            return f"{last.source}: {last.action}" if last else "about to begin"
        return "running"

    def _remarks(self) -> tuple[str, ...]:
        said = [*self._live.remarks[-MOST_REMARKS:], self._trouble]
        if self._behind:
            said.append(f"catching up with the record, now at {fmt.clock_offset(self._reached_s)}")
        return tuple(filter(None, said))

    def _left(self, offset_s: float | None, *, over: bool) -> str:
        if over or offset_s is None:
            return ""
        left = f"{fmt.span(round(self._plan.duration_s - offset_s))} left"
        return f"at most {left}" if self._plan.experiment.load.search is not None else left

    def _figures(self, offset_s: float | None, *, over: bool) -> tuple[LiveFigure, ...]:
        live = self._live
        totals = (
            LiveFigure(name="Requests", text=fmt.count(live.requests)),
            LiveFigure(name="Failed", text=fmt.count(live.failures), bad=bool(live.failures)),
        )
        if over or self._behind or offset_s is None:
            return totals
        window = live.window(offset_s)
        if self._plan.experiment.load.is_open:
            first: tuple[LiveFigure, ...] = (
                LiveFigure(name="Started", text=fmt.rate(live.arrivals.rate_per_s(offset_s))),
                LiveFigure(name="In flight", text=fmt.count(live.arrivals.in_flight)),
                LiveFigure(
                    name="Dropped",
                    text=fmt.count(live.arrivals.dropped),
                    bad=bool(live.arrivals.dropped),
                ),
            )
        else:
            first = (
                LiveFigure(name="Users", text=fmt.count(live.users)),
                LiveFigure(name="Rate", text=fmt.rate(window.rate_per_s)),
            )
        return (
            *first,
            LiveFigure(name="p95", text=fmt.seconds(window.latency_s(0.95))),
            LiveFigure(
                name="Errors", text=fmt.percent(window.error_ratio), bad=bool(window.error_ratio)
            ),
            *totals,
        )

    def _faults(self, offset_s: float | None, *, over: bool) -> tuple[LiveFault, ...]:
        begun = {e.source for e in self._events if e.action == "inject"}
        open_now = unhealed(self._events)
        told = []
        for one in self._plan.faults:
            if one.id not in begun:
                word = "did not begin" if over else "to come"
            elif one.id not in open_now:
                word = "healed"
            elif over:
                word = "NOT KNOWN TO BE HEALED"
            else:
                at_s = offset_s or 0.0
                word = "in place" if at_s < one.end_s else "healing"
                word = "being prepared" if at_s < one.start_s else word
            span = f"{fmt.clock_offset(one.start_s)} – {fmt.clock_offset(one.end_s)}"
            where = getattr(one.fault, "service", "")
            told.append(
                LiveFault(
                    id=one.id,
                    what=f"{one.fault.kind}{f' on {where}' if where else ''}",
                    when=span,
                    word=word,
                    active=one.id in open_now,
                )
            )
        return tuple(told)

    def _guards(self, offset_s: float | None) -> tuple[LiveGuard, ...]:
        told = []
        for guard in self._plan.experiment.guards:
            sees, word, breached = "", "watching", False
            if offset_s is None or offset_s < guard.grace:
                word = "not yet"
            elif guard.kind == "promql":
                sees = "asked by the run itself"
            else:
                look = load_look(guard, self._live, min(offset_s, self._reached_s))
                sees, breached = look.saw, look.breached is True
                word = "its condition holds" if breached else "watching"
            told.append(LiveGuard(title=guard.title, sees=sees, word=word, breached=breached))
        return tuple(told)

    def _charts(self) -> tuple[Overlay, ...]:
        """The load so far, and the faults of the plan that have begun."""
        begun = {e.source for e in self._events if e.action == "inject"}
        spans = tuple((f.start_s, f.end_s) for f in self._plan.faults if f.id in begun)
        steps = [self._steps.get(index) for index in range(max(self._steps, default=-1) + 1)]
        lengths = [end_s - start_s for start_s, end_s in self._grid.edges_s]
        lines = LoadLines(
            latency=tuple(_p95_s(step) for step in steps),
            errors=tuple(
                step.failures / step.requests if step and step.requests else None for step in steps
            ),
            traffic=tuple(
                (step.requests if step else 0) / length
                for step, length in zip(steps[:-1], lengths, strict=False)
            ),
            faults=spans,
        )
        return overlays(lines, None, self._grid)


def _p95_s(step: _Step | None) -> float | None:
    value = None if step is None else quantile_us(step.latencies, 0.95)
    return None if value is None else value / 1e6


def _phase_words(plan: Plan, phase: Phase | None) -> str:
    return "" if phase is None else phase_label(plan, phase)


def _event(event: Event) -> LiveEvent:
    if event.offset_s is None:
        when = fmt.utc(event.wall_s)[11:19]
    else:
        when = fmt.clock_offset(max(0.0, event.offset_s))
    return LiveEvent(
        when=when, what=f"{event.source}: {event.action}", kind=event.kind, detail=event.detail
    )


def newest_under_way(summaries: Iterable[RunSummary]) -> RunSummary | None:
    """The run that is under way; of several the newest, which comes first."""
    return next((one for one in summaries if one.standing == "under way"), None)
