"""A target that looks like production is disturbed only when its context is named once more."""

from __future__ import annotations

import sys

import click

from runner.catalog import TargetChoice, cluster_spec
from runner.cli.saying import say
from runner.errors import UsageError
from runner.model.target import SANDBOX

confirm_option = click.option(
    "--confirm-production",
    metavar="CONTEXT",
    help="Name the context once more, where the target looks like production.",
)


def needs_confirmation(choice: TargetChoice) -> str:
    """The context that must be named once more; empty when none must."""
    if choice.name == SANDBOX:
        return ""
    spec = cluster_spec(choice)
    return spec.context if spec.looks_like_production(choice.name) else ""


def confirm_production(choice: TargetChoice, confirmed: str | None) -> None:
    """Ask for the context's name where somebody can answer; without an answer nothing is done.

    Raises:
        UsageError: When the context was not named, or another one was.
    """
    context = needs_confirmation(choice)
    if not context or confirmed == context:
        return
    what = f"the target {choice.name!r} (context {context}) looks like production"
    if confirmed is None and sys.stdin.isatty() and sys.stderr.isatty():
        say(f"{what}. This run will break things there.", fg="yellow")
        confirmed = click.prompt("The name of its context, to go on", default="", err=True)
        if confirmed == context:
            return
    said = f", and {confirmed!r} is not its context" if confirmed else ""
    raise UsageError(
        what + said,
        accepted=f"--confirm-production {context}",
        hint="if it is none, say `production: false` in seatrial.yaml",
    )
