"""Tables that a transform made: rows from an engine into the lake, and what is remembered about it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.types as kinds

from opscore.domain.errors import QueryFailed, SchemaDrift, TransformFailed
from opscore.domain.table import StagedTable
from opscore.ports.engine import Reading
from opscore.ports.lake import FileWriter, Lake

HELD = (
    kinds.is_boolean,
    kinds.is_int32,
    kinds.is_int64,
    kinds.is_float32,
    kinds.is_float64,
    lambda kind: isinstance(kind, pa.Decimal128Type),
    kinds.is_date32,
    lambda kind: kinds.is_time64(kind) and kind.unit == "us",
    lambda kind: kinds.is_timestamp(kind) and kind.unit == "us" and kind.tz in {None, "UTC"},
    kinds.is_string,
    kinds.is_binary,
)


@dataclass(frozen=True, slots=True)
class Made:
    """One table after its transform. staged None: nothing it depends on has changed, so there is nothing to publish.

    inputs: table -> snapshot id it was made from. state: what the next run compares with. source_rows: how many rows
    it must have, counted another way; None when nothing says.
    """

    table: str
    staged: StagedTable | None
    inputs: Mapping[str, str]
    state: Mapping[str, Any] = field(default_factory=dict[str, Any])
    key: tuple[str, ...] = ()
    source_rows: int | None = None


Ended = Callable[[list[Made], int], None]  # takes tables as they come, and how many their step makes in all


def write_rows(
    lake: Lake, reading: Reading, table: str, *, origin: str, run_id: str, properties: Mapping[str, str]
) -> StagedTable:
    """Stream a reading into new files and stage the version that holds exactly them.

    origin: file or table named in complaints. Raises TransformFailed; files of a failed attempt are removed.
    """
    check_types(reading.schema, origin)
    writer = _writer(lake, table, reading.schema, origin, run_id)
    try:
        for batch in reading:
            writer.write(batch)
        files = writer.close()
    except QueryFailed as error:
        writer.abort()
        raise TransformFailed(file=origin, fault=error.message.rstrip(".")) from error
    except BaseException:
        writer.abort()
        raise
    return lake.stage_replace(table, reading.schema, files, run_id=run_id, properties=properties)


def _writer(lake: Lake, table: str, schema: pa.Schema, origin: str, run_id: str) -> FileWriter:
    try:
        return lake.writer(table, schema, run_id=run_id, part="0")
    except SchemaDrift as error:
        column, before, after = (error.facts.get(name) for name in ("column", "before", "after"))
        raise TransformFailed(
            file=origin,
            fault=f"column {column} of {table} would change from {before} to {after}",
            hint="Cast it to the type that readers know, or give the new column another name.",
        ) from error


def check_types(schema: pa.Schema, origin: str) -> None:
    """Raise TransformFailed for the first column whose type no table can hold."""
    for column in schema:
        if not any(holds(column.type) for holds in HELD):
            fault = f"column {column.name} has type {column.type}, which no table holds"
            raise TransformFailed(file=origin, fault=fault, hint="Cast the column, for example to varchar or decimal.")
