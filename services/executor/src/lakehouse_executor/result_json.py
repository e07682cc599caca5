"""A statement's result as JSON that loses nothing: decimals as exact text, times as ISO 8601."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

import orjson
import pyarrow as pa

from opscore.domain.errors import QueryFailed
from opscore.ports.engine import ResultColumn

EXACT = 2**53  # the largest integer up to which every reader of JSON is exact


def result_document(columns: Iterable[ResultColumn], rows: list[list[Any]], *, truncated: bool) -> bytes:
    """`{"columns", "rows", "row_count", "truncated"}` as UTF-8."""
    document = {
        "columns": [{"name": column.name, "type": column.type} for column in columns],
        "rows": rows,
        "row_count": len(rows),
        "truncated": truncated,
    }
    return orjson.dumps(document)


def json_rows(batch: pa.RecordBatch) -> list[list[Any]]:
    """A batch's rows as JSON values. Raises QueryFailed naming a column that Python cannot hold."""
    columns = [_json_column(name, column) for name, column in zip(batch.schema.names, batch.columns, strict=True)]
    return [list(row) for row in zip(*columns, strict=True)] if columns else [[] for _ in range(batch.num_rows)]


def json_value(value: Any) -> Any:  # noqa: PLR0911 - one line for each kind of value
    """One value: what JSON has as it is, everything else as text."""
    match value:
        case None | bool() | str():
            return value
        case int():
            return value if abs(value) <= EXACT else str(value)
        case float():
            return value if math.isfinite(value) else _not_finite(value)
        case Decimal():
            return format(value, "f")
        case datetime() | date() | time():
            return value.isoformat()
        case bytes():
            return value.hex()
        case dict():
            return {str(name): json_value(item) for name, item in value.items()}
        case pa.MonthDayNano():
            return f"P{value.months}M{value.days}DT{Decimal(value.nanoseconds) / 10**9:f}S"
        case list() | tuple():
            return [json_value(item) for item in value]
        case _:
            return str(value)


def _json_column(name: str, column: Any) -> list[Any]:
    try:
        return [json_value(value) for value in _microseconds(column).to_pylist()]
    except (OverflowError, ValueError) as error:
        raise QueryFailed(f"Column {name} holds a value that cannot be shown ({error}); cast it to varchar.") from error


def _microseconds(column: Any) -> Any:
    if isinstance(column.type, pa.TimestampType) and column.type.unit == "ns":
        return column.cast(pa.timestamp("us", column.type.tz), safe=False)
    return column


def _not_finite(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"
