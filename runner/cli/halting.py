"""``halt``: the switch that stops every run in a namespace, and keeps others from starting."""

from __future__ import annotations

from typing import Any

import click

from runner.catalog import locate_target
from runner.cli.saying import say
from runner.cli.whereto import target_choice, target_options
from runner.errors import ExitCode, UsageError


@click.command("halt")
@click.option("--reason", metavar="TEXT", help="Why; everybody who wants to run is told.")
@click.option("--lift", is_flag=True, help="Let runs start again.")
@click.option("--status", is_flag=True, help="Say whether runs are halted; change nothing.")
@target_options
def halt_command(reason: str | None, lift: bool, status: bool, **address: Any) -> int:
    """Stop every run in a namespace, and let none start.

    Runs that are under way end within seconds, healed, also those of other machines. What stops
    them is a ConfigMap named 'seatrial-stop' in the namespace, so kubectl can set it as well.

    \b
    Example:
      seatrial halt --reason "incident 4711"
      seatrial halt --lift
    """
    from runner.targets import halting

    if (reason is not None) + lift + status > 1:
        raise UsageError("halt can do one thing at a time", accepted="--reason, --lift or --status")
    choice = target_choice(loads=False, **address)
    target = locate_target(choice)
    if target is None:
        raise UsageError(
            f"the sandbox {choice.sandbox_name!r} is not up, so there is no run in it to halt"
        )
    where = f"{target.namespace} of {target.name}"
    if status:
        said = halting.halted(target)
        say(f"halted in {where}: {said}" if said else f"not halted in {where}", err=False)
    elif lift:
        said = halting.lift(target)
        say(f"lifted in {where}: {said}" if said else f"it was not halted in {where}", err=False)
    else:
        said = halting.halt(target, reason or "")
        say(f"halted in {where}: {said}", err=False)
    return ExitCode.PASS
