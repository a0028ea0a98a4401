"""``seatrial serve``: the recorded runs and the one under way, in a browser on this machine."""

from __future__ import annotations

import signal
from pathlib import Path
from types import FrameType

import click

from runner.catalog import follow_load, subject_of
from runner.cli.hearing import may_be_unheard
from runner.cli.options import results_option
from runner.errors import UsageError
from runner.process import SystemClock
from runner.store import Store

PORT = 8090


@click.command("serve")
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Address to listen on; one of loopback, unless --expose.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=PORT,
    show_default=True,
    help="Port to listen on; 0 for any that is free.",
)
@click.option(
    "--expose",
    is_flag=True,
    help="Listen also where others reach it: whoever does reads all reports, without a password.",
)
@results_option
def serve_command(host: str, port: int, expose: bool, results: Path) -> int:
    """Show the runs, also the one under way, in a browser.

    Read-only: recorded runs, comparisons, and the run under way as it goes. Prints the address on
    standard output. It is reached from this machine alone. Ctrl-C ends it; a run that it shows goes
    on.

    \b
    Example:
      seatrial serve --port 0
    """
    from runner.reports.site import Site
    from runner.reports.webserver import WebServer, is_loopback

    if not is_loopback(host) and not expose:
        raise UsageError(
            f"{host} can be reached by others, and they would read all reports",
            accepted="an address of loopback (127.0.0.1, ::1, localhost), or --expose",
        )
    if not results.is_dir():
        raise UsageError(f"there is no folder {results}", hint="name another with --results")
    address = "127.0.0.1" if host.lower() == "localhost" else host
    site = Site(Store(results), SystemClock(), follow_load, subject_of, frozenset({address}))
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        with WebServer(address, port, site) as server, may_be_unheard():
            click.echo(server.url)
            click.echo("Ctrl-C ends it", err=True)
            server.serve_forever()
    except KeyboardInterrupt:
        with may_be_unheard():
            click.echo("stopped", err=True)
    finally:
        signal.signal(signal.SIGTERM, before)
    return 0


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
