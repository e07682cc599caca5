"""Batches whose size and layout depend on the rows alone.

Engines cut their results as threads and memory happen to allow. What is written from them must not: the same rows
give the same row groups, and so the same bytes, on every machine.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow as pa


def same_sized(batches: Iterable[pa.RecordBatch], rows: int) -> Iterator[pa.RecordBatch]:
    """The same rows in batches of exactly `rows`, the last one shorter; none for no rows."""
    pending: list[pa.RecordBatch] = []
    count = 0
    for batch in batches:
        rest = batch
        while count + rest.num_rows >= rows:
            pending.append(rest.slice(0, rows - count))
            rest = rest.slice(rows - count)
            yield _joined(pending)
            pending, count = [], 0
        if rest.num_rows:
            pending.append(rest)
            count += rest.num_rows
    if pending:
        yield _joined(pending)


def _joined(pieces: list[pa.RecordBatch]) -> pa.RecordBatch:
    """One batch of fresh buffers, also of a single piece: engines leave bitmaps where nothing is null."""
    schema = pieces[0].schema
    columns = [_concatenated([piece.column(at) for piece in pieces]) for at in range(len(schema))]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _concatenated(arrays: list[Any]) -> Any:
    for array in arrays:
        _ = array.null_count  # once counted, Arrow leaves out a bitmap that says nothing
    return pa.concat_arrays(arrays)
