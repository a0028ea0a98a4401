"""``doctor``: what is missing, here and on the target."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import click

from runner.catalog import TargetChoice
from runner.cli.options import config_option, output_option, print_json
from runner.errors import ExitCode
from runner.source import load_config


@click.command("doctor")
@click.option("--target", default="sandbox", show_default=True)
@click.option("--sandbox-name", default="default", show_default=True)
@config_option
@output_option
def doctor_command(target: str, sandbox_name: str, config: Path, output: str) -> int:
    """Check this machine and the target for what a run needs; the target only if it is up.

    Exit code 3 when something that is needed is missing.

    \b
    Example:
      seatrial doctor
    """
    from runner.catalog import examine

    choice = TargetChoice(name=target, config=load_config(config), sandbox_name=sandbox_name)
    findings = examine(choice)
    if output == "json":
        print_json([dataclasses.asdict(finding) for finding in findings])
    else:
        from runner.cli.tables import make_table, print_table, safe

        table = make_table("", "Part", "Found", "What to do")
        styles = {"ok": ("✓", "green"), "warn": ("!", "yellow"), "missing": ("✗", "red")}
        for finding in findings:
            mark, style = styles[finding.state]
            table.add_row(
                safe(mark, style), safe(finding.part), safe(finding.found), safe(finding.hint)
            )
        print_table(table)
    broken = any(finding.state == "missing" for finding in findings)
    return ExitCode.INCONCLUSIVE if broken else ExitCode.PASS
