"""``python -m runner.targets.sandbox.apiserver``: the API server alone, until SIGTERM."""

from __future__ import annotations

import argparse
import asyncio
import logging
import secrets
import signal
from pathlib import Path

from runner.targets.sandbox.apiserver import serve


async def _main(home: Path, port: int, name: str) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    handle = await serve(home, port, secrets.token_urlsafe(32), name)
    try:
        await stop.wait()
    finally:
        await handle.close()


def main() -> None:
    """Parse the arguments and serve."""
    parser = argparse.ArgumentParser(prog="python -m runner.targets.sandbox.apiserver")
    parser.add_argument("--home", type=Path, required=True, help="folder for kubeconfig and keys")
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1 (0: any free one)")
    parser.add_argument("--name", default="", help="name of the context: seatrial-<name>")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    asyncio.run(_main(arguments.home, arguments.port, arguments.name))


if __name__ == "__main__":
    main()
