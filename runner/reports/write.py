"""Write every form of a run's report into its folder. Derived: delete and rebuild at will."""

from __future__ import annotations

from pathlib import Path

from runner.reports.document import build_document
from runner.reports.html import palette, render_page
from runner.reports.junit import render_junit
from runner.reports.markdown import render_markdown
from runner.store import RunDir, write_atomically


def write_reports(run: RunDir) -> Path:
    """Write ``report/`` of an evaluated run.

    Returns:
        The page.

    Raises:
        RecordingError: When the run folder is torn, foreign, or was never evaluated.
    """
    from runner.reports.distributionplot import render_distribution
    from runner.reports.plots import render_charts
    from runner.reports.searchplot import render_search
    from runner.reports.svg import standalone

    document = build_document(run.recording(), run.read_evaluation())
    plots = render_charts(document)
    if document.distribution is not None:
        plots |= render_distribution(document.distribution, document.timeline.faults)
    if document.search is not None and not document.search.chart.missing:
        plots[document.search.chart.id] = render_search(document.search.chart)
    folder = run.report_dir
    page = folder / "index.html"
    css = palette()
    for stale in (folder / "plots").glob("*.svg"):
        if stale.stem not in plots:
            stale.unlink(missing_ok=True)
    for name, svg in plots.items():
        write_atomically(folder / "plots" / f"{name}.svg", standalone(svg, css))
    write_atomically(folder / "report.json", document.model_dump_json() + "\n")
    write_atomically(folder / "junit.xml", render_junit(document))
    write_atomically(folder / "summary.md", render_markdown(document))
    write_atomically(page, render_page(document, plots))
    return page
