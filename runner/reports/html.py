"""The report as one HTML page that opens from disk and asks nobody for anything. Only arranges."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.resources import files

from runner.model.evaluation import Verdict
from runner.reports.document import Document
from runner.reports.rows import worst_first

MARKS = {Verdict.PASS: "✓", Verdict.WARN: "!", Verdict.FAIL: "✗", Verdict.INCONCLUSIVE: "?"}

_BEFORE_UNIT = re.compile(r"(?<=\d) (?=(?:%|µs|ms|s)(?!\w))")


def render_page(document: Document, plots: Mapping[str, str]) -> str:
    """``document`` as a page, with the inline SVG of each chart by its id."""
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
    return environment.get_template("report.html.j2").render(
        doc=document,
        objectives=worst_first(document.objectives),
        validity=worst_first(document.validity),
        marks=MARKS,
        css=Markup(stylesheet("report.css")),  # noqa: S704 - our own file
        plots={name: Markup(svg) for name, svg in plots.items()},  # noqa: S704 - escaped in plots
    )


def _unbroken(sentence: str) -> str:
    """``sentence`` with its figures kept together with their units."""
    return _BEFORE_UNIT.sub("\u00a0", sentence)


def stylesheet(*more: str) -> str:
    """The colours and the look that all pages share, and style sheets of ``more`` names."""
    return "".join(map(_resource, ("palette.css", "page.css", *more)))


def palette() -> str:
    """The colours alone, for drawings in files of their own."""
    return _resource("palette.css")


def _resource(name: str) -> str:
    return files("runner.reports").joinpath("templates", name).read_text(encoding="utf-8")
