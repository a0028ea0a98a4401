"""Whether a worker from elsewhere has the locustfile of the run. In Locust's processes only.

A worker reads its own copy of the locustfile: an older one, or another one, makes another load.
What the file imports is not looked at.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from runner.load.commandline import RIDE_ALONG

UNLIKE = "its locustfile is another one than the run's, or another version of it"


def print_of(files: Iterable[str] | None) -> str:
    """A fingerprint of locustfiles, ours excepted; line ends and names do not count.

    Args:
        files: Paths, as Locust has them; None for none.
    """
    known = hashlib.sha256()
    for file in files or ():
        if Path(file).name != RIDE_ALONG.name:
            known.update(b"\n".join([*Path(file).read_bytes().splitlines(), b""]))
    return known.hexdigest()
