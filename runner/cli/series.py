"""``series``: what was measured in a run over time, as a table for other tools."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import click

from runner.cli.options import NamedPath, results_option
from runner.cli.saying import say
from runner.errors import ExitCode, UsageError
from runner.model.units import parse_duration
from runner.store import Store
from runner.textfile import is_special


def _whole_seconds(ctx: click.Context, param: click.Parameter, value: str) -> int:
    try:
        seconds = parse_duration(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error
    if seconds < 1 or seconds != int(seconds):
        raise click.BadParameter(f"{value} is not a number of whole seconds, such as 1s or 1m")
    return int(seconds)


@click.command("series")
@click.argument("run", default="latest", metavar="[RUN]")
@click.option(
    "--format",
    "kind",
    type=click.Choice(["csv", "parquet"]),
    help="Default: what the file's name says, else csv. Parquet needs the extra 'parquet'.",
)
@click.option(
    "--to",
    type=NamedPath(dir_okay=False, allow_dash=True, path_type=Path),
    default=Path("-"),
    show_default="standard output",
    help="File to write.",
)
@click.option(
    "--every",
    default="1s",
    show_default=True,
    callback=_whole_seconds,
    metavar="DURATION",
    help="Seconds of the load that are put together in a line.",
)
@click.option("--force", is_flag=True, help="Replace the file, if there is one.")
@results_option
def series_command(
    run: str, kind: str | None, to: Path, every: int, force: bool, results: Path
) -> int:
    """Export what was measured in a run over time, as a long table in CSV or Parquet.

    One line for each figure and moment: offset, time in UTC, who measured (load, generator, mesh,
    own signals), indicator, service, endpoint, phase, value in base units, unit.

    \b
    Example:
      seatrial series latest --to run.parquet
      seatrial series latest --every 10s | head
    """
    kind = kind or ("parquet" if to.suffix == ".parquet" else "csv")
    piped = str(to) == "-"
    if kind == "parquet":
        from runner.reports.parquet import require_parquet

        if piped:
            raise UsageError("Parquet cannot be written to a pipe", accepted="--to FILE")
        require_parquet()
    if not piped:
        _may_be_written(to, force=force)
    from runner.analysis.longtable import long_table, time_of
    from runner.reports.series import csv_parts

    recording = Store(results).find(run).recording()
    pieces, moments = long_table(recording, every), time_of(recording)
    if piped:
        for part in csv_parts(pieces, moments):
            click.echo(part, nl=False)
        return ExitCode.PASS
    with _replacing(to) as temporary:
        if kind == "parquet":
            from runner.reports.parquet import write_parquet

            write_parquet(temporary, pieces, moments)
        else:
            with temporary.open("w", encoding="utf-8", newline="") as out:
                _write(out, csv_parts(pieces, moments))
    say(f"written: {to}")
    return ExitCode.PASS


def _write(out: IO[str], parts: Iterator[str]) -> None:
    for part in parts:
        out.write(part)


def _may_be_written(path: Path, *, force: bool) -> None:
    if is_special(path):
        raise UsageError(f"{path} is not a file", accepted="a file, or - for standard output")
    if path.exists() and not force:
        raise UsageError(f"{path} exists already", accepted="another name, or --force")


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """A file beside ``path`` that takes its place when all of it is written; else nothing stays."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.replace(path)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror or error}") from error
    finally:
        temporary.unlink(missing_ok=True)
