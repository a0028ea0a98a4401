"""Readers that go away: a closed terminal, ``| head``. What they do not hear changes nothing else.

Not a run, not its exit code: those who asked for both may still look at the folder and at ``$?``.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Iterator
from typing import Any, TextIO

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""A file that standard output was sent to takes no more."""

_GONE = (errno.EPIPE, errno.EIO, errno.ENXIO, errno.EBADF, *FULL)


class Patient:
    """A stream that drops what nobody takes."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with may_be_unheard(self._stream):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with may_be_unheard(self._stream):
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextlib.contextmanager
def may_be_unheard(*streams: TextIO) -> Iterator[None]:
    """Within it, a failed write to one of ``streams`` (default: both) ends only what is within."""
    try:
        yield
    except OSError as error:
        if error.errno not in _GONE or error.filename is not None:
            raise
        for stream in streams or (sys.stdout, sys.stderr):
            _forget(stream)


def _forget(stream: TextIO) -> None:
    """Send to nowhere what ``stream`` cannot write, or the interpreter's end would fail on it."""
    try:
        stream.flush()
    except (OSError, ValueError):
        with contextlib.suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)
