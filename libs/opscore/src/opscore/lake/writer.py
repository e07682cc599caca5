"""Streams Arrow batches into Parquet data files of one table, hashed while they are written.

Called in worker processes through `LakeCatalog.writer`. Memory is one row group: batches are gathered until one is
full, so that a table of any length passes through.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from opscore.domain.errors import OpsError
from opscore.domain.table import WrittenFile
from opscore.lake.storage import HashingFile, Storage

ROW_GROUP_ROWS = 131_072
ROW_GROUP_BYTES = 64 << 20  # Arrow bytes; wide rows make shorter groups
FILE_BYTES = 512 << 20  # of Parquet, counted at each row group's end


class ParquetFiles:
    """One table's new files: `<prefix>-<number>.parquet`. schema carries the field ids and fixes the column order."""

    def __init__(self, storage: Storage, prefix: str, schema: pa.Schema, *, file_bytes: int = FILE_BYTES) -> None:
        self._storage = storage
        self._prefix = prefix
        self._schema = schema
        # Numbers shrink more under zstd without a dictionary, in half the time; texts repeat, and readers gain.
        self._texts = [field.name for field in schema if pa.types.is_string(field.type)]
        self._file_bytes = file_bytes
        self._pending: list[pa.RecordBatch] = []
        self._pending_rows = 0
        self._pending_bytes = 0
        self._open: tuple[HashingFile, pq.ParquetWriter] | None = None
        self._open_rows = 0
        self._number = 0
        self._written: list[WrittenFile] = []

    def write(self, batch: Any) -> None:
        """Append one RecordBatch or Table. Raises StorageFull, LakeUnavailable."""
        for piece in _batches(batch):
            self._pending.append(_aligned(piece, self._schema))
            self._pending_rows += piece.num_rows
            self._pending_bytes += piece.nbytes
            if self._pending_rows >= ROW_GROUP_ROWS or self._pending_bytes >= ROW_GROUP_BYTES:
                self._write_row_group()

    def close(self) -> tuple[WrittenFile, ...]:
        """Finish the files. A writer that wrote no row leaves no file."""
        if self._pending_rows:
            self._write_row_group()
        self._finish_file()
        return tuple(self._written)

    def abort(self) -> None:
        """Remove what was written."""
        if self._open is not None:
            file, writer = self._open
            self._open = None
            writer.is_open = False  # else its destructor writes a footer into a file that is gone
            with suppress(OpsError):
                file.close()
            self._storage.delete([file.uri])
        self._storage.delete(file.path for file in self._written)
        self._written.clear()

    def _write_row_group(self) -> None:
        group = pa.Table.from_batches(self._pending, schema=self._schema)
        self._pending, self._pending_rows, self._pending_bytes = [], 0, 0
        file, writer = self._open or self._start_file()
        writer.write_table(group, row_group_size=group.num_rows)
        self._open_rows += group.num_rows
        if file.size >= self._file_bytes:
            self._finish_file()

    def _start_file(self) -> tuple[HashingFile, pq.ParquetWriter]:
        file = self._storage.create(f"{self._prefix}-{self._number}.parquet")
        writer = pq.ParquetWriter(
            pa.PythonFile(file, mode="w"),
            self._schema,
            compression="zstd",
            compression_level=1,
            use_dictionary=self._texts,  # type: ignore[arg-type] - the stubs lack the list of columns
            store_schema=False,
        )
        self._number += 1
        self._open = (file, writer)
        return self._open

    def _finish_file(self) -> None:
        if self._open is None:
            return
        file, writer = self._open
        writer.close()
        file.close()
        self._written.append(WrittenFile(path=file.uri, rows=self._open_rows, bytes=file.size, sha256=file.sha256))
        self._open, self._open_rows = None, 0


def _batches(data: pa.RecordBatch | pa.Table) -> Iterator[pa.RecordBatch]:
    if isinstance(data, pa.RecordBatch):
        yield data
    else:
        yield from data.to_batches(max_chunksize=ROW_GROUP_ROWS)


def _aligned(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """The batch in the file's column order and types; columns it lacks are null."""
    if batch.schema.equals(schema):
        return batch
    columns = [_column(batch, field) for field in schema]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _column(batch: pa.RecordBatch, field: pa.Field[Any]) -> pa.Array[Any]:
    position = batch.schema.get_field_index(field.name)
    if position < 0:
        return pa.nulls(batch.num_rows, field.type)
    array = batch.column(position)
    return array if array.type == field.type else array.cast(field.type)
