"""A terminal for a command that is watched: a user has keys, sees a screen, and can hang up."""

from __future__ import annotations

import fcntl
import os
import select
import struct
import termios
import threading
from pathlib import Path


class Terminal:
    """A terminal of 80 columns; what is shown on it is kept in a file.

    Args:
        file: Takes every byte, control sequences included.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self._outer, self.inner = os.openpty()
        fcntl.ioctl(self.inner, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 80, 0, 0))
        self._open = True
        self._reader = threading.Thread(target=self._keep, daemon=True)
        self._reader.start()

    def took_over(self) -> None:
        """The child has it now."""
        os.close(self.inner)

    def press(self, keys: bytes) -> None:
        os.write(self._outer, keys)

    def close(self) -> None:
        """What happens when a window is closed or a connection breaks off."""
        if self._open:
            self._open = False
            self._reader.join(1.0)
            os.close(self._outer)

    def _keep(self) -> None:
        with self.file.open("ab", buffering=0) as out:
            while self._open:
                ready, _, _ = select.select([self._outer], [], [], 0.1)
                if ready:
                    try:
                        out.write(os.read(self._outer, 65536))
                    except OSError:  # The child has closed its end.
                        return
