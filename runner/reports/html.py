"""The report as one HTML page that opens from disk and asks nobody for anything. Only arranges."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from hashlib import sha256
from importlib.resources import files

from runner.model.evaluation import Verdict
from runner.reports.document import Document
from runner.reports.format import NOTHING
from runner.reports.pagedata import chart_data, placed, seen_by_phase, time_charts

MARKS = {Verdict.PASS: "✓", Verdict.WARN: "!", Verdict.FAIL: "✗", Verdict.INCONCLUSIVE: "?"}

_BEFORE_UNIT = re.compile(r"(?<=\d) (?=(?:%|µs|ms|s)(?!\w))")


def render_page(document: Document, plots: Mapping[str, str]) -> str:
    """``document`` as a page, with the inline SVG of each chart by its id."""
    from markupsafe import Markup

    return render_template(
        "report.html.j2",
        css=stylesheet("report.css", "sections.css"),
        scripts=("page.js", "charts.js"),
        doc=document,
        objectives=placed(document.objectives),
        validity=placed(document.validity),
        seen={chart.id: seen_by_phase(chart, document) for chart in time_charts(document)},
        chart_data=Markup(chart_data(document)),  # noqa: S704 - escaped there
        plots={name: Markup(svg) for name, svg in plots.items()},  # noqa: S704 - escaped in plots
    )


def render_template(
    name: str,
    *,
    css: str = "",
    scripts: Sequence[str] = ("page.js",),
    served: bool = False,
    **values: object,
) -> str:
    """The page that the template ``name`` makes of ``values``.

    It stands on its own: style and scripts are inside of it, and its policy allows these and
    nothing else; where it is ``served``, which templates are told, it may ask that server.
    ``_frame.html.j2`` is the frame of every page.
    """
    from jinja2 import Environment, FunctionLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=FunctionLoader(_resource),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["unbroken"] = _unbroken
    environment.filters["named"] = _named
    sources = [_resource(script) for script in scripts]
    return environment.get_template(name).render(
        marks=MARKS,
        css=Markup(css or stylesheet()),  # noqa: S704 - our own files
        scripts=[Markup(source) for source in sources],  # noqa: S704 - our own files
        policy=Markup(policy(sources, served=served)),  # noqa: S704 - hashes and our own words
        served=served,
        **values,
    )


def policy(scripts: Sequence[str], *, served: bool = False) -> str:
    """The Content-Security-Policy of a page with ``scripts``; it asks nobody, or its server."""
    hashes = (b64encode(sha256(source.encode()).digest()).decode() for source in scripts)
    allowed = " ".join(f"'sha256-{one}'" for one in hashes) or "'none'"
    asks = "form-action 'self'; connect-src 'self'" if served else "form-action 'none'"
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data:; "
        f"base-uri 'none'; {asks}"
    )


def _unbroken(sentence: str) -> str:
    """``sentence`` with its figures kept together with their units."""
    return _BEFORE_UNIT.sub("\u00a0", sentence)


def _named(name: str) -> str:
    """``name``, or a dash for one of which there is nothing to see."""
    return name if name.strip() else NOTHING


def stylesheet(*more: str) -> str:
    """The colours and the look that all pages share, and style sheets of ``more`` names."""
    return "".join(map(_resource, ("palette.css", "page.css", *more)))


def palette() -> str:
    """The colours alone, for drawings in files of their own."""
    return _resource("palette.css")


def _resource(name: str) -> str:
    return files("runner.reports").joinpath("templates", name).read_text(encoding="utf-8")
