"""Pages beside the report, in its frame and with its look; :mod:`runner.reports.html` has both."""

from __future__ import annotations

from collections.abc import Sequence

from runner.reports.html import render_template, stylesheet


def page(name: str, *, scripts: Sequence[str] = (), served: bool = False, **values: object) -> str:
    """The page that the template ``name`` makes of ``values``.

    Args:
        name: The template's file.
        scripts: Files of scripts beside those that every page has.
        served: Whether somebody serves it: then it may ask that server, and no one else.
        values: What the template shows.
    """
    return render_template(
        name,
        css=stylesheet("runs.css"),
        scripts=("page.js", *scripts),
        served=served,
        **values,
    )
