"""Progress of a run: a live table on a terminal, plain lines elsewhere, on standard error.

Nothing here can end a run: a terminal that was closed or a reader that went away is not told any
more, and that is all. A message of a signal handler is drawn by the next refresh, or written past
all buffers, because the handler may have interrupted any of them.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections import deque
from dataclasses import replace
from types import TracebackType
from typing import TextIO, cast

from rich.console import Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from runner.analysis.live import Window
from runner.analysis.livearrivals import LiveArrivals
from runner.analysis.windows import phase_label
from runner.analysis.words import count, figure
from runner.cli.hearing import Patient
from runner.cli.tables import console, make_table, safe
from runner.ports import Clock
from runner.progress import Status
from runner.reports import format as fmt
from runner.store import RunDir

PLAIN_EVERY_S = 10.0
RUNNING = "running"
"""The conductor's word for a load under way; other activities are shown by name."""

_REFRESH_PER_S = 4
_BAR_WIDTH = 30
_WIDTHS = (6, 10, 8, 7, 13)
_OPEN_WIDTHS = (9, 9, 7, 7, 13)
"""Columns that stand still while figures change; the first is as wide as the plan's phases."""

_MOST = 20
"""Characters of a phase's name in one line, so that all fits 80 columns."""


class View:
    """What a person sees of a run, from its folder to its end; a context.

    Args:
        run: The run's folder.
        clock: Tells how long something has been going on.
        stream: Where to talk; standard error by default.

    Attributes:
        over: Whether the run has come to its end, and everything is undone.
    """

    def __init__(self, run: RunDir, clock: Clock, stream: TextIO | None = None) -> None:
        self._run = run
        self._clock = clock
        self._stream = stream or sys.stderr
        self._talk = console(err=True)
        self._talk.file = cast("TextIO", Patient(self._stream))
        self.over = False
        self._live: Live | None = None
        self._last: Status | None = None
        self._ran: Status | None = None
        self._seen_s = 0.0
        self._begun_s = 0.0
        self._said = ""
        self._shown: tuple[object, ...] = ()
        self._lately: deque[str] = deque(maxlen=4)
        self._remarked = 0

    def __enter__(self) -> View:
        self._line(f"run {self._run.run_id} -> {self._run.path}")
        if self._talk.is_terminal:
            self._live = Live(
                get_renderable=self._frame,
                console=self._talk,
                refresh_per_second=_REFRESH_PER_S,
                transient=True,
                redirect_stdout=False,  # data
                redirect_stderr=True,  # logs
            )
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.over = True
        if self._live is not None:
            self._live.stop()
            self._live = None
            if self._said:
                self._line("stopped early, as asked")
        if self._ran is not None:
            self._line(closing_line(self._ran))

    def watch(self, status: Status) -> None:
        """Take in what is going on; a :data:`runner.progress.Watcher`."""
        now_s = self._clock.monotonic_s()
        if self._last is None or status.activity != self._last.activity:
            self._begun_s = now_s
        self._last, self._seen_s = status, now_s
        if status.activity == RUNNING:
            self._ran = status
        remarks = status.load.remarks if status.load else []
        for remark in remarks[self._remarked :]:
            self._line(f"load generator: {remark}")
        self._remarked = len(remarks)
        if self._live is None:
            self._plain(status)

    def say(self, text: str) -> None:
        """Tell ``text`` at once; safe within a signal handler."""
        self._said = text
        if self._live is None:
            with contextlib.suppress(OSError, ValueError):
                echoed = "\n" if self._stream.isatty() else ""  # ^C stands on the line.
                os.write(self._stream.fileno(), f"{echoed}{text}\n".encode())

    def note(self, text: str) -> None:
        """Tell ``text`` on a line that stays, above the table; not within a signal handler."""
        self._line(text)

    def _plain(self, status: Status) -> None:
        """A line when activity, phase or step change, and every ten seconds of load."""
        running = status.activity == RUNNING and status.offset_s is not None
        tick = int((status.offset_s or 0.0) // PLAIN_EVERY_S) if running else 0
        phase = status.phase.index if status.phase and running else None
        step = status.step.number if status.step and running else None
        shown = (status.activity, phase, step, tick)
        if shown != self._shown and not (running and phase is None):
            self._shown = shown
            text = plain_line(status)
            if text not in self._lately:  # To and fro within one second: it was told.
                self._line(text)
            self._lately.append(text)

    def _frame(self) -> RenderableType:
        if self._last is None:
            return Text()
        now_s = self._clock.monotonic_s()
        status = self._last
        if status.offset_s is not None:  # The conductor may be busy; time goes on.
            status = replace(status, offset_s=status.offset_s + now_s - self._seen_s)
        return live_frame(status, busy_s=now_s - self._begun_s, said=self._said)

    def _line(self, text: str) -> None:
        self._talk.print(safe(text), soft_wrap=True)


def plain_line(status: Status) -> str:
    """One line about ``status``, such as ``00:40  recovery 1  users=100  98.4/s  p95=83 ms  …``."""
    offset_s = _offset_s(status)
    if offset_s is None or status.load is None:
        return f"{status.activity} ..."
    if status.activity != RUNNING:
        return f"{fmt.clock_offset(offset_s)}  {status.activity} ..."
    window, arrivals = status.load.window(offset_s), status.load.arrivals
    where = _phase(status) or status.activity
    started = f"arrivals={fmt.rate(arrivals.rate_per_s(offset_s))}"
    users = [f"users={status.load.users}", fmt.rate(window.rate_per_s)]
    parts = [
        fmt.clock_offset(offset_s),
        where if status.step is None else f"step {where} ({status.step.why})",
        *([started, f"in-flight={arrivals.in_flight}"] if _is_open(status) else users),
        f"p95={fmt.seconds(window.latency_s(0.95))}",
        f"errors={fmt.percent(window.error_ratio)}",
    ]
    if status.active_faults and status.active_faults != (status.phase and status.phase.faults):
        parts.append(f"faults={','.join(status.active_faults)}")
    if status.healing_faults:
        parts.append(f"healing {','.join(status.healing_faults)}")
    if arrivals.dropped:
        parts.append(f"dropped={arrivals.dropped}")
    parts += [f"guard {guard}" for guard in status.near_guards]
    return "  ".join([*parts, _left(status, offset_s)])


def closing_line(status: Status) -> str:
    """What was sent until the end, such as ``load: 1m 40s of 1m 40s, 9,912 requests, 3 failed``."""
    if status.load is None:
        return "load: none"
    done, whole = fmt.span(round(_offset_s(status) or 0.0)), fmt.span(status.plan.duration_s)
    requests, failed = fmt.count(status.load.requests), fmt.count(status.load.failures)
    dropped = status.load.arrivals.dropped
    sent = f"{requests} requests, {failed} failed"
    if dropped:
        sent += f", {count(dropped, 'arrival')} dropped"
    if status.plan.experiment.load.search is not None:  # It ends when it knows enough.
        return f"load: {done}, {sent}"
    return f"load: {done} of {whole}, {sent}"


def live_frame(status: Status, *, busy_s: float = 0.0, said: str = "") -> RenderableType:
    """What stands on the terminal now; fits 80 columns.

    Args:
        status: What is going on.
        busy_s: How long it has been going on.
        said: What was last answered to a signal; empty for nothing.
    """
    lines: list[RenderableType] = []
    offset_s = _offset_s(status)
    if offset_s is not None and status.load is not None:
        lines.append(_time_line(status, offset_s))
        if status.phase is not None:
            lines.append(live_table(status))
        if status.load.arrivals.dropped:
            lines.append(safe(_dropped(status), "bold red"))
        lines += [safe(f"guard {guard}", "bold red") for guard in status.near_guards]
    if status.activity != RUNNING:
        waited = f" {fmt.span(int(busy_s))}" if busy_s >= 1 else ""
        lines.append(safe(f"{status.activity} ...{waited}", "cyan"))
    if said:
        lines.append(safe(said, "bold yellow"))
    return Group(*lines)


def _time_line(status: Status, offset_s: float) -> RenderableType:
    whole_s = status.plan.duration_s
    line = Table.grid(padding=(0, 2, 0, 0))
    line.add_row(
        safe(f"{fmt.clock_offset(offset_s)} of {fmt.clock_offset(whole_s)}", "bold"),
        ProgressBar(total=whole_s, completed=offset_s, width=_BAR_WIDTH),
        safe(_left(status, offset_s)),
    )
    return line


def _left(status: Status, offset_s: float) -> str:
    """How much of the load is to come; a search ends when it knows enough."""
    left = f"{fmt.span(round(status.plan.duration_s - offset_s))} left"
    return f"at most {left}" if status.plan.experiment.load.search is not None else left


def live_table(status: Status) -> Table:
    """The load's last seconds, the phase, and the faults that are in place."""
    first = "Phase" if status.step is None else "Step"
    load = ("Started/s", "In flight") if _is_open(status) else ("Users", "Requests/s")
    table = make_table(first, *load, "p95", "Errors", "Active faults", right=(1, 2, 3, 4))
    widths = _OPEN_WIDTHS if _is_open(status) else _WIDTHS
    labels = [len(phase_label(status.plan, phase)) for phase in status.plan.phases]
    if status.step is not None:
        labels.append(_MOST)
    for column, width in zip(table.columns, (min(max(labels), _MOST), *widths), strict=True):
        column.min_width = width
    table.columns[0].max_width = _MOST
    offset_s = _offset_s(status)
    if offset_s is None or status.load is None:
        return table
    window = status.load.window(offset_s)
    failing = bool(window.error_ratio)
    healing = [f"healing {fault}" for fault in status.healing_faults]
    table.add_row(
        safe(_phase(status) or fmt.NOTHING, "bold"),
        *_load_cells(status, window, offset_s),
        fmt.seconds(window.latency_s(0.95)),
        safe(fmt.percent(window.error_ratio), "red" if failing else ""),
        safe(", ".join([*status.active_faults, *healing]) or fmt.NOTHING, "yellow"),
    )
    return table


def _load_cells(status: Status, window: Window, offset_s: float) -> tuple[Text, Text]:
    """How much load there is: users and requests per second, or arrivals.

    Their number in flight stands out where no more may be.
    """
    if status.load is None or not _is_open(status):
        users = 0 if status.load is None else status.load.users
        return safe(fmt.count(users)), safe(fmt.rate(window.rate_per_s))
    arrivals = status.load.arrivals
    full = arrivals.in_flight >= status.plan.max_in_flight
    return (
        safe(fmt.rate(arrivals.rate_per_s(offset_s))),
        safe(fmt.count(arrivals.in_flight), "red" if full else ""),
    )


def _is_open(status: Status) -> bool:
    return status.plan.experiment.load.is_open


def _dropped(status: Status) -> str:
    arrivals = status.load.arrivals if status.load else LiveArrivals()
    return (
        f"dropped {fmt.count(arrivals.dropped)} of {count(arrivals.offered, 'arrival')}: "
        f"all {status.plan.max_in_flight:,} users (max_in_flight) were busy"
    )


def _phase(status: Status) -> str:
    """The phase as verdict and report call it, or the step of a search; empty outside of all."""
    if status.step is not None:
        return f"{status.step.number}: {figure(status.step.rate_per_s, 'per_s', 4)}"
    return phase_label(status.plan, status.phase) if status.phase else ""


def _offset_s(status: Status) -> float | None:
    """Offset within the plan: the time after the load's end is not the load's."""
    if status.offset_s is None:
        return None
    return min(status.offset_s, status.plan.duration_s)
