"""The command group, its lazily loaded commands, and how errors become exit codes."""

from __future__ import annotations

import importlib
import io
import logging
import os
import re
import sys
from typing import Any

import click

from runner import __version__
from runner.cli.hearing import FULL, may_be_unheard
from runner.errors import ExitCode, SeatrialError
from runner.legible import legible

_LOUD = re.compile("-v+")

_COMMANDS = {
    "list": (
        "experiments:list_command",
        "List the experiments, with their length, load and faults.",
    ),
    "validate": ("experiments:validate_command", "Check experiment files."),
    "plan": ("experiments:plan_command", "Show what a run would do, and when."),
    "run": ("run:run_command", "Run an experiment: load, faults, signals, verdict, report."),
    "worker": ("crew:worker_command_line", "Make a share of the load of a run elsewhere."),
    "evaluate": ("judge:evaluate_command", "Judge a recorded run again."),
    "report": ("judge:report_command", "Render the report of a run again."),
    "series": (
        "series:series_command",
        "Export what was measured in a run over time, as a long table in CSV or Parquet.",
    ),
    "history": (
        "history:history_command",
        "List the recorded runs, and how an objective fared over them.",
    ),
    "compare": ("compare:compare_command", "Compare two recorded runs, if they may be."),
    "serve": ("serve:serve_command", "Show the runs, also the one under way, in a browser."),
    "heal": ("healing:heal_command", "Remove faults that a run left behind."),
    "halt": ("halting:halt_command", "Stop every run in a namespace, and let none start."),
    "reaper": (
        "reaper:reaper_command",
        "Print a CronJob that removes expired faults in a cluster.",
    ),
    "sandbox": ("sandbox:sandbox_group", "A mesh of real parts on this machine."),
    "doctor": ("care:doctor_command", "Check this machine and the target for what a run needs."),
    "role": ("role:role_command", "Print the least Role that an experiment takes on a cluster."),
    "import": (
        "exchange:import_command",
        "Make an experiment file of a Chaos Toolkit experiment, or an objective set of OpenSLO.",
    ),
    "export": (
        "exchange:export_command",
        "Write an experiment as a Chaos Toolkit experiment that 'chaos run' carries out.",
    ),
    "schema": ("schemas:schema_command", "Print the JSON Schema of a kind of file."),
}
"""Name to where it lives and its line in ``--help``, so that help imports no command."""

EXIT_CODES = """\b
Exit codes:
  0    pass (warnings are said)
  1    an objective was not met
  2    usage, or an invalid file
  3    inconclusive: not valid, no data, nothing checked
  4    aborted by a guard or by halt, healed
  5    something may be left broken; wins over all others
  130  interrupted (Ctrl-C), healed      143  terminated, healed
  70   a bug of seatrial
"""


class _ReaderGoneError(Exception):
    """The reader of our output went away, as ``| head`` does."""


class _LazyGroup(click.Group):
    """A group that imports a command's module only when the command is asked for."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take -v also where most people put it: after the command."""
        end = args.index("--") if "--" in args else len(args)
        loud = [word for word in args[:end] if word == "--verbose" or _LOUD.fullmatch(word)]
        rest = [word for word in args[:end] if word not in loud]
        return super().parse_args(ctx, [*loud, *rest, *args[end:]])

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        where = _COMMANDS.get(cmd_name)
        if where is None:
            return None
        module, _, name = where[0].partition(":")
        command = getattr(importlib.import_module(f"runner.cli.{module}"), name)
        if not isinstance(command, click.Command):
            raise TypeError(f"{where[0]} is not a command")
        return command

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:  # Click would make it 1, which is a verdict here.
            raise _ReaderGoneError from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in _COMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            from runner.mistakes import closest

            guess = closest(args[0], _COMMANDS)
            hint = f" Did you mean {guess!r}?" if guess else ""
            accepted = ", ".join(_COMMANDS)
            raise click.UsageError(
                f"{error.message.rstrip('.')}.{hint} Accepted: {accepted}.", ctx
            ) from None


@click.group(
    cls=_LazyGroup,
    context_settings={
        "help_option_names": ["-h", "--help"],
        "auto_envvar_prefix": "SEATRIAL",
        "max_content_width": 100,
    },
    epilog=EXIT_CODES,
)
@click.version_option(__version__, prog_name="seatrial")
@click.option("-v", "--verbose", count=True, help="Say more on standard error; twice for all.")
def cli(verbose: int) -> None:
    """Take services on Kubernetes and Istio out on their sea trial.

    Drives real load at them (Locust), breaks things while they work (Chaos Toolkit), watches the
    golden signals (Prometheus) and says pass, fail or "this proves nothing".

    \b
    Example:
      seatrial run first-voyage
    """
    levels = {0: logging.ERROR, 1: logging.INFO}
    logging.basicConfig(
        level=levels.get(verbose, logging.DEBUG),
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        handlers=[_StandardError()],
    )


class _StandardError(logging.Handler):
    """Logs go to what standard error is at that moment: a live table takes its place."""

    def emit(self, record: logging.LogRecord) -> None:
        with may_be_unheard():
            print(legible(self.format(record)), file=sys.stderr)


def main(argv: list[str] | None = None, command: click.Command = cli) -> None:
    """Run ``command`` and exit.

    No error of ours, of click or of the reader's leaves a traceback; a bug says so and is 70.
    """
    _open_closed_streams()
    _write_any_name()
    code = _code(argv, command)
    with may_be_unheard():
        sys.stdout.flush()
    sys.exit(code)


def _open_closed_streams() -> None:
    """Give the streams that the caller has closed (``>&-``) a file that takes everything.

    Otherwise the next file that is opened, perhaps a record, would be standard output to children.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        if getattr(sys, name) is not None:
            continue
        opened = os.open(os.devnull, os.O_RDWR)
        if opened != number:
            os.dup2(opened, number, inheritable=True)
            os.close(opened)
        else:
            os.set_inheritable(number, True)
        setattr(sys, name, open(number, mode, closefd=False))  # noqa: SIM115


def _write_any_name() -> None:
    """Write half characters, as names of files may hold, as JSON does; not fail on them."""
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")


def _code(argv: list[str] | None, command: click.Command) -> int:
    try:
        return int(command.main(args=argv, prog_name="seatrial", standalone_mode=False) or 0)
    except click.ClickException as error:
        said = io.StringIO()
        error.show(said)
        click.echo(legible(said.getvalue()), err=True, nl=False)
        return ExitCode.USAGE
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        return ExitCode.INTERRUPTED
    except SeatrialError as error:
        say_error(error)
        return error.exit_code
    except _ReaderGoneError:
        return ExitCode.PASS
    except OSError as error:
        if error.errno not in FULL or error.filename is not None:
            say_bug(error)
            return ExitCode.BUG
        with may_be_unheard():
            say_error(SeatrialError(f"the output cannot be written: {error.strerror}"))
            _forget_output()
        return ExitCode.INCONCLUSIVE
    except Exception as error:  # noqa: BLE001 - the last line of defence: a bug has an exit code
        say_bug(error)
        return ExitCode.BUG


def _forget_output() -> None:
    """Send what is still to be written to nowhere; the end of the interpreter would fail on it."""
    with may_be_unheard(sys.stdout):
        sys.stdout.flush()


def say_error(error: SeatrialError) -> None:
    """What, where, what would be accepted, what to do: on standard error."""
    click.secho("error: ", fg="red", bold=True, nl=False, err=True)
    click.echo(error.message, err=True)
    if error.accepted:
        click.echo(f"accepted: {error.accepted}", err=True)
    if error.hint:
        click.echo(f"hint: {error.hint}", err=True)


def say_bug(error: Exception) -> None:
    """What must not have happened, and where, on standard error."""
    logging.getLogger(__name__).debug("bug", exc_info=error)
    where: Any = error.__traceback__
    while where is not None and where.tb_next is not None:
        where = where.tb_next
    place = f"{where.tb_frame.f_code.co_filename}:{where.tb_lineno}" if where else "?"
    click.echo(
        f"bug: {type(error).__name__}: {legible(str(error))} ({place})\n"
        "This is a mistake in seatrial, not yours. `seatrial -vv ...` shows the traceback.",
        err=True,
    )
