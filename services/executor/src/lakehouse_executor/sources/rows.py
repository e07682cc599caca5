"""CSV blocks from a source, parsed into Arrow with the types the lake has settled on; no Python object per value.

Runs in worker processes. A value that its type cannot carry ends in UnsupportedValue that names the row.
"""

# The Arrow stubs lag behind Arrow.
# pyright: reportArgumentType=false, reportCallIssue=false, reportReturnType=false

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from lakehouse_executor.sources.tables import SourceTable
from lakehouse_executor.sources.types import declared
from opscore.domain.errors import Unexpected, UnsupportedValue
from opscore.ports.source import SourceSession

BLOCK_BYTES = 4 << 20  # fits the processor's caches; larger blocks parse slower
FAULT = re.compile(r"In CSV column #(\d+): Row #(\d+)")
RESCALING = "Rescaling"
DIGITS = bytes(ord("0") if chr(byte).isdigit() and byte < 128 else ord("-") for byte in range(256))


class RowParser:
    """Parses whole rows of one table. schema: lake types of the columns in the query's order.

    trusted: the server has checked the text's encoding already.
    """

    def __init__(self, table: SourceTable, schema: pa.Schema, *, trusted: bool) -> None:
        self._table = table
        self.schema = schema
        self._trusted = trusted
        # Digits before the point that still fit, of numerics that Postgres does not bound itself.
        self._room = {
            column.lake_name: kind.precision - kind.scale
            for column in table.columns
            if column.base == "numeric"
            and declared(column) is None
            and column.lake_name in schema.names
            and isinstance(kind := schema.field(column.lake_name).type, pa.Decimal128Type)
        }

    def parse(self, block: bytes) -> pa.RecordBatch:
        """One block as one batch. Raises UnsupportedValue."""
        read = {field.name: pa.string() if pa.types.is_binary(field.type) else field.type for field in self.schema}
        try:
            rows = self._read(block, read)
        except (pa.ArrowInvalid, UnicodeDecodeError) as error:
            raise self._explain(block, error) from error
        self._refuse_wrapped(block)
        columns = [_whole(rows.column(field.name)) for field in self.schema]
        decoded = [
            unhexed(column) if pa.types.is_binary(field.type) else column
            for column, field in zip(columns, self.schema, strict=True)
        ]
        return pa.RecordBatch.from_arrays(decoded, schema=self.schema)

    def _read(self, block: bytes, types: dict[str, pa.DataType]) -> pa.Table:
        return csv.read_csv(
            pa.py_buffer(block),
            read_options=csv.ReadOptions(use_threads=False, block_size=len(block) + 1, column_names=list(types)),
            parse_options=csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False),
            convert_options=csv.ConvertOptions(
                column_types=types,
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
                true_values=["t"],
                false_values=["f"],
                check_utf8=not self._trusted,
            ),
        )

    def _raw(self, block: bytes) -> pa.Table:
        """The block's texts as they came, whatever they hold."""
        return self._read(block, dict.fromkeys(self.schema.names, pa.binary()))

    def _refuse_wrapped(self, block: bytes) -> None:
        """Arrow's CSV reader lets a whole number wrap around when scaling it leaves 38 digits: look for such numbers.

        Nearly every block is cleared by one scan for a run of that many digits; only the others are read as text.
        """
        if not self._room or b"0" * (min(self._room.values()) + 1) not in block.translate(DIGITS):
            return
        texts = self._raw(block)
        for name, room in self._room.items():
            too_long = pc.match_substring_regex(texts.column(name).cast(pa.string()), rf"^-?[1-9]\d{{{room},}}")
            place = pc.index(too_long, value=True).as_py()
            if place >= 0:
                raise self._refusal(texts.slice(place, 1), name)

    def _explain(self, block: bytes, error: Exception) -> Exception:
        """Name the first row with a value that does not fit."""
        found = FAULT.search(str(error))
        if not found:
            return Unexpected(f"Rows of source table {self._table.name} could not be read: {error}")
        row = self._raw(block).slice(int(found[2]) - 1, 1)
        return self._refusal(row, self.schema.names[int(found[1])], rescaling=RESCALING in str(error))

    def _refusal(self, row: pa.Table, name: str, *, rescaling: bool = False) -> UnsupportedValue:
        told = {column: (row.column(column)[0].as_py() or b"").decode(errors="replace") for column in row.column_names}
        key = ", ".join(f"{column}={told[column]}" for column in self._table.lake_key)
        return UnsupportedValue(
            column=name,
            table=self._table.name,
            value=told[name][:60],
            type=str(self.schema.field(name).type),
            where=f"row {key}",
            rescaling=rescaling,
        )


async def read_rows(
    session: SourceSession, query: str, parser: RowParser, take: Callable[[pa.RecordBatch], Any]
) -> None:
    """Stream a query through the parser; `take` gets each batch in a thread, one at a time, while the next arrives."""
    blocks = _Blocks(lambda block: take(parser.parse(block)))
    await session.copy(query, blocks.receive)
    await blocks.finish()


class _Blocks:
    """Gathers whole rows into blocks and hands each to a thread, never more than one ahead."""

    def __init__(self, handle: Callable[[bytes], None]) -> None:
        self._handle = handle
        self._parts: list[bytes] = []
        self._size = 0
        self._working: asyncio.Task[None] | None = None

    async def receive(self, data: bytes) -> None:
        self._parts.append(data)
        self._size += len(data)
        if self._size >= BLOCK_BYTES:
            await self._hand_over()

    async def finish(self) -> None:
        if self._parts:
            await self._hand_over()
        await self._settled()

    async def _hand_over(self) -> None:
        await self._settled()
        block = b"".join(self._parts)
        self._parts, self._size = [], 0
        self._working = asyncio.create_task(asyncio.to_thread(self._handle, block))

    async def _settled(self) -> None:
        if self._working is not None:
            working, self._working = self._working, None
            await working


def unhexed(texts: pa.Array[Any]) -> pa.Array[Any]:
    r"""Postgres' hex form of bytes (`\x00ff`) as bytes; nulls stay."""
    offsets = np.frombuffer(texts.buffers()[1], dtype=np.int32)[texts.offset : texts.offset + len(texts) + 1]
    lengths = np.diff(offsets)
    full = lengths > 0  # nulls have no bytes; every value has its two-byte prefix
    sizes = np.where(full, (lengths - 2) // 2, 0)
    digits = np.frombuffer(texts.buffers()[2] or b"", dtype=np.uint8)[offsets[0] : offsets[-1]]
    keep = np.ones(len(digits), dtype=bool)
    starts = (offsets[:-1] - offsets[0])[full]
    keep[starts] = keep[starts + 1] = False
    content = bytes.fromhex(digits[keep].tobytes().decode("ascii"))
    ends = np.concatenate(([0], np.cumsum(sizes))).astype(np.int32)
    validity = pa.array(texts.is_valid()).buffers()[1] if texts.null_count else None
    buffers = [validity, pa.py_buffer(ends), pa.py_buffer(content)]
    return pa.Array.from_buffers(pa.binary(), len(texts), buffers, null_count=texts.null_count)


def _whole(column: pa.ChunkedArray[Any]) -> pa.Array[Any]:
    whole: Any = column.combine_chunks()
    return whole


def concatenated(batches: Sequence[pa.RecordBatch], schema: pa.Schema) -> pa.Table:
    """Batches as one table, also when there are none."""
    return pa.Table.from_batches(list(batches), schema=schema)
