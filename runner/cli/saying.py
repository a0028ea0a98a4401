"""Talk with text from outside in it: names of files, words of clusters, notes on files."""

from __future__ import annotations

import click

from runner.legible import legible


def say(text: str, *, err: bool = True, fg: str | None = None, bold: bool | None = None) -> None:
    """``text`` on standard error (or output), without what would harm a terminal or a CI system."""
    click.secho(legible(text), err=err, fg=fg, bold=bold)
