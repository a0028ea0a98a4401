"""Packed counts: nothing is lost, nothing else is taken for them, and they are small."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.model.histogram import LOWEST_BUCKET, merged
from runner.model.packed import PackedCounts, pack, unpack

COUNTS = st.dictionaries(st.integers(LOWEST_BUCKET, 4000), st.integers(1, 1_000_000))


@given(COUNTS)
def test_what_was_packed_is_unpacked(counts: dict[int, int]) -> None:
    """Goal: nothing is lost. Method: any counts, to numbers and back, and through JSON."""
    numbers = pack(counts)
    assert unpack(numbers) == counts
    packed = PackedCounts(json.loads(json.dumps(numbers)))
    assert packed == counts
    assert counts == packed
    assert (len(packed), list(packed)) == (len(counts), sorted(counts))
    assert sum(packed.values()) == sum(counts.values())
    assert merged([packed, counts]) == {bucket: 2 * count for bucket, count in counts.items()}


@given(st.lists(st.integers(-10, 10), max_size=8))
def test_nothing_has_two_spellings(numbers: list[int]) -> None:
    """Goal: what is read is what was written. Method: any short list is refused, or canonical."""
    try:
        counts = unpack(numbers)
    except ValueError:
        return
    assert pack(counts) == numbers


def test_the_example_of_the_module() -> None:
    assert pack({104: 1, 100: 1, 103: 4}) == [100, 3, -4, 1]
    assert pack({5: 0, 7: 1}) == [7]
    assert pack({0: 2, 1: 1}) == [0, -2, 1]
    assert pack({-512: 2, -500: 1, 70: 1}) == [-512, -2, 12, 570]
    packed = PackedCounts([100, 3, -4, 1])
    assert (packed[103], 103 in packed, 101 in packed, packed.get(101)) == (4, True, False, None)
    assert repr(packed) == "PackedCounts([100, 3, -4, 1])"


@pytest.mark.parametrize(
    "numbers",
    [[-513], [-600, 700], [3, 0], [3, -1], [3, -2, -2], [3, 1.5], ["a"], [None], [10**30], 7],
)
def test_what_is_nothing_of_the_kind_is_refused(numbers: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        PackedCounts(numbers)


def test_large_counts_have_room() -> None:
    assert PackedCounts([3, -(10**12), 40_000])[40_003] == 1
