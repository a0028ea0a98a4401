"""``doctor``: what is missing, here and on the target."""

from __future__ import annotations

import dataclasses
from typing import Any

import click

from runner.cli.options import output_option, print_json
from runner.cli.whereto import target_choice, target_options
from runner.errors import ExitCode


@click.command("doctor")
@target_options
@output_option
def doctor_command(output: str, **where: Any) -> int:
    """Check this machine and the target for what a run needs; the target only if it is up.

    Exit code 3 when something that is needed is missing.

    \b
    Example:
      seatrial doctor
      seatrial doctor --target staging
    """
    from runner.catalog import examine

    findings = examine(target_choice(**where))
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
