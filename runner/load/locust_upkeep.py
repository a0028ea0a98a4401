"""Keeps Locust itself small in a long run: its statistics and its log. Imports no Locust.

Locust keeps one number per second and endpoint for ever, and an error entry and a log line for
every text it has not seen before. None of it is used here, but all of it would grow.
"""

from __future__ import annotations

import logging
from typing import Any

_SECONDS_KEPT = 30  # Locust's own "current" figures look back 12 s
_ENTRIES_KEPT = 1000
_HISTORY_KEPT = 100
_LINES_PER_PLACE = 20
_PLACES_KEPT = 500


def prune_stats(stats: Any, now_s: float) -> None:
    """Cut what grows in a ``locust.stats.RequestStats``.

    Args:
        stats: The object; only its public dictionaries are touched.
        now_s: Unix time.
    """
    oldest = int(now_s) - _SECONDS_KEPT
    for entry in (stats.total, *stats.entries.values()):
        for per_second in (entry.num_reqs_per_sec, entry.num_fail_per_sec):
            for second in [s for s in per_second if s < oldest]:
                del per_second[second]
    for table in (stats.entries, stats.errors):
        for key in list(table)[_ENTRIES_KEPT:]:
            del table[key]
    del stats.history[:-_HISTORY_KEPT]


def limit_tracebacks(hub: Any) -> None:
    """Let gevent print the first tracebacks of each kind of exception, and no more.

    It prints one for each user that dies, such as in ``on_start``, past Locust's log, and users
    that die are replaced as long as the load lasts.

    Args:
        hub: ``gevent.get_hub()`` of the thread in which users run.
    """
    show, printed = hub.print_exception, dict[str, int]()

    def print_exception(context: Any, kind: Any, value: Any, tb: Any) -> None:
        name = getattr(kind, "__name__", str(kind))
        printed[name] = printed.get(name, 0) + 1
        if printed[name] <= _LINES_PER_PLACE:
            show(context, kind, value, tb)
        if printed[name] == _LINES_PER_PLACE:
            logging.getLogger("seatrial.load").warning(
                "further tracebacks of %s are left out", name
            )

    hub.print_exception = print_exception


class LineLimit(logging.Filter):
    """Lets the first lines of each place in the code through, and drops the rest.

    A locustfile that raises in every task would write its traceback thousands of times a minute;
    the failures are counted on record anyway.
    """

    def __init__(self) -> None:
        super().__init__()
        self._lines: dict[tuple[str, int], int] = {}

    @classmethod
    def install(cls) -> None:
        """Limit what the handlers of Locust's log take, and silence its printed statistics."""
        limit = cls()
        for name in (None, "locust"):
            for handler in logging.getLogger(name).handlers:
                handler.addFilter(limit)
        logging.getLogger("locust.stats_logger").disabled = True

    def filter(self, record: logging.LogRecord) -> bool:
        place = (record.pathname, record.lineno)
        if len(self._lines) >= _PLACES_KEPT and place not in self._lines:
            return False
        count = self._lines[place] = self._lines.get(place, 0) + 1
        if count == _LINES_PER_PLACE:
            record.msg = f"{record.msg} [further lines of this kind are left out]"
        return count <= _LINES_PER_PLACE
