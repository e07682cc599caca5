"""Arrow schemas and Iceberg schemas, and how a published one grows.

Field ids are assigned in order of the columns, and new columns get the next free ids: parallel writers of one table
and its stager, each in a process of its own, arrive at the same ids without talking to each other.
"""

from __future__ import annotations

import hashlib
import json

import pyarrow as pa
from pyiceberg.schema import Schema
from pyiceberg.types import (
    BinaryType,
    BooleanType,
    DateType,
    DecimalType,
    DoubleType,
    FloatType,
    IcebergType,
    IntegerType,
    LongType,
    NestedField,
    StringType,
    TimestampType,
    TimestamptzType,
    TimeType,
)

from opscore.domain.errors import SchemaDrift
from opscore.domain.table import Column

FIELD_ID = b"PARQUET:field_id"

ARROW_TO_ICEBERG: dict[pa.DataType, IcebergType] = {
    pa.bool_(): BooleanType(),
    pa.int8(): IntegerType(),
    pa.int16(): IntegerType(),
    pa.int32(): IntegerType(),
    pa.int64(): LongType(),
    pa.float32(): FloatType(),
    pa.float64(): DoubleType(),
    pa.date32(): DateType(),
    pa.string(): StringType(),
    pa.large_string(): StringType(),
    pa.string_view(): StringType(),
    pa.binary(): BinaryType(),
    pa.large_binary(): BinaryType(),
    pa.time64("us"): TimeType(),
    pa.timestamp("us"): TimestampType(),
    pa.timestamp("us", "UTC"): TimestamptzType(),
}
ICEBERG_TO_ARROW: dict[str, pa.DataType] = {
    "boolean": pa.bool_(),
    "int": pa.int32(),
    "long": pa.int64(),
    "float": pa.float32(),
    "double": pa.float64(),
    "date": pa.date32(),
    "string": pa.string(),
    "binary": pa.binary(),
    "time": pa.time64("us"),
    "timestamp": pa.timestamp("us"),
    "timestamptz": pa.timestamp("us", "UTC"),
}


def iceberg_schema(schema: pa.Schema) -> Schema:
    """An Arrow schema as an Iceberg one with ids 1..n; every column optional."""
    return Schema(
        *(
            NestedField(field_id=number, name=field.name, field_type=iceberg_type(field.type), required=False)
            for number, field in enumerate(schema, start=1)
        )
    )


def evolved(table: str, published: Schema, wanted: pa.Schema, last_column_id: int) -> Schema:
    """The published schema with columns added and types widened to hold `wanted`; never renamed or dropped.

    Raises SchemaDrift where a type neither stays nor widens. PyIceberg's `union_by_name` is not asked: it accepts a
    changed decimal scale, after which old statistics are read wrongly.
    """
    incoming = {field.name: iceberg_type(field.type) for field in wanted}
    fields = [_kept(table, field, incoming.pop(field.name, None)) for field in published.fields]
    added = [
        NestedField(field_id=last_column_id + number, name=name, field_type=kind, required=False)
        for number, (name, kind) in enumerate(incoming.items(), start=1)
    ]
    return Schema(*fields, *added, schema_id=published.schema_id)


def file_schema(schema: Schema) -> pa.Schema:
    """The Arrow schema of a table's data files: field ids in each field's metadata."""
    return pa.schema(
        [
            pa.field(field.name, arrow_type(field.field_type), metadata={FIELD_ID: str(field.field_id).encode()})
            for field in schema.fields
        ]
    )


def iceberg_type(kind: pa.DataType) -> IcebergType:
    """Iceberg's type for an Arrow type. Raises ValueError for one that tables of ours never hold."""
    if pa.types.is_decimal128(kind):
        return DecimalType(kind.precision, kind.scale)
    if kind in ARROW_TO_ICEBERG:
        return ARROW_TO_ICEBERG[kind]
    raise ValueError(f"Arrow type {kind} has no place in a lake table; cast it to one of {_known()}")


def arrow_type(kind: IcebergType) -> pa.DataType:
    """Arrow's type for an Iceberg type. Raises ValueError for one that tables of ours never hold."""
    if isinstance(kind, DecimalType):
        return pa.decimal128(kind.precision, kind.scale)
    if str(kind) in ICEBERG_TO_ARROW:
        return ICEBERG_TO_ARROW[str(kind)]
    raise ValueError(f"Iceberg type {kind} is not among those that this lake writes")


def columns_of(schema: Schema) -> tuple[Column, ...]:
    """The columns as ports name them."""
    return tuple(
        Column(field_id=field.field_id, name=field.name, type=str(field.field_type), required=field.required)
        for field in schema.fields
    )


def schema_hash(schema: Schema) -> str:
    """sha256 of the canonical JSON of ids, names, types and nullability."""
    rows = [[column.field_id, column.name, column.type, column.required] for column in columns_of(schema)]
    return hashlib.sha256(json.dumps(rows, separators=(",", ":")).encode()).hexdigest()


def _known() -> str:
    return ", ".join(sorted({str(kind) for kind in ICEBERG_TO_ARROW.values()} | {"decimal128"}))


def _kept(table: str, field: NestedField, incoming: IcebergType | None) -> NestedField:
    if incoming is None or incoming == field.field_type or _widens(incoming, field.field_type):
        return field
    if _widens(field.field_type, incoming):
        return NestedField(field_id=field.field_id, name=field.name, field_type=incoming, required=field.required)
    raise SchemaDrift(column=field.name, table=table, before=str(field.field_type), after=str(incoming))


def _widens(narrow: IcebergType, wide: IcebergType) -> bool:
    """Whether every value of one type is a value of the other, as Iceberg's promotions have it."""
    if isinstance(narrow, DecimalType) and isinstance(wide, DecimalType):
        return narrow.scale == wide.scale and narrow.precision <= wide.precision
    return (type(narrow), type(wide)) in {(IntegerType, LongType), (FloatType, DoubleType)}
