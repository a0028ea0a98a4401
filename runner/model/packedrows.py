"""Rows of the load in little space: a day of them has millions of counts. Pure, and plain Python.

Rows stand in columns of machine numbers, and their histograms one behind the other as packed counts
(:mod:`runner.model.packed`), two bytes a number. What reads one row gets a ``LoadRow``; what reads
all of them takes the columns. The supervisor of a run reads records too, so nothing heavy is
imported here: sums are made by ``runner.analysis.loadcolumns``.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import overload

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

    def add(self, numbers: Sequence[int]) -> None:
        """Put packed counts on top.

        Raises:
            TypeError, ValueError: When they are none.
        """
        check(numbers)
        end = self.starts[-1]
        try:
            self.numbers.extend(numbers)
        except OverflowError:
            del self.numbers[end:]
            self.numbers = array("q", self.numbers)
            try:
                self.numbers.extend(numbers)
            except OverflowError as error:
                raise ValueError("a number of packed counts is too large") from error
        self.starts.append(len(self.numbers))

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
            service = None if row.service_us is None else pack(row.service_us)
            latency = pack(row.latency_us)
            self.add(row.second, row.endpoint, row.outcome, latency, service, late=row.late)

    def add(
        self,
        second: int,
        endpoint: str,
        outcome: str,
        latency: Sequence[int],
        service: Sequence[int] | None = None,
        *,
        late: bool = False,
    ) -> None:
        """Add a row, whose histograms are packed counts.

        Raises:
            OverflowError, TypeError, ValueError: When it is none; then all rows are void.
        """
        self.latency.add(latency)
        if service is None:
            self.apart.append(-1)
        else:
            self.apart.append(len(self.service.starts) - 1)
            self.service.add(service)
        self.seconds.append(second)
        self.endpoints.append(self._code(endpoint))
        self.outcomes.append(self._code(outcome))
        self.late.append(late)

    def _code(self, name: str) -> int:
        code = self._codes.get(name)
        if code is None:
            code = self._codes[name] = len(self.names)
            self.names.append(name)
        return code

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


def rows_within(rows: Sequence[LoadRow], seconds: range) -> Iterator[LoadRow]:
    """The rows of ``seconds``, in the order in which they were written."""
    if isinstance(rows, PackedRows):
        return (rows[at] for at, second in enumerate(rows.seconds) if second in seconds)
    return (row for row in rows if row.second in seconds)
