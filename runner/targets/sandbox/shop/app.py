"""The pod's process: reads its environment, serves, and stops gracefully on SIGTERM."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import logging
import os
import signal
import sys
import time

from runner.targets.sandbox.shop.http1 import HttpServer
from runner.targets.sandbox.shop.services import Shop, ShopSettings, read_settings

logger = logging.getLogger("shop")

# Longer than any grace period: the kubelet's SIGKILL is what ends a pod that cannot finish.
DRAIN_TIMEOUT_S = 3600.0
PR_SET_PDEATHSIG = 1


def die_with_parent(parent: int) -> None:
    """Ask the kernel (Linux) to SIGKILL this process when the one that started it is gone."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if parent and os.getppid() != parent:  # gone before the kernel was asked
        os._exit(1)


class _LogFormat(logging.Formatter):
    """Lines that begin with an RFC 3339 time in UTC, as a container runtime writes them."""

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802
        del datefmt
        whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        return f"{whole}.{int(record.msecs):03d}Z"


async def serve(settings: ShopSettings) -> int:
    """Serve until SIGTERM or SIGINT, then drain; returns the exit code."""
    shop = Shop(settings)
    server = HttpServer(shop.handle)
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    port = await server.listen(settings.address, settings.port)
    logger.info("%s listens on %s:%d", settings.service, settings.address, port)
    gc.collect()
    gc.freeze()  # what start-up made lives for ever; collections need not look at it
    await stop.wait()
    logger.info("SIGTERM: finishing %d requests", server.busy)
    shop.ready = False
    clean = await server.drain(settings.drain_s, DRAIN_TIMEOUT_S)
    shop.leak.set_rate(0.0)
    if shop.outbound is not None:
        shop.outbound.close()
    logger.info("stopped after %d answers", server.answered)
    return 0 if clean else 1


def main() -> int:
    """Entry point of the process; exit code 2 for an environment that cannot be used."""
    die_with_parent(int(os.environ.get("SHOP_PARENT", "0")))
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(_LogFormat("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    try:
        return asyncio.run(serve(read_settings(os.environ)))
    except ValueError as error:
        logger.error("cannot start: %s", error)  # noqa: TRY400 - a setting, no trace needed
        return 2
    except OSError as error:
        logger.error("cannot listen: %s", error)  # noqa: TRY400
        return 1
