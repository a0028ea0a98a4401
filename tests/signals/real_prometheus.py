"""A real Prometheus for tests, with a history that is made up, or with something to scrape."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

from runner.process import die_with_parent
from runner.targets.sandbox.binaries import find_prometheus

READY_WITHIN_S = 20.0


def free_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def backfill(folder: Path, lines: Iterable[str]) -> None:
    """Make TSDB blocks of OpenMetrics ``lines`` (``name{labels} value unix_time``)."""
    text = folder / "history.txt"
    text.write_text("\n".join([*lines, "# EOF", ""]), encoding="utf-8")
    promtool = find_prometheus().with_name("promtool")
    argv = [str(promtool), "tsdb", "create-blocks-from", "openmetrics", str(text)]
    done = subprocess.run(
        [*argv, str(folder / "data")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@contextmanager
def prometheus(
    folder: Path,
    targets: Iterable[str] = (),
    *,
    rules: Sequence[Mapping[str, Any]] = (),
    web: Mapping[str, Any] | None = None,
    session: requests.Session | None = None,
) -> Iterator[str]:
    """A Prometheus over ``folder / "data"`` that scrapes ``targets`` each 0.5 s; its base URL.

    Args:
        folder: Its home.
        targets: What it scrapes.
        rules: Alerting rules that it evaluates each 0.5 s.
        web: Its web configuration, with TLS and users; None for none.
        session: How it is asked whether it is ready; with https where ``web`` has TLS.
    """
    port = free_port()
    groups = {"groups": [{"name": "test", "interval": "500ms", "rules": [*rules]}]}
    (folder / "rules.json").write_text(json.dumps(groups), encoding="utf-8")
    (folder / "web.json").write_text(json.dumps(web or {}), encoding="utf-8")
    config = {
        "global": {"scrape_interval": "500ms", "scrape_timeout": "500ms"},
        "rule_files": [str(folder / "rules.json")] if rules else [],
        "scrape_configs": [{"job_name": "exporter", "static_configs": [{"targets": [*targets]}]}],
    }
    (folder / "prometheus.json").write_text(json.dumps(config), encoding="utf-8")
    argv = [
        str(find_prometheus()),
        f"--config.file={folder / 'prometheus.json'}",
        f"--storage.tsdb.path={folder / 'data'}",
        "--storage.tsdb.retention.time=30d",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=error",
        *([f"--web.config.file={folder / 'web.json'}"] if web else []),
    ]
    url = f"{'https' if web and 'tls_server_config' in web else 'http'}://127.0.0.1:{port}"
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(
            argv,
            stdout=log,
            stderr=log,
            preexec_fn=die_with_parent(),  # noqa: PLW1509
        )
    try:
        _wait_ready(url, process, session or requests.Session())
        yield url
    finally:
        process.terminate()
        process.wait(timeout=10)


def _wait_ready(url: str, process: subprocess.Popen[bytes], session: requests.Session) -> None:
    deadline = time.monotonic() + READY_WITHIN_S
    while time.monotonic() < deadline:
        assert process.poll() is None, "Prometheus ended while it started"
        try:
            if session.get(f"{url}/-/ready", timeout=1).status_code == 200:
                return
        except requests.ConnectionError:
            pass
        time.sleep(0.05)
    raise AssertionError("Prometheus was not ready in time")
