"""Which Arrow type carries a source column, and whether a column changed its type since the lake last saw it.

Pure; used when tables are planned and when their rows are parsed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import pyarrow as pa

from lakehouse_executor.sources.tables import SourceColumn, SourceTable
from opscore.domain.errors import SchemaDrift, UnsupportedType

WIDEST = 38
LEAST_SCALE = 10  # of numerics that declare none: Odoo's money and quantities fit, and most rates

CARRIED: dict[str, pa.DataType] = {
    "int2": pa.int32(),
    "int4": pa.int32(),
    "int8": pa.int64(),
    "float4": pa.float32(),
    "float8": pa.float64(),
    "bool": pa.bool_(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us"),
    "timestamptz": pa.timestamp("us", "UTC"),
    "bytea": pa.binary(),
}
AS_TEXT = frozenset(
    {"text", "varchar", "bpchar", "char", "name", "citext", "json", "jsonb", "xml", "uuid"}
    | {"time", "timetz", "interval", "inet", "cidr", "bit", "varbit"}
)
AS_TEXT_CATEGORIES = frozenset({"A", "E", "R"})  # arrays, enums, ranges: their text form

FAMILIES = (
    {"text", "varchar", "bpchar", "char", "name", "citext"},
    {"json", "jsonb"},
    {"int2", "int4", "int8"},
    {"float4", "float8"},
)


def declared(column: SourceColumn) -> tuple[int, int] | None:
    """Precision and scale of a numeric that declares them and fits into 38 digits."""
    found = re.fullmatch(r"numeric\((\d+),(-?\d+)\)", column.type)
    if not found:
        return None
    precision, scale = int(found[1]), int(found[2])
    return (precision, scale) if precision <= WIDEST and 0 <= scale <= precision else None


def arrow_type(table: SourceTable, column: SourceColumn, scale: int = LEAST_SCALE) -> pa.DataType:
    """The Arrow type for a column that the lake does not know yet. Raises UnsupportedType."""
    if column.base == "numeric":
        return pa.decimal128(*(declared(column) or (WIDEST, scale)))
    if column.base in CARRIED:
        return CARRIED[column.base]
    if column.base in AS_TEXT or column.category in AS_TEXT_CATEGORIES:
        return pa.string()
    raise UnsupportedType(column=column.name, table=table.name, type=column.type)


def lake_schema(table: SourceTable, known: Mapping[str, pa.DataType], scales: Mapping[str, int]) -> pa.Schema:
    """Columns of a table as the lake has them. known: types it has frozen. Raises SchemaDrift, UnsupportedType."""
    return pa.schema([pa.field(column.lake_name, _settled(table, column, known, scales)) for column in table.columns])


def same_kind(before: str, now: str) -> bool:
    """Whether a column's Postgres type changed only within what the lake widens by itself: base type names."""
    return before == now or any(before in family and now in family for family in FAMILIES)


def _settled(
    table: SourceTable, column: SourceColumn, known: Mapping[str, pa.DataType], scales: Mapping[str, int]
) -> pa.DataType:
    now = arrow_type(table, column, scales.get(column.lake_name, LEAST_SCALE))
    frozen = known.get(column.lake_name)
    if frozen is None or frozen == now or _wider(now, frozen):
        return frozen or now
    if _wider(frozen, now):
        return now
    if column.base == "numeric" and declared(column) is None and isinstance(frozen, pa.Decimal128Type):
        return frozen  # its scale was frozen at the first load; a value beyond it is refused when it comes
    raise SchemaDrift(column=column.name, table=table.name, before=str(frozen), after=column.type)


def _wider(narrow: pa.DataType, wide: pa.DataType) -> bool:
    if isinstance(narrow, pa.Decimal128Type) and isinstance(wide, pa.Decimal128Type):
        return narrow.scale == wide.scale and narrow.precision < wide.precision
    return (narrow, wide) in {(pa.int32(), pa.int64()), (pa.float32(), pa.float64())}
