"""The comparison of two recorded runs, from their folders to a page. Reads and writes."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

from runner.analysis.comparable import Subject
from runner.analysis.compare import compare
from runner.analysis.searched import carried_out
from runner.model.comparison import Comparison
from runner.reports.comparing import render_comparison
from runner.reports.grid import grid_of
from runner.reports.overlay import LoadLines, Overlay, load_lines, overlays
from runner.store import RunDir


def page_of(
    runs: tuple[RunDir, RunDir],
    subjects: tuple[Subject, Subject],
    hrefs: tuple[str, str],
    *,
    served: bool = False,
) -> tuple[Comparison, str]:
    """The comparison, and its page with charts.

    Args:
        runs: The folders.
        subjects: What was read of them.
        hrefs: Where their reports are, from where the page will be; empty for none.
        served: Whether ``seatrial serve`` shows it.

    Raises:
        RecordingError: When a recording is torn or foreign.
    """
    comparison = compare(*subjects)
    charts = _charts(runs, subjects)
    return comparison, render_comparison(comparison, charts, hrefs, served=served)


def _charts(runs: tuple[RunDir, RunDir], subjects: tuple[Subject, Subject]) -> tuple[Overlay, ...]:
    """Both runs over each other; only one recording is in memory at a time."""
    first, second = subjects
    longer = max(first.plan, second.plan, key=lambda plan: plan.duration_s)
    grid = grid_of(longer, None)

    def lines(run: RunDir, subject: Subject) -> LoadLines:
        recording = carried_out(run.recording())
        return load_lines(replace(recording, signals=None), subject.evaluation, grid)

    return overlays(lines(runs[0], first), lines(runs[1], second), grid)


def report_href(run: RunDir, page: Path) -> str:
    """Where the report of ``run`` is, from the page at ``page``; empty when there is none."""
    if not run.page_path.is_file():
        return ""
    way = os.path.relpath(run.page_path.resolve(), page.resolve().parent)
    return "/".join(quote(part, safe=".") for part in Path(way).parts)
