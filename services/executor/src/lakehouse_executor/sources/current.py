"""A log's current rows, as far as a run must know them: to drop what has not changed and to find what is gone.

Runs in worker processes, over Arrow's scanner: memory follows the rows asked for, not the table.
"""

# The Arrow stubs lag behind Arrow.
# pyright: reportArgumentType=false, reportCallIssue=false, reportReturnType=false

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

PLACE = "PLACE"  # helper columns; the lake's own names are lower case, so none can be the same
FOUND = "FOUND"
BATCH_ROWS = 32_768


class CurrentRows:
    """The latest state of keys in a log. key: lake names. dataset: the log at the version a run builds on."""

    def __init__(self, dataset: ds.Dataset, key: Sequence[str]) -> None:
        self._dataset = dataset
        self._key = list(key)

    def of(self, rows: pa.Table) -> pa.Table:
        """The current rows of the keys in `rows`, all columns."""
        first = self._key[0]
        values = pc.unique(rows.column(first))
        bounds = pc.min_max(values)
        near = (ds.field(first) >= bounds["min"]) & (ds.field(first) <= bounds["max"]) & ds.field(first).isin(values)
        return _alive(_latest(self._scan(filter=near), self._key))

    def keys(self) -> pa.Table:
        """All keys in force."""
        entries = self._scan(columns=[*self._key, "_op", "_seq"])
        return _alive(_latest(entries, self._key)).select(self._key)

    def highest_seq(self) -> int:
        """The last sequence number given out, -1 when the log is empty."""
        numbers = self._scan(columns=["_seq"]).column("_seq")
        return pc.max(numbers).as_py() if len(numbers) else -1

    def _scan(self, **what: Any) -> pa.Table:
        """Read without Arrow's generous readahead, which holds several row groups of a wide table at once."""
        scanner = self._dataset.scanner(
            batch_size=BATCH_ROWS, batch_readahead=1, fragment_readahead=1, use_threads=False, **what
        )
        return scanner.to_table()

    def differing(self, rows: pa.Table, hashes: pa.Array[Any]) -> tuple[pa.Table, pa.Array[Any]]:
        """Rows that are new or not as the log has them, in their order; and of `hashes` those of rows that are new."""
        if not rows.num_rows:
            return rows, hashes
        current = self.of(rows)
        found = _found(rows, current, self._key)
        new = pc.is_null(found)
        differs = new
        for name in rows.column_names:
            if name not in self._key:
                differs = pc.or_(differs, pc.invert(_same(rows.column(name), _taken(current, name, found))))
        return rows.filter(differs), hashes.filter(new)


def gone(before: pa.Table, now: pa.Table, key: Sequence[str]) -> pa.Table:
    """Keys of `before` that are not in `now`, in key order."""
    same_types = now.select(list(key)).cast(before.select(list(key)).schema)
    missing = before.select(list(key)).join(same_types, keys=list(key), join_type="left anti", use_threads=False)
    return missing.sort_by([(name, "ascending") for name in key])


def _latest(entries: pa.Table, key: list[str]) -> pa.Table:
    ordered = entries.sort_by("_seq").append_column(PLACE, pa.array(np.arange(entries.num_rows)))
    last = ordered.group_by(key, use_threads=False).aggregate([(PLACE, "max")])
    return ordered.take(last.column(f"{PLACE}_max")).drop_columns([PLACE])


def _alive(entries: pa.Table) -> pa.Table:
    return entries.filter(pc.not_equal(entries.column("_op"), "d"))


def _found(rows: pa.Table, current: pa.Table, key: list[str]) -> pa.Array[Any]:
    """For each row the place of its key among the current rows, null when it is not there."""
    left = rows.select(key).append_column(PLACE, pa.array(np.arange(rows.num_rows)))
    right = current.select(key).cast(rows.select(key).schema)
    right = right.append_column(FOUND, pa.array(np.arange(current.num_rows)))
    joined = left.join(right, keys=key, join_type="left outer", use_threads=False).sort_by(PLACE)
    return joined.column(FOUND).combine_chunks()


def _taken(current: pa.Table, name: str, found: pa.Array[Any]) -> pa.ChunkedArray[Any]:
    if name not in current.column_names:
        return pa.chunked_array([pa.nulls(len(found))])
    return current.column(name).take(found)


def _same(rows: Any, current: Any) -> Any:
    """Equal, or both null, or both not a number."""
    current = current.cast(rows.type)
    both_null = pc.and_(pc.is_null(rows), pc.is_null(current))
    same = pc.or_(both_null, pc.fill_null(pc.equal(rows, current), False))  # noqa: FBT003 - the value to fill with
    if pa.types.is_floating(rows.type):
        same = pc.or_(same, pc.fill_null(pc.and_(pc.is_nan(rows), pc.is_nan(current)), False))  # noqa: FBT003 - as above
    return same
