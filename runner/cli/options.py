"""Options that several commands share, each written once."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import click

from runner.legible import json_legible
from runner.model.fault import NAME_PATTERN


class NamedPath(click.Path):
    """A path, made or to be made; one that no file can have is refused before it is used."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value in ("", b"") or value == Path():
            self.fail("an empty name is none of a file or a folder", param, ctx)
        try:
            Path(value).stat()
        except (FileNotFoundError, NotADirectoryError):
            pass  # Perhaps it is to be made; who cannot make it says so.
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else str(error)
            self.fail(f"{os.fsdecode(value)!r} cannot be used: {why}", param, ctx)
        return super().convert(value, param, ctx)


experiments_option = click.option(
    "--experiments",
    type=NamedPath(file_okay=False, path_type=Path),
    default=Path("experiments"),
    show_default=True,
    help="Folder of experiment files.",
)
results_option = click.option(
    "--results",
    type=NamedPath(file_okay=False, path_type=Path),
    default=Path("results"),
    show_default=True,
    help="Folder of recorded runs.",
)
output_option = click.option(
    "-o",
    "--output",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="How data is printed on standard output.",
)
config_option = click.option(
    "--config",
    type=NamedPath(dir_okay=False, path_type=Path),
    default=Path("seatrial.yaml"),
    show_default=True,
    help="File that names the targets beside the sandbox.",
)


def _positive(ctx: click.Context, param: click.Parameter, value: float) -> float:
    if not 0 < value <= 1:
        raise click.BadParameter(f"{value} is not above 0 and at most 1")
    return value


time_scale_option = click.option(
    "--time-scale",
    type=float,
    default=1.0,
    callback=_positive,
    show_default=True,
    help="Shorten every duration by this factor, for a rehearsal; verdict and report say so.",
)


def namespace_named(ctx: click.Context, param: click.Parameter, value: str) -> str:
    """A namespace that Kubernetes can have: it becomes part of what is printed."""
    if not re.fullmatch(NAME_PATTERN, value):
        raise click.BadParameter(f"{value!r} is none; accepted: letters a-z, digits and '-'")
    return value


def under(root: Path, path: Path) -> str:
    """``path`` as it stands below ``root``, such as ``results/x/y``; as it is when it does not."""
    try:
        return str(root / path.resolve().relative_to(root.resolve()))
    except ValueError:
        return str(path)


def print_json(value: Any) -> None:
    """``value`` as JSON on standard output."""
    click.echo(json_legible(json.dumps(value, indent=2, ensure_ascii=False)))
