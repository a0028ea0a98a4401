"""Warnings about experiments that are right, but cannot answer what they ask: on standard error."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from runner.analysis.foresight import doubts_about
from runner.cli.github import annotate_files
from runner.cli.hearing import may_be_unheard
from runner.cli.saying import say
from runner.errors import Located
from runner.model.plan import Plan
from runner.source import Source


def doubts_of(source: Source, plan: Plan) -> tuple[Located, ...]:
    """What ``plan``, made of ``source``, cannot answer, with places in the file."""
    return source.located(doubts_about(plan))


def say_doubts(path: Path, doubts: Iterable[Located], ci: str = "none") -> None:
    """One line for each of ``doubts``, and an annotation where ``--ci`` asks for them."""
    known = tuple(doubts)
    with may_be_unheard():
        for one in known:
            click.secho("warning: ", fg="yellow", nl=False, err=True)
            say(f"{path}:{one.line}:{one.column}: {one.message}")
    annotate_files(ci, [(str(path), (), as_records(known))])


def as_records(located: Iterable[Located]) -> list[dict[str, Any]]:
    """Mistakes or warnings as JSON has them: line, column, message."""
    return [asdict(one) for one in located]
