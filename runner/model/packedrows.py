"""Rows of the load in little space: a day of them has millions of counts. Pure, and plain Python.

Rows stand in columns of machine numbers, and their histograms one behind the other as packed counts
(:mod:`runner.model.packed`), two bytes a number. What reads one row gets a ``LoadRow``; what reads
all of them takes the columns. The supervisor of a run reads records too, so nothing heavy is
imported here: sums are made by ``runner.analysis.loadcolumns``.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, overload

from runner.model.histogram import Counts
from runner.model.packed import PackedCounts, check, pack
from runner.model.recording import LoadRow


class Pile:
    """Packed counts of many rows, one behind the other.

    Attributes:
        numbers: All packed counts.
        starts: Where those of each row begin; the last one is where they end.
    """

    __slots__ = ("numbers", "starts")

    def __init__(self) -> None:
        self.numbers = array("h")  # two bytes each, as nearly always
        self.starts = array("q", (0,))

    def add(self, histograms: Iterable[list[int]]) -> None:
        """Put packed counts on top.

        Raises:
            TypeError, ValueError: When they are none.
        """
        column, starts = self.numbers, self.starts
        for numbers in histograms:
            if numbers and min(numbers) <= 0:  # Only then is there anything that could be wrong.
                check(numbers)
            try:
                column.fromlist(numbers)
            except OverflowError:
                column = self._widened(numbers)
            starts.append(len(column))

    def _widened(self, numbers: list[int]) -> array[int]:
        self.numbers = array("q", self.numbers)
        try:
            self.numbers.fromlist(numbers)
        except OverflowError as error:
            raise ValueError("a number of packed counts is too large") from error
        return self.numbers

    def at(self, index: int) -> PackedCounts:
        return PackedCounts(self.numbers[self.starts[index] : self.starts[index + 1]])


class PackedRows(Sequence[LoadRow]):
    """Rows of the load in the order in which they were written.

    Attributes:
        names: Endpoints and outcomes, by their codes.
        seconds: Second of each row.
        endpoints: Code of its endpoint.
        outcomes: Code of its outcome.
        late: 1 where it came too late for a search; see ``LoadRow``.
        latency: Its latencies.
        service: Latencies from the send, of those rows of which these are others.
        apart: Which of these are those of each row; -1 where they are the same.
        memo: What somebody has made of the finished rows, and wants to find again.
    """

    __slots__ = (
        *("names", "seconds", "endpoints", "outcomes", "late", "latency", "service", "apart"),
        *("memo", "_codes"),
    )

    def __init__(self, rows: Iterable[LoadRow] = ()) -> None:
        self.names: list[str] = []
        self._codes: dict[str, int] = {}
        self.memo: object = None
        self.seconds, self.endpoints, self.outcomes = array("q"), array("i"), array("i")
        self.late, self.apart = bytearray(), array("q")
        self.latency, self.service = Pile(), Pile()
        for row in rows:
            apart = [] if row.service_us is None else [pack(row.service_us)]
            one = [row.endpoint, row.outcome, pack(row.latency_us), *apart]
            self.add(row.second, [one], late=row.late)

    def add(self, second: int, rows: Sequence[Sequence[Any]], *, late: bool = False) -> None:
        """Add rows of one second.

        Args:
            second: Theirs.
            rows: As a line of the record has them: endpoint, outcome, packed counts, and those from
                the send where they are others.
            late: Whether they came too late for a search.

        Raises:
            AttributeError, TypeError, ValueError: When they are none; then nothing here holds.
        """
        code, histograms, service = self._codes.get, [], []
        number, spoken = len(self.service.starts) - 1, self._spoken
        for endpoint, outcome, latency, *apart in rows:
            histograms.append(packed_numbers(latency))
            if apart:
                service.append(packed_numbers(apart[0]))
                self.apart.append(number + len(service) - 1)
            else:
                self.apart.append(-1)
            at = code(endpoint)
            self.endpoints.append(spoken(endpoint) if at is None else at)
            at = code(outcome)
            self.outcomes.append(spoken(outcome) if at is None else at)
        self.latency.add(histograms)
        self.service.add(service)
        self.seconds.extend([second] * len(histograms))
        self.late.extend([late] * len(histograms))

    def _spoken(self, text: str) -> int:
        """The code of a name that was not met before."""
        name = writable(text)
        if name not in self._codes:
            self._codes[name] = len(self.names)
            self.names.append(name)
        self._codes[text] = self._codes[name]
        return self._codes[text]

    def __len__(self) -> int:
        return len(self.seconds)

    @overload
    def __getitem__(self, index: int) -> LoadRow: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[LoadRow, ...]: ...
    def __getitem__(self, index: int | slice) -> LoadRow | tuple[LoadRow, ...]:
        if isinstance(index, slice):
            return tuple(self[at] for at in range(len(self))[index])
        index = range(len(self))[index]
        apart = self.apart[index]
        service: Counts | None = None if apart < 0 else self.service.at(apart)
        return LoadRow(
            second=self.seconds[index],
            endpoint=self.names[self.endpoints[index]],
            outcome=self.names[self.outcomes[index]],
            latency_us=self.latency.at(index),
            service_us=service,
            late=bool(self.late[index]),
        )

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, Sequence) or isinstance(other, str | bytes):
            return NotImplemented
        return len(self) == len(other) and all(a == b for a, b in zip(self, other, strict=True))

    __hash__ = object.__hash__
    """By identity: they are compared in tests, and kept apart everywhere else."""

    def __repr__(self) -> str:
        return f"PackedRows({list(self)!r})"


def packed_numbers(counts: Any) -> list[int]:
    """Packed counts as they are, also where an older record has pairs."""
    if type(counts) is not list:
        raise TypeError(f"{counts!r} are no counts")
    return pack(dict(counts)) if counts and type(counts[0]) is list else counts


def writable(text: str) -> str:
    """``text`` without lone surrogates, which JSON can carry and no file can be written with."""
    return text.encode("utf-8", "replace").decode("utf-8")


def rows_within(rows: Sequence[LoadRow], seconds: range) -> Iterator[LoadRow]:
    """The rows of ``seconds``, in the order in which they were written."""
    if isinstance(rows, PackedRows):
        return (rows[at] for at, second in enumerate(rows.seconds) if second in seconds)
    return (row for row in rows if row.second in seconds)
