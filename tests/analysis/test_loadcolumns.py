"""Sums in columns are those that dicts give, whatever was written, and wherever it was torn."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Collection
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from builders import ABORT, plan_of
from hypothesis import given
from hypothesis import strategies as st

from runner.analysis.loadcolumns import LoadColumns, bucket_values_us, columns_of
from runner.analysis.seconds import Seconds, Slice, joined, rolling, rolling_figures
from runner.analysis.stats import statistic_s
from runner.analysis.windows import LoadTable
from runner.errors import RecordingError
from runner.load.recorder import Batch
from runner.load.seconds import SECONDS_FILE, SecondsWriter
from runner.model.histogram import LOWEST_BUCKET, bucket_of, bucket_value_us, merged
from runner.model.packed import unpack
from runner.model.packedrows import PackedRows
from runner.model.recording import LoadRecord, LoadRow
from runner.readback import read_load_record

ENDPOINTS = ("GET /a", "GET /b", "POST /c")
LENGTH_S = 40
FIGURES = ("errors", "traffic", "avg", "min", "max", "p50", "p95", "p99.9", "p0")

COUNTS = st.dictionaries(
    st.integers(LOWEST_BUCKET, 3000) | st.integers(1000, 1010),
    st.integers(1, 3) | st.integers(1, 100_000),
    min_size=1,
    max_size=6,
)
KEYS = st.tuples(
    st.integers(0, LENGTH_S + 5),
    st.sampled_from(ENDPOINTS),
    st.sampled_from(["success", "success", "http_5xx", "timeout"]),
)
BATCHES = st.lists(
    st.dictionaries(KEYS, st.tuples(COUNTS, st.none() | COUNTS), max_size=6), max_size=8
)
"""What is written in turn: later batches have more of the same keys, and rows of old seconds."""

Row = tuple[int, str, str, dict[int, int], dict[int, int]]
"""Second, endpoint, outcome, latencies, and the same from the send."""


def written(batches: list[dict[Any, Any]]) -> bytes:
    """The record of ``batches`` as the generator's own writer has it."""
    with TemporaryDirectory() as folder:
        path = Path(folder, SECONDS_FILE)
        writer = SecondsWriter(path, lambda: 0.0)
        writer.start(0.0)
        for number, batch in enumerate(batches):
            rows = {key: counts for key, (counts, _) in batch.items()}
            service = {key: sent for key, (_, sent) in batch.items() if sent is not None}
            writer.rows(Batch(rows, service=service), upto_second=5 * number, users=3)
        writer.end(complete=True, interrupted=0)
        return path.read_bytes()


def whole(line: bytes) -> bool:
    with contextlib.suppress(ValueError):
        return isinstance(json.loads(line), dict)
    return False


def rows_in(data: bytes) -> list[Row]:
    """The rows of the whole lines of ``data``, one dict for each histogram."""
    lines = filter(whole, data.splitlines())  # The last one may lack nothing but its end.
    return [
        (line["second"], endpoint, outcome, unpack(counts), unpack((rest or [counts])[0]))
        for line in map(json.loads, lines)
        if line["kind"] == "rows"
        for endpoint, outcome, counts, *rest in line["rows"]
    ]


def read(data: bytes) -> LoadRecord:
    with TemporaryDirectory() as folder:
        Path(folder, SECONDS_FILE).write_bytes(data)
        return read_load_record(Path(folder))


def seen(
    rows: list[Row], seconds: range, names: Collection[str] | None, *, service: bool = False
) -> Slice:
    """What dicts give."""
    wanted = [row for row in rows if row[0] in seconds and (names is None or row[1] in names)]
    outcomes: dict[str, int] = {}
    for row in wanted:
        outcomes[row[2]] = outcomes.get(row[2], 0) + sum(row[3].values())
    good = [row for row in wanted if row[2] == "success"]
    times = merged(row[4] if service else row[3] for row in good)
    return Slice(float(len(seconds)), outcomes, times)


NAMES = st.sampled_from(
    [None, "GET /a", ("GET /a",), ("GET /b", "POST /c"), ("GET /a", "GET /no"), "GET /no"]
)


def several(names: str | tuple[str, ...] | None) -> tuple[str, ...] | None:
    return (names,) if isinstance(names, str) else names


@given(BATCHES, st.floats(0, 1), NAMES, st.integers(0, 20), st.integers(0, 20))
def test_windows_are_what_dicts_give(
    batches: list[dict[Any, Any]], torn: float, names: Any, start: int, length: int
) -> None:
    """Goal: not a request more or less. Method: a record of split, repeated and late rows, cut off
    anywhere; sums of windows, of seconds and of bins beside those over one dict for each row.
    """
    data = written(batches)
    data = data[: round(torn * len(data))]
    rows, record = rows_in(data), read(data)
    table = LoadTable(record, plan_of(duration=f"{LENGTH_S + 10}s", warmup="0s"))
    known = {row[1] for row in rows}
    assert table.endpoints == tuple(sorted(known))
    end, chosen = start + length, several(names)
    whole = seen(rows, range(start, end), chosen)
    found = table.slice(float(start), float(end), names)
    assert (found.outcomes, found.latency_us) == (whole.outcomes, whole.latency_us)
    assert table.service(float(start), float(end), names) == (
        seen(rows, range(start, end), chosen, service=True).latency_us
    )
    one_by_one = table.per_second(float(start), float(end), names)
    assert list(one_by_one) == [seen(rows, range(s, s + 1), chosen) for s in range(start, end)]
    edges = [0, start, start, end, LENGTH_S + 10]
    for service in (False, True):
        assert table.merged_bins([float(edge) for edge in edges], names, service=service) == [
            seen(rows, range(a, b), chosen, service=service) for a, b in pairwise(edges)
        ]


@given(BATCHES, NAMES, st.integers(1, 7))
def test_rolling_figures_are_those_of_joined_seconds(
    batches: list[dict[Any, Any]], names: Any, window_s: int
) -> None:
    """Goal: the fast way is the slow way. Method: every figure of every window, both ways."""
    rows = rows_in(written(batches))
    columns = columns_of(read(written(batches)).rows)
    chosen = several(names)
    codes = None if chosen is None else columns.codes(chosen)
    fast = rolling_figures(Seconds(columns, range(3, LENGTH_S), codes), FIGURES, window_s)
    slow = [seen(rows, range(s, s + 1), chosen) for s in range(3, LENGTH_S)]
    assert fast == rolling_figures(slow, FIGURES, window_s)
    for figure in FIGURES:
        assert len(fast[figure]) == LENGTH_S - 3 - window_s + 1
        joint = joined(slow[10 : 10 + window_s])
        if figure not in ("errors", "traffic"):
            assert fast[figure][10] == statistic_s(joint.latency_us, figure)
    assert fast["errors"][10] == joint.error_ratio
    assert fast["traffic"][10] == joint.rate_per_s


def test_pieces_of_a_long_record_fit_together() -> None:
    """Goal: no seam between pieces. Method: pieces of a few numbers, and of a few windows."""
    rows = PackedRows(
        LoadRow(second, "GET /a", "success", {1000 + second % 7: 2, 1010 + second % 5: 1})
        for second in range(300)
    )
    whole = rolling(Seconds(columns_of(rows), range(300)), "p95", 5)
    seconds = Seconds(LoadColumns(rows, piece=7, cells=160), range(300))
    assert rolling(seconds, "p95", 5) == whole
    assert len(whole) == 296
    assert rolling(list(seconds), "p95", 5) == whole
    assert seconds[299].latency_us == {1000 + 299 % 7: 2, 1010 + 299 % 5: 1}


def test_too_short_a_window_has_no_figures() -> None:
    columns = columns_of(PackedRows([LoadRow(1, "GET /a", "success", {1000: 1})]))
    assert rolling(Seconds(columns, range(4)), "p95", 5) == []
    assert rolling(Seconds(columns, range(0)), "errors") == []
    assert rolling(Seconds(columns, range(3)), "max") == [None, bucket_value_us(1000) / 1e6, None]
    with pytest.raises(ValueError, match="'mean' is not pNN"):
        rolling(Seconds(columns, range(3)), "mean")


def test_representatives_of_many_buckets_are_those_of_each() -> None:
    """Goal: one layout. Method: every bucket that can be, both ways."""
    import numpy as np

    buckets = np.arange(LOWEST_BUCKET, bucket_of(2.0**61) + 1)
    assert bucket_values_us(buckets).tolist() == [bucket_value_us(b) for b in buckets.tolist()]


def test_a_bucket_that_cannot_be_is_refused() -> None:
    """Goal: a damaged record does not take all memory. Method: a bucket of aeons."""
    with pytest.raises(RecordingError, match="has a bucket 30000: there is none"):
        columns_of(PackedRows([LoadRow(1, "GET /a", "success", {30_000: 1})]))


def test_a_fault_that_starts_in_a_second_has_all_of_it_but_bins_have_not() -> None:
    """Goal: charts and phases may differ at an edge, and only there."""
    plan = plan_of(faults=[{**ABORT, "at": "3500ms", "duration": "3s"}], duration="10s")
    rows = PackedRows(LoadRow(s, "GET /a", "success", {1000: s + 1}) for s in range(10))
    table = LoadTable(LoadRecord(rows, {}, {}), plan)
    assert table.slice(3.5, 6.5).requests == 4 + 5 + 6 + 7
    assert [one.requests for one in table.merged_bins([3.5, 6.5, 10.0])] == [5 + 6 + 7, 8 + 9 + 10]
