"""``--workers`` and its kin, and ``seatrial worker``: a load that several processes make."""

from __future__ import annotations

import os
import re
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import click

from runner.cli.onward import LocustCommand
from runner.cli.saying import say
from runner.errors import LoadError, UsageError
from runner.load.arguments import check_arguments
from runner.load.commandline import find_locustfile, worker_command, worker_environment
from runner.model.plan import GeneratorPlan
from runner.source import Source

LOCUST_PORT = 5557
"""Where Locust's master listens by habit."""

MOST_WORKERS = 256
_HIGHEST_PORT = 65535
_LABEL = "[A-Za-z0-9_-]{1,63}"
_HOST = re.compile(rf"{_LABEL}(\.{_LABEL})*|\*")  # Locust's connection is not made for IPv6

Command = TypeVar("Command", bound=Callable[..., Any])


class Address(NamedTuple):
    """A host and a port; port 0 when none was given."""

    host: str
    port: int = 0

    def __str__(self) -> str:
        return f"{self.host}:{self.port}" if self.port else self.host


class _Workers(click.ParamType[int]):
    """A number of processes, or ``auto`` for one for each processor."""

    name = "N|auto"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if str(value).lower() == "auto":  # in help, click writes it in capitals
            processors = len(os.sched_getaffinity(0))
            return processors if processors > 1 else 0
        try:
            number = int(value)
        except ValueError:
            number = -1
        if not 0 <= number <= MOST_WORKERS:
            self.fail(f"{value!r} is not 'auto' or a number from 0 to {MOST_WORKERS}", param, ctx)
        return number


class _Address(click.ParamType[Address]):
    """``HOST`` or ``HOST:PORT``."""

    name = "HOST[:PORT]"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Address:
        if isinstance(value, Address):
            return value
        host, colon, port = str(value).rpartition(":")
        host, port = (host, port) if colon else (str(value), "0")
        if not _HOST.fullmatch(host) or not port.isdecimal() or int(port) > _HIGHEST_PORT:
            self.fail(f"{value!r} is not HOST or HOST:PORT, such as 10.0.0.5:5557", param, ctx)
        return Address(host, int(port))


LOOPBACK = Address("127.0.0.1")


def crew_options(command: Command) -> Command:
    """Add the options that say which processes make the load."""
    options = (
        click.option(
            "--workers",
            type=_Workers(),
            default="0",
            show_default="one process",
            help="Worker processes on this machine; 'auto': one for each processor.",
        ),
        click.option(
            "--expect-workers",
            type=click.IntRange(0, MOST_WORKERS),
            default=0,
            help="Workers to wait for from elsewhere, started there by 'seatrial worker'.",
        ),
        click.option(
            "--bind",
            type=_Address(),
            default="127.0.0.1",
            show_default=True,
            help="Where workers from elsewhere are listened to. Locust's connection knows no "
            "password: a network that you trust, only.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def generator_of(
    source: Source,
    arguments: tuple[str, ...],
    *,
    workers: int = 0,
    expect_workers: int = 0,
    bind: Address = LOOPBACK,
) -> GeneratorPlan:
    """The generator that makes the load of ``source``.

    Args:
        source: The experiment.
        arguments: Given to Locust.
        workers: Processes on this machine; 0 for one that does it all.
        expect_workers: Workers from elsewhere.
        bind: Address and port for them; port 0 for Locust's own.

    Raises:
        UsageError: When arguments fight the plan.
    """
    check_arguments(arguments, source.experiment.load.model)
    host, port = bind
    return GeneratorPlan(
        workers=workers,
        remote_workers=expect_workers,
        bind_host=host,
        bind_port=port or (LOCUST_PORT if expect_workers else 0),
        arguments=arguments,
    )


@click.command("worker", cls=LocustCommand)
@click.argument("locustfile")
@click.option("--master", type=_Address(), required=True, help="Machine that runs 'seatrial run'.")
def worker_command_line(locustfile: str, master: Address, arguments: tuple[str, ...]) -> None:
    """Make a share of the load of a run elsewhere.

    LOCUSTFILE is the one that the experiment names, as it is on this machine. Plan, share and
    target come from the run. Ends with the run, or 5 s after it fell silent.

    \b
    Example:
      seatrial run normal --expect-workers 2 --bind 0.0.0.0      (on one machine)
      seatrial worker shop.py --master 10.0.0.5                  (on two others)
    """
    check_arguments(arguments, "users")
    try:
        path = find_locustfile(locustfile, (Path("locustfiles"),))
    except LoadError as error:
        raise UsageError(error.message, accepted=error.accepted, hint=error.hint) from None
    host, port = master
    try:
        socket.getaddrinfo(host, port)
    except OSError as error:
        raise UsageError(
            f"there is no way to the run at {host!r}: {error.strerror}",
            accepted="a name or an address of the machine that runs 'seatrial run'",
        ) from None
    argv = worker_command(sys.executable, path, host, port or LOCUST_PORT, arguments)
    where = Address(host, port or LOCUST_PORT)
    say(f"worker for {where}; Ctrl-C leaves the run")
    os.execve(argv[0], argv, worker_environment(os.environ))  # noqa: S606 - our own interpreter
