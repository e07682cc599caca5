"""One vocabulary for types: Iceberg's names. Engines translate their own here."""

from __future__ import annotations

import re

import pyarrow as pa
import pyarrow.types as kinds

from opscore.domain.errors import QueryFailed

DUCKDB_TYPES = {
    "boolean": "BOOLEAN",
    "int": "INTEGER",
    "long": "BIGINT",
    "float": "FLOAT",
    "double": "DOUBLE",
    "date": "DATE",
    "time": "TIME",
    "timestamp": "TIMESTAMP",
    "timestamptz": "TIMESTAMPTZ",
    "timestamp_ns": "TIMESTAMP_NS",
    "string": "VARCHAR",
    "uuid": "UUID",
    "binary": "BLOB",
}
DECIMAL = re.compile(r"decimal\((\d+), ?(\d+)\)")
FIXED = re.compile(r"fixed\[\d+\]")


def duckdb_type(iceberg: str) -> str:
    """DuckDB's name of an Iceberg type, e.g. `decimal(38, 10)` -> `DECIMAL(38,10)`. Raises QueryFailed."""
    if found := DECIMAL.fullmatch(iceberg):
        return f"DECIMAL({found[1]},{found[2]})"
    if FIXED.fullmatch(iceberg):
        return "BLOB"
    if iceberg in DUCKDB_TYPES:
        return DUCKDB_TYPES[iceberg]
    raise QueryFailed(f"DuckDB has no place for columns of Iceberg type {iceberg}.")


def iceberg_type(arrow: pa.DataType) -> str:
    """Iceberg's name of an Arrow type; types Iceberg does not have are named by the nearest that holds them exactly."""
    for matches, name in _BY_ARROW:
        if matches(arrow):
            return name
    if isinstance(arrow, pa.Decimal128Type | pa.Decimal256Type):
        return f"decimal({arrow.precision}, {arrow.scale})"
    if isinstance(arrow, pa.TimestampType):
        return "timestamp" if arrow.tz is None else "timestamptz"
    return _nested(arrow)


def _nested(arrow: pa.DataType) -> str:
    if isinstance(arrow, pa.MapType):
        return f"map<{iceberg_type(arrow.key_type)}, {iceberg_type(arrow.item_type)}>"
    if isinstance(arrow, pa.ListType | pa.LargeListType | pa.FixedSizeListType):
        return f"list<{iceberg_type(arrow.value_type)}>"
    if isinstance(arrow, pa.StructType):
        fields = (arrow.field(index) for index in range(arrow.num_fields))
        return f"struct<{', '.join(f'{field.name}: {iceberg_type(field.type)}' for field in fields)}>"
    return "string"


_BY_ARROW = (
    (kinds.is_boolean, "boolean"),
    (kinds.is_uint64, "decimal(20, 0)"),  # no long holds it
    (lambda kind: kinds.is_int64(kind) or kinds.is_uint32(kind), "long"),
    (kinds.is_integer, "int"),
    (lambda kind: kinds.is_float16(kind) or kinds.is_float32(kind), "float"),
    (kinds.is_float64, "double"),
    (kinds.is_date, "date"),
    (kinds.is_time, "time"),
    (lambda kind: kinds.is_binary(kind) or kinds.is_large_binary(kind) or kinds.is_fixed_size_binary(kind), "binary"),
    (lambda kind: kinds.is_string(kind) or kinds.is_large_string(kind) or kinds.is_dictionary(kind), "string"),
)
