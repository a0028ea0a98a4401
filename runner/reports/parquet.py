"""The series of a run as Parquet: the only door to pyarrow, which is an extra."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.analysis.longtable import Piece
from runner.errors import UsageError
from runner.reports.series import COLUMNS, name_of

if TYPE_CHECKING:
    import pyarrow as pa

_ROWS = 128 * 1024
"""Rows of a group, about: what is in memory before it is written."""


def require_parquet() -> None:
    """See that pyarrow is here, without importing it.

    Raises:
        UsageError: When it is not; says how to install it.
    """
    if importlib.util.find_spec("pyarrow") is None:
        raise UsageError(
            "Parquet needs pyarrow, which is not installed",
            accepted="--format csv, which needs nothing more",
            hint="to install it: python -m pip install 'seatrial[parquet]'",
        )


def write_parquet(
    path: Path, pieces: Iterable[Piece], time_of: Callable[[float], datetime | None]
) -> int:
    """Write the table to ``path``; names stand there as they are, but for control characters.

    Returns:
        The number of rows.

    Raises:
        UsageError: When pyarrow is not installed.
        OSError: When the file cannot be written.
    """
    require_parquet()
    import pyarrow as pa
    import pyarrow.parquet as pq

    words = pa.dictionary(pa.int32(), pa.string())
    kinds: dict[str, Any] = dict.fromkeys(COLUMNS, words)
    kinds |= {"offset_s": pa.float64(), "time": pa.timestamp("ms", "UTC"), "value": pa.float64()}
    schema = pa.schema([(name, kinds[name]) for name in COLUMNS])
    written, waiting = 0, []
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for piece in pieces:
            waiting.append(_table(piece, time_of, schema))
            if sum(len(table) for table in waiting) >= _ROWS:
                written += _write(writer, waiting)
        written += _write(writer, waiting)
    return written


def _write(writer: Any, waiting: list[pa.Table]) -> int:
    import pyarrow as pa

    if not waiting:
        return 0
    table = pa.concat_tables(waiting).unify_dictionaries()
    writer.write_table(table)
    waiting.clear()
    return len(table)


def _table(
    piece: Piece, time_of: Callable[[float], datetime | None], schema: pa.Schema
) -> pa.Table:
    import pyarrow as pa

    rows = len(piece.offsets_s)
    same = {"source": piece.source, "sli": piece.sli, "service": piece.service}
    same |= {"endpoint": piece.endpoint, "unit": piece.unit}
    columns: dict[str, Any] = {
        name: pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), [name_of(text)])
        for name, text in same.items()
    }
    columns["phase"] = pa.array(map(name_of, piece.phases), pa.string()).dictionary_encode()
    columns["offset_s"] = pa.array(piece.offsets_s, pa.float64())
    columns["value"] = pa.array(piece.values, pa.float64())
    columns["time"] = pa.array(map(time_of, piece.offsets_s), schema.field("time").type)
    return pa.table({name: columns[name] for name in COLUMNS}, schema=schema)
