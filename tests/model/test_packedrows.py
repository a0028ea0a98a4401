"""Rows in columns are the rows that were put in, in less space."""

from __future__ import annotations

from typing import Any

import pytest

from runner.model.packedrows import PackedRows, rows_within
from runner.model.recording import LoadRow

ROWS = (
    LoadRow(3, "GET /a", "success", {300: 1, 500: 2}, {100: 3}),
    LoadRow(3, "GET /b", "timeout", {900: 1}, late=True),
    LoadRow(2, "GET /a", "success", {-512: 2, 4000: 70_000}),
    LoadRow(9, "GET /a", "http_5xx", {7: 1}, {6: 1}),
)


def test_rows_are_those_that_were_put_in() -> None:
    """Goal: whoever takes a row finds all of it. Method: one count needs more than two bytes, so
    that the column is widened on the way.
    """
    rows = PackedRows(ROWS)
    assert rows == ROWS
    assert rows == PackedRows(ROWS)
    assert rows != ROWS[:3]
    assert rows != (*ROWS[:3], LoadRow(9, "GET /a", "http_5xx", {7: 1}, {6: 2}))
    assert rows != "rows"
    assert (len(rows), rows[-1], rows[1:3]) == (4, ROWS[3], ROWS[1:3])
    assert rows.latency.numbers.typecode == "q"
    assert rows.service.numbers.typecode == "h"
    assert [row.count for row in rows] == [3, 1, 70_002, 1]
    assert rows.names == ["GET /a", "success", "GET /b", "timeout", "http_5xx"]
    with pytest.raises(IndexError):
        rows[4]


def test_rows_within_seconds() -> None:
    for rows in (ROWS, PackedRows(ROWS)):
        assert list(rows_within(rows, range(3, 9))) == list(ROWS[:2])


def test_names_that_no_file_can_have_are_made_so() -> None:
    """Goal: what JSON can carry does not stop a report. Method: half of a surrogate, twice."""
    rows = PackedRows()
    rows.add(1, [["GET /\ud800", "success", [5]], ["GET /?", "success", [[5, 1], [6, 2]]]])
    rows.add(2, [["GET /\ud800", "success", [5]]])
    assert [row.endpoint for row in rows] == ["GET /?"] * 3
    assert rows[1].latency_us == {5: 1, 6: 2}


@pytest.mark.parametrize(
    "row",
    [
        ["GET /a", "success"],
        ["GET /a", "success", 7],
        ["GET /a", "success", [3, -1]],
        ["GET /a", "success", [3, 0]],
        ["GET /a", "success", [3, -2, -2]],
        ["GET /a", "success", [-513]],
        ["GET /a", "success", [3, 1.5]],
        ["GET /a", "success", ["a"]],
        ["GET /a", "success", [10**30]],
        ["GET /a", "success", [3], None],
        [7, "success", [3]],
        ["GET /a", ["success"], [3]],
        "row",
    ],
)
def test_what_is_no_row_is_refused(row: Any) -> None:
    with pytest.raises((AttributeError, TypeError, ValueError)):
        PackedRows().add(1, [row])
