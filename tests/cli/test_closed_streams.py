"""Callers that have closed a stream: no traceback, and the exit code is that of the work."""

from __future__ import annotations

import subprocess
import sys

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
