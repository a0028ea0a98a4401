"""Pages beside the report: their templates, their style, and a policy for their one script.

The only thing that is decided here is how a page protects its reader: nothing is loaded, and no
script runs but the page's own, which its policy names by its hash.
"""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files
from typing import Any

from runner.reports.html import MARKS, stylesheet


def render(template: str, script: str = "", *, connect: bool = False, **values: Any) -> str:
    """A page of ``template``, with ``values``.

    Args:
        template: Its file in the folder of templates.
        script: The file of its script there; empty for none.
        connect: Whether the script may ask whoever served the page.
        values: What the template shows.
    """
    from jinja2 import Environment, FunctionLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=FunctionLoader(_resource),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    source = _resource(script) if script else ""
    return environment.get_template(template).render(
        css=Markup(stylesheet() + _resource("runs.css")),  # noqa: S704 - our own files
        script=Markup(source),  # noqa: S704 - our own file
        policy=_policy(source, connect=connect),
        marks={verdict.value: mark for verdict, mark in MARKS.items()},
        **values,
    )


def _policy(script: str, *, connect: bool) -> str:
    parts = ["default-src 'none'", "style-src 'unsafe-inline'", "img-src data:", "base-uri 'none'"]
    if script:
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
        parts.append(f"script-src 'sha256-{digest}'")
    if connect:
        parts += ["connect-src 'self'", "form-action 'self'"]
    return "; ".join(parts)


def _resource(name: str) -> str:
    return files("runner.reports").joinpath("templates", name).read_text(encoding="utf-8")
