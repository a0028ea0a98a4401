"""Reading files that somebody names: whole, up to a size, within a time.

A name may stand for a pipe that nobody writes to or a device that never ends; neither may hang a
command. What the content means is not known here.
"""

from __future__ import annotations

import errno
import os
import select
import stat
from pathlib import Path
from typing import Final

PATIENCE_S: Final = 5.0
"""How long a pipe may take for its next piece; such as that of ``<(command)`` in a shell."""

_PIECE: Final = 64 * 1024


def read_bounded(path: Path, most: int, patience_s: float = PATIENCE_S) -> bytes:
    """The content of ``path``, of at most ``most`` bytes.

    Raises:
        OSError: When it cannot be read; also when it is larger (``EFBIG``) or when nothing comes
            for ``patience_s`` seconds (``ETIMEDOUT``).
    """
    try:
        # Without O_NONBLOCK, opening a pipe waits for who writes to it.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except ValueError as error:  # A NUL in the name.
        raise OSError(errno.EINVAL, str(error)) from None
    try:
        regular = stat.S_ISREG(os.fstat(descriptor).st_mode)
        content = bytearray()
        while len(content) <= most:
            if not regular:
                _wait(descriptor, patience_s)
            piece = os.read(descriptor, _PIECE)
            if not piece:
                return bytes(content)
            content += piece
    finally:
        os.close(descriptor)
    raise OSError(errno.EFBIG, f"it has more than {most} bytes")


def is_there(path: Path) -> bool:
    """Whether there is something called ``path``; nothing is called what no file can be."""
    try:
        path.stat()
    except (OSError, ValueError):
        return False
    return True


def is_special(path: Path) -> bool:
    """Whether ``path`` is a device, a pipe or a socket: to be written into, never to be replaced.

    Who may do everything would otherwise put a file in the place of ``/dev/null``.
    """
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def write_special(path: Path, content: bytes) -> None:
    """Write ``content`` into a device or pipe.

    Raises:
        OSError: When it takes none, as a pipe that nobody reads from (``ENXIO``).
    """
    flags = os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
    descriptor = os.open(path, flags)
    try:
        os.set_blocking(descriptor, True)
        while content:
            content = content[os.write(descriptor, content) :]
    finally:
        os.close(descriptor)


def _wait(descriptor: int, patience_s: float) -> None:
    """Return when there is something to read, or the end."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    if not poll.poll(patience_s * 1000):
        raise OSError(errno.ETIMEDOUT, f"nothing came for {patience_s:g} s")
