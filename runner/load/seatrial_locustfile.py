"""The second locustfile: Locust loads it before the user's own, and it brings the load shape.

A file of its own because Locust registers a locustfile under its bare file name; the real module
keeps its proper name, and a user's ``plugin.py`` stays theirs.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import locust.main
from locust import LoadTestShape

# Locust puts the working folder first, and that may have a package of our name.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from runner.load.plugin import ride_along
from runner.load.waiting import leave_quietly_until

del sys.path[0]

_ride = ride_along(os.environ)
leave_quietly_until(locust.events.init)

# Where no file has a User class, Locust has pytest collect them all; this one has nothing for it.
_locust: Any = locust.main
_collect = _locust.load_locustfile_pytest
_locust.load_locustfile_pytest = lambda path: {} if path == __file__ else _collect(path)


class SeatrialPlanShape(LoadTestShape):
    """Follows the experiment's stages. One tick is the whole run, in steps of its own."""

    def tick(self) -> None:
        _ride.follow()
