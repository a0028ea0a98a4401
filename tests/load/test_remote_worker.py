"""A worker from elsewhere: started by hand, with a locustfile of its own. The real Locust."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from loadserver import load_server
from trips import STEADY, set_off

from runner.load.commandline import free_port

pytestmark = pytest.mark.sandbox


def test_a_worker_that_waits_for_nobody_ends_without_a_traceback(tmp_path: Path) -> None:
    """Goal: Ctrl-C is no failure. Method: a worker whose master never comes."""
    (tmp_path / "users.py").write_text(STEADY, encoding="utf-8")
    port = free_port("127.0.0.1")
    command = ["worker", str(tmp_path / "users.py"), "--master", f"127.0.0.1:{port}"]
    with subprocess.Popen(
        [sys.executable, "-m", "runner", *command],
        env=dict(os.environ) | {"PYTHONDONTWRITEBYTECODE": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509
    ) as worker:
        try:
            assert worker.stderr is not None
            said = ""
            while "Starting Locust" not in said:
                said = worker.stderr.readline()
                assert said, worker.poll()
            worker.send_signal(signal.SIGINT)
            _, rest = worker.communicate(timeout=20)
        finally:
            worker.kill()
    assert worker.returncode == 130
    assert rest.endswith("Ctrl-C was pressed before there was a run\n")
    assert "Traceback" not in rest


def test_a_worker_with_another_locustfile_is_told(tmp_path: Path) -> None:
    """Goal: half of the load is not another one in secret. Method: an older locustfile there."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "users.py").write_text(STEADY.replace("/fine", "/old"), encoding="utf-8")
    port = free_port("127.0.0.1")
    with load_server() as server:
        trip = set_off(
            tmp_path,
            server.url,
            STEADY,
            [{"duration": "3s", "rate": "20/s"}],
            workers=1,
            remote_port=port,
        )
        command = ["worker", str(elsewhere / "users.py"), "--master", f"127.0.0.1:{port}"]
        environ = {name: value for name, value in os.environ.items() if "SEATRIAL" not in name}
        with subprocess.Popen(
            [sys.executable, "-m", "runner", *command],
            env=environ | {"PYTHONDONTWRITEBYTECODE": "1"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as worker:
            try:
                assert trip.wait() == 0
                assert worker.wait(10) == 0
            finally:
                worker.kill()
                trip.engine.stop(1.0)
    record = trip.run.read_load()
    (note,) = record.notes
    assert note.startswith("worker ")
    assert note.endswith(": its locustfile is another one than the run's, or another version of it")
    counts: Counter[str] = Counter()
    for row in record.rows:
        counts[row.endpoint] += row.count
    assert set(counts) == {"GET /fine", "GET /old"}
    assert abs(counts["GET /fine"] - counts["GET /old"]) <= 1
