"""Writes entries into a bronze change log: the source's columns and five of our own.

`_op` is r (first load), u (written since), d (gone; key only). `_seq` grows within a table from run to run: the entry
with the highest one is a key's state. Runs in worker processes.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa

from opscore.domain.table import WrittenFile
from opscore.ports.lake import FileWriter

LOG_FIELDS = (
    pa.field("_op", pa.string()),
    pa.field("_lsn", pa.int64()),
    pa.field("_seq", pa.int64()),
    pa.field("_run_id", pa.string()),
    pa.field("_extracted_at", pa.timestamp("us", "UTC")),
)


def log_schema(columns: pa.Schema) -> pa.Schema:
    """A bronze table's schema: the source's columns first."""
    return pa.schema([*columns, *LOG_FIELDS])


class LogEntries:
    """Appends entries of one table and numbers them. Sequence numbers stay unused where a part writes fewer rows."""

    def __init__(self, files: FileWriter, *, run_id: str, lsn: int, at: datetime, seq: int) -> None:
        self._files = files
        self._run_id = run_id
        self._lsn = lsn
        self._at = at
        self.next_seq = seq
        self.rows = 0

    def add(self, op: str, rows: pa.Table | pa.RecordBatch) -> None:
        """Append rows as entries of one kind, in their order."""
        count = rows.num_rows
        if not count:
            return
        table = pa.Table.from_batches([rows]) if isinstance(rows, pa.RecordBatch) else rows
        numbers = np.arange(self.next_seq, self.next_seq + count, dtype=np.int64)
        own: tuple[Any, ...] = (
            pa.repeat(op, count),
            pa.repeat(pa.scalar(self._lsn, pa.int64()), count),
            pa.array(numbers),
            pa.repeat(self._run_id, count),
            pa.repeat(pa.scalar(self._at, pa.timestamp("us", "UTC")), count),
        )
        for field, values in zip(LOG_FIELDS, own, strict=True):
            table = table.append_column(field, values)
        self._files.write(table)
        self.next_seq += count
        self.rows += count

    def close(self) -> tuple[WrittenFile, ...]:
        """Finish the files."""
        return self._files.close()

    def abort(self) -> None:
        """Remove what was written."""
        self._files.abort()
