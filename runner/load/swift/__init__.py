"""A fast HTTP client for locustfiles, with FastHttpUser's interface.

::

    from runner.load.swift import SwiftHttpUser as FastHttpUser

Not for the supervisor of a run: importing this imports Locust and gevent.
"""

from runner.load.swift.connection import ConnectionPool
from runner.load.swift.response import CaughtResponse, SwiftResponse, Timing
from runner.load.swift.session import SwiftHttpSession
from runner.load.swift.user import SwiftHttpUser

__all__ = [
    "CaughtResponse",
    "ConnectionPool",
    "SwiftHttpSession",
    "SwiftHttpUser",
    "SwiftResponse",
    "Timing",
]
