"""How a table version becomes a DuckDB view: its planned files, columns mapped by Iceberg field id.

Mapping by id keeps renamed, added and widened columns right in files that were written before the change, and needs
no extension (DuckDB's own Iceberg extension would have to be downloaded).
"""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

from opscore.domain.sql_text import literal, quoted, quoted_table
from opscore.domain.table import Column, TableVersion
from opscore.engines.types import duckdb_type


def view_statement(table: TableVersion) -> str:
    """SQL that makes the version readable as `namespace.table`."""
    return f"create or replace view {quoted_table(table.name)} as {_source(table)}"


def file_path(uri: str) -> str:
    """What DuckDB opens: plain paths for `file://`, other addresses as they are."""
    parts = urlsplit(uri)
    return unquote(parts.path) if parts.scheme == "file" else uri


def _source(table: TableVersion) -> str:
    if not table.files:
        nulls = ", ".join(f"null::{duckdb_type(column.type)} as {quoted(column.name)}" for column in table.columns)
        return f"select {nulls} where false"
    files = ", ".join(literal(file_path(uri)) for uri in table.files)
    schema = ", ".join(_mapped(column) for column in table.columns)
    return f"select * from read_parquet([{files}], schema = map {{{schema}}})"  # noqa: S608 - every part is quoted


def _mapped(column: Column) -> str:
    name, kind = literal(column.name), literal(duckdb_type(column.type))
    return f"{column.field_id}: {{name: {name}, type: {kind}, default_value: null}}"
