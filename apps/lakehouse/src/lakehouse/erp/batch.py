"""Rows on their way to one table, held as Arrow columns and written as CSV that COPY reads.

Every module of the generator makes batches; `generate` hands them to the loader. A column that a batch does not
name stays null in the table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from lakehouse.erp.arrays import Bools, Ints

Column: TypeAlias = "pa.Array[Any]"
KERNELS: Any = pc  # its published types know neither integer positions nor constants among columns
CSV = csv.WriteOptions(include_header=False)
SECONDS_A_DAY = 86_400


@dataclass(frozen=True)
class Batch:
    """Rows of one table: column name to Arrow array, all of one length."""

    table: str
    columns: Mapping[str, Column]

    @property
    def rows(self) -> int:
        """How many rows the batch holds."""
        return len(next(iter(self.columns.values()))) if self.columns else 0

    def csv(self) -> memoryview:
        """The rows as CSV without header: null is an empty field, text is quoted."""
        sink = pa.BufferOutputStream()
        csv.write_csv(pa.table(dict(self.columns)), sink, CSV)
        return memoryview(sink.getvalue())


def batch(table: str, rows: int, **columns: Any) -> Batch:
    """A batch from arrays and constants; constants are repeated, None leaves the column out."""
    made = {name: _column(value, rows) for name, value in columns.items() if value is not None}
    return Batch(table, made)


def listed(table: str, rows: Sequence[Mapping[str, Any]], **constants: Any) -> Batch:
    """A batch of a few hand-made rows: dicts by column name; missing keys are null."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns = {name: pa.array([row.get(name) for row in rows]) for name in names}
    return batch(table, len(rows), **columns, **constants)


def money(hundredths: Ints) -> Column:
    """Exact decimals with two places from int64 hundredths."""
    return decimals(hundredths, 2)


def decimals(values: Ints, scale: int) -> Column:
    """Exact decimals with `scale` places from int64 units of 10**-scale."""
    words = np.empty((len(values), 2), np.int64)
    words[:, 0] = values
    words[:, 1] = values >> 63  # the sign fills the upper half
    return pa.Array.from_buffers(pa.decimal128(18, scale), len(values), [None, pa.py_buffer(words.data)])


def dates(days: Ints, known: Bools | None = None) -> Column:
    """Dates from days since 1970-01-01; null where not known."""
    return pa.array(days.astype(np.int32), pa.date32(), mask=None if known is None else ~known)


def moments(days: Ints, salt: Ints, known: Bools | None = None) -> Column:
    """Naive timestamps with microseconds inside a working day, spread by salt (any ids)."""
    second = 25_200 + (salt * 7919) % 39_600
    micros = (days * SECONDS_A_DAY + second) * 1_000_000 + (salt * 104_729) % 1_000_000
    return pa.array(micros, pa.timestamp("us"), mask=None if known is None else ~known)


def optional(values: Ints, known: Bools) -> Column:
    """Integers, null where not known."""
    return pa.array(values, mask=~known)


def pick(choices: Sequence[str | None] | Column, index: Ints) -> Column:
    """choices[index] as text."""
    return at(choices if isinstance(choices, pa.Array) else pa.array(choices, pa.string()), index)


def at(column: Column, index: Ints) -> Column:
    """The column's values at the positions."""
    return KERNELS.take(column, pa.array(index))


def text(values: Ints, width: int = 0) -> Column:
    """Integers as text, padded with zeros to width."""
    plain = pa.array(values).cast(pa.string())
    return KERNELS.utf8_lpad(plain, width, "0") if width else plain


def joined(*parts: Column | str) -> Column:
    """Parts glued together row by row; null when a part is null."""
    return KERNELS.binary_join_element_wise(*parts, "")


def where(condition: Bools, yes: Column | str | None, no: Column | str | None) -> Column:
    """The text `yes` where the condition holds, else `no`."""
    sides = [pa.scalar(side, pa.string()) if side is None or isinstance(side, str) else side for side in (yes, no)]
    return KERNELS.if_else(pa.array(condition), *sides)


def _column(value: Any, rows: int) -> Column:
    if isinstance(value, np.ndarray):
        return pa.array(value)
    if isinstance(value, pa.Array):
        return value
    return pa.repeat(pa.scalar(value), rows)
