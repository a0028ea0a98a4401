"""Counts of a histogram in little space, in a file and in memory: a long run has millions. Pure.

Packed counts are whole numbers: for each bucket, in rising order, how far it is from the one before
(the first from 0), and behind it, where more than one value was counted, the count below zero.
``{100: 1, 103: 4, 104: 1}`` is ``[100, 3, -4, 1]``. Most buckets of a second hold one value, and
most are near to each other, so that a bucket takes two or three characters of JSON.
"""

from __future__ import annotations

from array import array
from collections.abc import ItemsView, Iterator, Mapping, Sequence, ValuesView
from itertools import islice

from runner.model.histogram import LOWEST_BUCKET, Counts

_TWO = -2
"""How a bucket is followed that counts two, the least that is said."""


def pack(counts: Counts) -> list[int]:
    """Pack; buckets that count nothing are left out."""
    numbers: list[int] = []
    last = 0
    for bucket, count in sorted(counts.items()):
        if count > 0:
            numbers.append(bucket - last)
            last = bucket
            if count > 1:
                numbers.append(-count)
    return numbers


def unpack(numbers: Sequence[int]) -> dict[int, int]:
    """The reverse of :func:`pack`.

    Raises:
        ValueError: When these are no packed counts.
    """
    counts: dict[int, int] = {}
    bucket = 0
    for number in numbers:
        if number > 0 or not counts:
            bucket += number
            counts[bucket] = 1
        elif number < -1 and counts[bucket] == 1:
            counts[bucket] = -number
        else:
            raise ValueError(f"{number} has no place in packed counts")
    if min(counts, default=0) < LOWEST_BUCKET:
        raise ValueError(f"there is no bucket {min(counts)}")
    return counts


def check(numbers: Sequence[int]) -> None:
    """See that these are packed counts, in less time than it takes to unpack them.

    Raises:
        TypeError, ValueError: When they are none.
    """
    if numbers and numbers[0] < LOWEST_BUCKET:
        raise ValueError(f"there is no bucket {numbers[0]}")
    before = 1  # of which nothing was said yet, as of the first one
    for number in islice(numbers, 1, None):
        if number <= 0 and (number > _TWO or before <= 0):
            raise ValueError(f"{number} has no place in packed counts")
        before = number


class PackedCounts(Mapping[int, int]):
    """Counts that stay packed, and are unpacked whenever they are looked at.

    Args:
        numbers: Packed counts.

    Raises:
        TypeError, ValueError: When they are none.
    """

    __slots__ = ("_numbers",)

    def __init__(self, numbers: Sequence[int]) -> None:
        try:
            self._numbers = array("h", numbers)  # two bytes each, as nearly always
        except OverflowError:
            try:
                self._numbers = array("q", numbers)
            except OverflowError as error:
                raise ValueError("a number of packed counts is too large") from error
        check(self._numbers)

    def __getitem__(self, bucket: int) -> int:
        return unpack(self._numbers)[bucket]

    def __iter__(self) -> Iterator[int]:
        return iter(unpack(self._numbers))

    def __len__(self) -> int:
        return len(unpack(self._numbers))

    def __repr__(self) -> str:
        return f"PackedCounts({list(self._numbers)})"

    def items(self) -> ItemsView[int, int]:
        return unpack(self._numbers).items()

    def values(self) -> ValuesView[int]:
        return unpack(self._numbers).values()
