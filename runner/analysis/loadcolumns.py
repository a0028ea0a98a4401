"""Sums over the rows of the load, in columns: a day of requests in a second or two. Pure.

The histograms stay packed in memory (``runner.model.packedrows``) and are unpacked a piece at a
time, where they are added up. What comes out is small: its size depends on the windows that were
asked for, and on the buckets in them, not on the requests. Which second belongs to which window is
``runner.analysis.windows``' business.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runner.errors import RecordingError
from runner.model.histogram import FINE, LOWEST_BUCKET, SUB_BITS, bucket_of
from runner.model.packedrows import PackedRows, Pile
from runner.model.recording import LoadRow

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Whole = NDArray[np.int64]

_SOME = 1 << 15
"""Rows that are looked up at a time."""

_HIGHEST_BUCKET = bucket_of(2.0**61)


@dataclass(frozen=True, slots=True)
class Sums:
    """What was seen in one window.

    Attributes:
        requests: Of each endpoint (row) and outcome (column).
        endpoints: Of each bucket that counts something: the endpoint's code, in rising order.
        buckets: Its index, in rising order for each endpoint.
        counts: Successes in it.
    """

    requests: Whole
    endpoints: Whole
    buckets: Whole
    counts: Whole

    def histogram(self, codes: Collection[int] | None = None) -> dict[int, int]:
        """Successes of the endpoints ``codes``, or of all, added up."""
        import numpy as np

        buckets, counts = self.buckets, self.counts
        if codes is not None:
            wanted = np.isin(self.endpoints, list(codes))
            buckets, counts = buckets[wanted], counts[wanted]
        if not len(buckets):
            return {}
        lowest = int(buckets.min())
        added = np.bincount(buckets - lowest, weights=counts)
        (known,) = added.nonzero()
        return dict(
            zip((known + lowest).tolist(), added[known].astype(np.int64).tolist(), strict=True)
        )


@dataclass(frozen=True, slots=True)
class _Piece:
    """Some rows, unpacked number by number.

    A number that begins a bucket counts one; one that says how many are in it counts the others.

    Attributes:
        rows: Those that have any number.
        firsts: Where the numbers of each begin.
        cells: Of each number, its bucket and its row's base, added up.
        counts: Of each number, what it counts.
    """

    rows: Whole
    firsts: Whole
    cells: Whole
    counts: Whole


class LoadColumns:
    """Rows of the load in order of time, for sums over spans of whole seconds.

    Args:
        rows: As read from a record, or made by hand.
        piece: Numbers that are unpacked at a time: enough to be fast, few enough to be small.
        cells: Of a table of windows and buckets that is in memory at a time: what a cache holds.

    Attributes:
        endpoints: Names of all endpoints, sorted; their places are their codes here.
        outcomes: The same of outcomes.
        seconds: Second of each row, rising.
        requests: Requests of each row.

    Raises:
        RecordingError: When a histogram has a bucket that there cannot be.
    """

    def __init__(
        self, rows: Sequence[LoadRow], *, piece: int = 1 << 18, cells: int = 1 << 18
    ) -> None:
        import numpy as np

        self._piece, self._cells = piece, cells

        self._rows = packed = rows if isinstance(rows, PackedRows) else PackedRows(rows)
        seconds = np.frombuffer(packed.seconds, np.int64) if packed.seconds else _none()
        self._order = np.argsort(seconds, kind="stable").astype(np.int32)
        self.seconds = seconds[self._order]
        self.endpoints, self._endpoint = self._coded(packed.endpoints)
        self.outcomes, self._outcome = self._coded(packed.outcomes)
        self._success = self._outcome == (
            self.outcomes.index("success") if "success" in self.outcomes else -1
        )
        self._lowest, self._width = 0, 1
        self.requests = self._count()

    @property
    def apart(self) -> int:
        """Rows whose times from the send are not those from the intended start."""
        return len(self._rows.service.starts) - 1

    def codes(self, names: Collection[str]) -> list[int]:
        """Codes of those endpoints that were called."""
        return [self.endpoints.index(name) for name in names if name in self.endpoints]

    def sums(self, seconds: range, *, service: bool = False) -> Sums:
        """What was seen in ``seconds``; with ``service``, histograms of times from the send."""
        import numpy as np

        low, high = self._span(seconds)
        shape = (len(self.endpoints), len(self.outcomes))
        cells = self._endpoint[low:high] * shape[1] + self._outcome[low:high]
        requests = np.bincount(cells, self.requests[low:high], minlength=shape[0] * shape[1])
        wanted = low + np.flatnonzero(self._success[low:high])
        total = np.zeros(shape[0] * self._width)  # of floats, which count 2 ** 53 without error
        bases = self._endpoint[wanted].astype(np.int64) * self._width - self._lowest
        for piece in self._unpacked(wanted, bases, service=service):
            total += np.bincount(piece.cells, piece.counts, minlength=len(total))
        (known,) = total.nonzero()
        return Sums(
            requests.astype(np.int64).reshape(shape),
            known // self._width,
            known % self._width + self._lowest,
            total[known].astype(np.int64),
        )

    def outcome_table(
        self, edges: Sequence[int], codes: Collection[int] | None = None
    ) -> NDArray[np.int64]:
        """Requests between edges, which rise: a line for each pair, a column for each outcome."""
        import numpy as np

        low, high = self._span(range(edges[0], edges[-1]))
        chosen = low + np.flatnonzero(self._of(codes, low, high))
        places = np.searchsorted(edges, self.seconds[chosen], side="right") - 1
        shape = (len(edges) - 1, len(self.outcomes))
        keys = places * shape[1] + self._outcome[chosen]
        sums = np.bincount(keys, self.requests[chosen], minlength=shape[0] * shape[1])
        return sums.astype(np.int64).reshape(shape)

    def histogram_tables(
        self,
        edges: Sequence[int],
        codes: Collection[int] | None = None,
        *,
        overlap: int = 0,
        service: bool = False,
    ) -> Iterator[tuple[int, Whole, NDArray[np.int64]]]:
        """Successes between edges, a piece of the edges at a time.

        Args:
            edges: Seconds that rise; each pair is a window.
            codes: Endpoints; None for all.
            overlap: How many windows of a piece are given again at the start of the next one.
            service: Times from the send.

        Yields:
            The index of the first window; buckets, rising; and a table with a line for each window
            and a column for each of these buckets.
        """
        import numpy as np

        windows = len(edges) - 1
        size = max(overlap + 1, min(windows, self._cells // self._width))
        for first in range(0, max(1, windows - overlap), size - overlap):
            part = np.asarray(edges[first : first + size + 1])
            low, high = self._span(range(int(part[0]), int(part[-1])))
            wanted = low + np.flatnonzero(self._success[low:high] & self._of(codes, low, high))
            table = np.zeros((len(part) - 1) * self._width, np.int64)
            places = np.searchsorted(part, self.seconds[wanted], side="right") - 1
            bases = places * self._width - self._lowest
            for piece in self._unpacked(wanted, bases, service=service):
                np.add.at(table, piece.cells, piece.counts)
            square = table.reshape(-1, self._width)
            known = np.flatnonzero(square.any(axis=0))
            yield first, known + self._lowest, square[:, known]

    # -- rows and what is packed in them ---------------------------------------------------------

    def _coded(self, column: Any) -> tuple[tuple[str, ...], NDArray[np.int32]]:
        """Names that occur, sorted, and the place of each row's name among them."""
        import numpy as np

        codes = np.frombuffer(column, np.int32) if column else np.zeros(0, np.int32)
        names = self._rows.names
        occurring = sorted(np.unique(codes).tolist(), key=names.__getitem__)
        places = np.zeros(len(names) + 1, np.int32)
        places[occurring] = np.arange(len(occurring))
        return tuple(names[code] for code in occurring), places[codes][self._order]

    def _span(self, seconds: range) -> tuple[int, int]:
        import numpy as np

        low, high = np.searchsorted(self.seconds, [seconds.start, seconds.stop])
        return int(low), max(int(low), int(high))

    def _of(self, codes: Collection[int] | None, low: int, high: int) -> NDArray[np.bool_]:
        import numpy as np

        if codes is None:
            return np.ones(high - low, np.bool_)
        return np.isin(self._endpoint[low:high], list(codes))

    def _count(self) -> Whole:
        import numpy as np

        rows = np.arange(len(self.seconds))
        requests, bases = np.zeros_like(rows), np.zeros_like(rows)
        lowest, highest = _HIGHEST_BUCKET, LOWEST_BUCKET
        for service in (False, True) if self.apart else (False,):
            for piece in self._unpacked(rows, bases, service=service):
                buckets = piece.cells
                lowest, highest = min(lowest, int(buckets.min())), max(highest, int(buckets.max()))
                if not service:
                    requests[piece.rows] = np.add.reduceat(piece.counts, piece.firsts)
        if highest > _HIGHEST_BUCKET:
            raise RecordingError(f"the record of the load has a bucket {highest}: there is none")
        self._lowest, self._width = lowest, max(1, highest - lowest + 1)
        return requests

    def _unpacked(self, rows: Whole, bases: Whole, *, service: bool = False) -> Iterator[_Piece]:
        """The histograms of ``rows``, unpacked; ``bases`` are added to the buckets of each row."""
        for at in range(0, len(rows), _SOME):
            part = slice(at, at + _SOME)
            yield from self._unpacked_some(rows[part], bases[part], service=service)

    def _unpacked_some(self, rows: Whole, bases: Whole, *, service: bool) -> Iterator[_Piece]:
        import numpy as np

        latency, sent = self._rows.latency, self._rows.service
        if not service:
            yield from _unpacked(latency, self._order[rows], rows, bases, self._piece)
            return
        apart = np.frombuffer(self._rows.apart, np.int64)[self._order[rows]]
        same, other = apart < 0, apart >= 0
        places = self._order[rows[same]]
        yield from _unpacked(latency, places, rows[same], bases[same], self._piece)
        yield from _unpacked(sent, apart[other], rows[other], bases[other], self._piece)


def columns_of(rows: Sequence[LoadRow]) -> LoadColumns:
    """``rows`` in columns; those of a record that was read are made once."""
    if not isinstance(rows, PackedRows):
        return LoadColumns(rows)
    if not isinstance(rows.memo, LoadColumns):
        rows.memo = LoadColumns(rows)
    return rows.memo


def bucket_values_us(buckets: Whole) -> NDArray[np.float64]:
    """:func:`~runner.model.histogram.bucket_value_us` of each of ``buckets``."""
    import numpy as np

    shifts = np.maximum(0, (buckets >> SUB_BITS) - 1)
    lows = (buckets - (shifts << SUB_BITS)) << shifts
    coarse = lows + np.where(shifts > 0, (1 << shifts) / 2, 0.0)
    return np.where(buckets < 0, (buckets - LOWEST_BUCKET) / FINE, coarse)


def _none() -> Whole:
    import numpy as np

    return np.zeros(0, np.int64)


def _unpacked(pile: Pile, places: Any, rows: Whole, bases: Whole, piece: int) -> Iterator[_Piece]:
    """See :meth:`LoadColumns._unpacked`; ``places`` are those of ``rows`` in ``pile``."""
    import numpy as np

    numbers = np.frombuffer(pile.numbers, pile.numbers.typecode) if pile.numbers else _none()
    starts = np.frombuffer(pile.starts, np.int64)
    begins, lengths = starts[places], starts[places + 1] - starts[places]
    full = lengths > 0
    if not full.all():
        rows, bases, begins, lengths = rows[full], bases[full], begins[full], lengths[full]
    ends = np.cumsum(lengths)
    at = 0
    while at < len(rows):
        done = int(ends[at - 1]) if at else 0
        upto = max(at + 1, int(np.searchsorted(ends, done + piece, side="right")))
        length = lengths[at:upto]
        firsts = ends[at:upto] - length - done
        total = int(ends[upto - 1]) - done
        picked = np.repeat(begins[at:upto] - firsts, length)
        picked += np.arange(total)
        deltas = numbers[picked].astype(np.int64)
        fresh = deltas > 0
        fresh[firsts] = True
        counts = np.where(fresh, 1, -1 - deltas)
        deltas *= fresh
        levels = np.cumsum(deltas)
        levels += np.repeat(bases[at:upto] - levels[firsts] + deltas[firsts], length)
        yield _Piece(rows[at:upto], firsts, levels, counts)
        at = upto
