"""The index: a static page of all runs that opens from disk. Only arranges and writes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from runner.model.summary import RunSummary
from runner.reports.pages import page
from runner.reports.runlist import run_list
from runner.store import Store, write_atomically


def render_index(summaries: Sequence[RunSummary], now_s: float, *, served: bool = False) -> str:
    """The page of ``summaries``, which come newest first.

    Args:
        summaries: Lines about runs.
        now_s: Unix time of this moment.
        served: Whether ``seatrial serve`` shows it, which can compare runs and show live ones.
    """
    doc = run_list(summaries, now_s, served=served)
    return page("runs.html.j2", scripts=("runs.js",), served=served, doc=doc)


def write_index(store: Store, now_s: float) -> Path:
    """Write ``index.html`` of all runs; returns its path.

    Raises:
        RecordingError: When it cannot be written.
    """
    write_atomically(store.index_path, render_index(store.summaries(now_s), now_s))
    return store.index_path
