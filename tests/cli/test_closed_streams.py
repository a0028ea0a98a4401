"""Callers that have closed a stream: no traceback, and the exit code is that of the work."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize("closed", [">&-", "<&-", "2>&-", "<&- >&- 2>&-"])
def test_a_stream_that_is_closed_breaks_nothing(closed: str) -> None:
    """Goal: `>&-` is no bug. Method: the shell starts the command without the stream."""
    for arguments, code in (("--version", 0), ("validate no-such-experiment", 2)):
        ended = subprocess.run(
            ["/bin/sh", "-c", f'"$1" -m runner {arguments} {closed}', "sh", sys.executable],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert ended.returncode == code, ended.stderr
        assert "Traceback" not in ended.stderr


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="no device that is full here")
def test_output_into_a_full_file_is_no_bug_and_no_success() -> None:
    """Goal: `seatrial schema > file` on a full disk is told. Method: the device that is full."""
    with Path("/dev/full").open("wb") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "runner", "schema"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    assert ended.returncode == 3
    assert ended.stderr == "error: the output cannot be written: No space left on device\n"
