"""``python -m runner.targets.sandbox``: the supervisor of one sandbox, in the foreground.

``seatrial sandbox up`` starts it detached, as nobody's child. It takes the lock on the sandbox's
folder, or adopts the one that its parent took, settles slot and ports, and lives until SIGTERM.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import resource
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from runner.errors import SeatrialError, UsageError
from runner.targets.sandbox.homes import Lock, create_home, home_of
from runner.targets.sandbox.state import SandboxInfo, error_to_json, write_status

if TYPE_CHECKING:
    from runner.targets.sandbox.options import Request
    from runner.targets.sandbox.settings import SandboxSettings

log = logging.getLogger("runner.targets.sandbox")

OPEN_FILES = 65_536


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one sandbox; the exit code is 0 after an ordered end."""
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.INFO,
        format="%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s: %(message)s",
        datefmt="%Y-%m-%dT%H:%M:%S",
    )
    logging.Formatter.converter = time.gmtime
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)
    given = _parser().parse_args(arguments)
    if given.detach and os.fork() != 0:
        os._exit(0)  # whoever started us has nothing left to wait for, or to reap
    try:
        request, lock = _request(given), _lock(given)
    except SeatrialError as error:
        log.error("%s", error)  # noqa: TRY400 - a wrong call needs no traceback
        return int(error.exit_code)
    try:
        code = _run(request)
    except SeatrialError as error:
        log.error("%s", error)  # noqa: TRY400 - it is what a user did, not where we are
        _say_failed(request, error)
        lock.release()
        return int(error.exit_code)
    except BaseException as error:
        log.exception("the supervisor failed")
        _say_failed(request, error)
        raise
    if code == 0:
        lock.remove_home()
    # A sandbox that never was ready keeps its folder for the one who asked for it to read.
    lock.release()
    return code


def _run(request: Request) -> int:
    # Heavy imports only now: a wrong call is answered without them.
    from runner.targets.sandbox.allocation import claim_slot
    from runner.targets.sandbox.options import settle

    slot = claim_slot()
    _allow_many_connections()
    try:
        settings = settle(request, slot)
        if sys.version_info < (3, 12):
            # Without a thread per child: forking is safest with no other thread around.
            asyncio.set_child_watcher(asyncio.PidfdChildWatcher())
        return asyncio.run(_supervise(request, settings))
    finally:
        slot.release()


def _allow_many_connections() -> None:
    """Raise the soft limit of open files: a thousand users are more than the usual 1024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


async def _supervise(request: Request, settings: SandboxSettings) -> int:
    from runner.targets.sandbox.binaries import find_prometheus
    from runner.targets.sandbox.mesh.envoy import EnvoyProcess, find_envoy
    from runner.targets.sandbox.prometheus import PrometheusProcess

    # Missing programs are told before anything is started.
    prometheus = PrometheusProcess(settings, find_prometheus())
    envoy = EnvoyProcess(settings, find_envoy())
    # Prometheus looks at its targets for the first time 5 s after its start, whatever is done:
    # even the import of the other parts is time that it can use.
    await prometheus.start()
    from runner.targets.sandbox.supervisor import supervise

    return await supervise(
        settings,
        prometheus,
        envoy,
        api_server=request.api_server,
        owner_pid=request.owner_pid,
        start_limit_s=request.start_limit_s,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m runner.targets.sandbox", description=__doc__)
    parser.add_argument("--name", default="default", help="name of the sandbox")
    parser.add_argument("--home", type=Path, help="its folder; default: where `up` would put it")
    parser.add_argument("--lock-fd", type=int, help="open descriptor of the lock, from the parent")
    parser.add_argument("--detach", action="store_true", help="go on in a process of its own")
    parser.add_argument("--owner-pid", type=int, help="end when this process ends")
    parser.add_argument("--api-server", type=Path, help="kubeconfig of another API server")
    parser.add_argument(
        "--port", action="append", default=[], metavar="NAME=NUMBER", help="e.g. ingress=8081"
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="OPTION=VALUE", help="e.g. replicas=3"
    )
    parser.add_argument("--start-limit", type=float, default=60.0, help="seconds to be ready")
    return parser


def _request(given: argparse.Namespace) -> Request:
    from runner.targets.sandbox.allocation import check_ports
    from runner.targets.sandbox.options import Request, check_options

    ports = {name: int(value) for name, value in map(_pair, given.port)}
    options = {name: float(value) for name, value in map(_pair, given.set)}
    check_ports(ports)
    return Request(
        name=given.name,
        home=(given.home or home_of(given.name)).absolute(),
        ports=ports,
        options=check_options(options),
        api_server=given.api_server,
        owner_pid=given.owner_pid,
        start_limit_s=given.start_limit,
    )


def _pair(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    try:
        return name, float(value)
    except ValueError:
        raise UsageError(f"{text!r} is not NAME=NUMBER", accepted="e.g. ingress=8081") from None


def _lock(given: argparse.Namespace) -> Lock:
    home = (given.home or home_of(given.name)).absolute()
    if given.lock_fd is not None:
        return Lock.adopt(home, given.lock_fd)
    lock = create_home(home)
    lock.sign()
    return lock


def _say_failed(request: Request, error: BaseException) -> None:
    document = error_to_json(error)
    write_status(
        SandboxInfo(
            name=request.name,
            state="failed",
            home=request.home,
            message=document["message"],
            error=document,
            started_at_s=time.time(),
        )
    )


if __name__ == "__main__":
    sys.exit(main())
