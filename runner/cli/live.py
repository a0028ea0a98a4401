"""Progress of a run: a live table on a terminal, one plain line every ten seconds elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.live import Live
from rich.table import Table

from runner.cli.tables import console, make_table, safe
from runner.progress import Status, Watcher
from runner.reports import format as fmt
from runner.store import RunDir

PLAIN_EVERY_S = 10.0
_REFRESH_PER_S = 4


@contextmanager
def live_view(run: RunDir) -> Iterator[Watcher]:
    """A watcher that shows a run on standard error until the context ends."""
    talk = console(err=True)
    talk.print(safe(f"run {run.run_id} -> {run.path}"))
    if not talk.is_terminal:
        yield _plain_watcher(talk.print)
        return
    with Live(console=talk, refresh_per_second=_REFRESH_PER_S, transient=True) as live:
        activity = [""]

        def watch(status: Status) -> None:
            if status.offset_s is None and status.activity != activity[0]:
                live.console.print(safe(f"{status.activity} ..."))
            activity[0] = status.activity
            live.update(live_table(status))

        yield watch


def _plain_watcher(say: object) -> Watcher:
    """Prints a line when the activity changes, and every ten seconds of load."""
    shown = {"activity": "", "tick": -1}

    def watch(status: Status) -> None:
        tick = -1 if status.offset_s is None else int(status.offset_s // PLAIN_EVERY_S)
        if status.activity == shown["activity"] and tick == shown["tick"]:
            return
        shown.update(activity=status.activity, tick=tick)
        if callable(say):
            say(safe(plain_line(status)))

    return watch


def plain_line(status: Status) -> str:
    """One line about ``status``, such as ``00:40 fault users=100 98.4/s p95=83 ms errors=0 %``."""
    if status.offset_s is None or status.load is None:
        return f"{status.activity} ..."
    window = status.load.window(status.offset_s)
    parts = [
        fmt.clock_offset(min(status.offset_s, status.plan.duration_s)),
        status.phase.name if status.phase else status.activity,
        f"users={status.load.users}",
        fmt.rate(window.rate_per_s),
        f"p95={fmt.seconds(window.latency_s(0.95))}",
        f"errors={fmt.percent(window.error_ratio)}",
    ]
    if status.active_faults:
        parts.append(f"faults={','.join(status.active_faults)}")
    left_s = max(0.0, status.plan.duration_s - status.offset_s)
    return "  ".join([*parts, f"{fmt.span(round(left_s))} left"])


def live_table(status: Status) -> Table:
    """The live table of a running load."""
    headers = ("Time", "Phase", "Users", "Requests/s", "p95", "Errors", "Active faults", "Left")
    table = make_table(*headers, right=(2, 3, 4, 5, 7))
    if status.offset_s is None or status.load is None:
        return table
    window = status.load.window(status.offset_s)
    left_s = max(0.0, status.plan.duration_s - status.offset_s)
    failing = bool(window.error_ratio)
    table.add_row(
        fmt.clock_offset(min(status.offset_s, status.plan.duration_s)),
        safe(status.phase.name if status.phase else status.activity, "bold"),
        fmt.count(status.load.users),
        fmt.rate(window.rate_per_s),
        fmt.seconds(window.latency_s(0.95)),
        safe(fmt.percent(window.error_ratio), "red" if failing else ""),
        safe(", ".join(status.active_faults) or fmt.NOTHING, "yellow"),
        fmt.span(round(left_s)),
    )
    return table
