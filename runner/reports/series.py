"""The series of a run as CSV: a long, tidy table that any tool reads. Made in pieces."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from functools import lru_cache

from runner.analysis.longtable import Piece
from runner.reports.text import shown

COLUMNS = (*("offset_s", "time", "source", "sli", "service", "endpoint", "phase", "value", "unit"),)

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet takes for the beginning of a formula."""

_MOST_TIMES = 200_000


def csv_parts(
    pieces: Iterable[Piece], time_of: Callable[[float], datetime | None]
) -> Iterator[str]:
    """The table as CSV (RFC 4180, but for line feeds alone), a series at a time; first the header.

    Args:
        pieces: The series.
        time_of: The moment of an offset.
    """
    yield ",".join(COLUMNS) + "\n"

    @lru_cache(maxsize=_MOST_TIMES)
    def stamp(offset_s: float) -> str:
        moment = time_of(offset_s)
        if moment is None:
            return ""
        return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    for piece in pieces:
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        before = (piece.source, _cell(piece.sli), _cell(piece.service), _cell(piece.endpoint))
        rows = zip(piece.offsets_s, piece.values, piece.phases, strict=True)
        writer.writerows(
            (f"{at_s:.12g}", stamp(at_s), *before, _cell(phase), f"{value:.12g}", piece.unit)
            for at_s, value, phase in rows
        )
        yield out.getvalue()


def name_of(text: str) -> str:
    """A name in one line, without what no file may hold."""
    return " ".join(shown(text).split())


@lru_cache(maxsize=4096)
def _cell(text: str) -> str:
    """A name that no spreadsheet takes for a formula: an apostrophe before it, as they have it."""
    name = name_of(text)
    return f"'{name}" if name.startswith(_FORMULA) else name
