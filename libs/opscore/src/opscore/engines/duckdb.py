"""DuckDB over planned Iceberg files, in memory, without extensions.

Called by the executor's worker processes. User SQL runs only after `lock()`: then the mounted files are all that can be
reached, and no setting moves any more. Sessions speak UTC, so a time means the same whatever the machine's zone is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import duckdb
import pyarrow as pa

from opscore.domain.errors import OpsError, QueryFailed
from opscore.domain.sql_text import literal, quoted
from opscore.domain.table import TableVersion
from opscore.engines.batches import same_sized
from opscore.engines.duckdb_text import Text
from opscore.engines.duckdb_views import file_path, view_statement
from opscore.engines.object_store import duckdb_filesystem
from opscore.engines.spill import spill_directory
from opscore.engines.types import iceberg_type
from opscore.ports.engine import EngineLimits, ResultColumn, S3Access

CATALOG = "lakehouse"  # so that lakehouse.silver.t means the same here as on Trino and Spark
PLAN = "explain "
READING_KINDS = {duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN}  # DESCRIBE, SHOW, SUMMARIZE, VALUES: SELECT


class DuckDBReading:
    """A statement whose batches DuckDB computes as they are asked for."""

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, reader: pa.RecordBatchReader, text: Text, batch_rows: int
    ) -> None:
        self._connection = connection
        self._reader = reader
        self._text = text
        self._batch_rows = batch_rows

    @property
    def schema(self) -> pa.Schema:
        """The result's Arrow schema."""
        return self._reader.schema

    @property
    def columns(self) -> tuple[ResultColumn, ...]:
        """Names and Iceberg types of the result."""
        return tuple(ResultColumn(field.name, iceberg_type(field.type)) for field in self.schema)

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        """Yield batches in order; a fault half-way is explained like one at the start."""
        try:
            yield from same_sized(self._reader, self._batch_rows)
        except (duckdb.Error, pa.ArrowException, OSError) as error:
            raise self._text.explain(error) from error
        finally:
            self._reader.close()
            self._connection.close()


class DuckDBEngine:
    """One in-memory DuckDB. See `opscore.ports.engine.Engine`."""

    name = "duckdb"

    def __init__(self, limits: EngineLimits | None = None, s3: S3Access | None = None) -> None:
        """Open an empty database; s3 is needed only when mounted files live there."""
        self._limits = limits or EngineLimits()
        self._s3 = s3
        self._mounted: dict[str, tuple[str, ...]] = {}
        self._store_is_registered = False
        self._statements = 0
        self._running: duckdb.DuckDBPyConnection | None = None
        self._connection = duckdb.connect()
        self._configure()

    def mount(self, tables: Iterable[TableVersion]) -> None:
        """Make versions readable under their full names."""
        for table in tables:
            self._register_store(table.files)
            self._run(f"create schema if not exists {quoted(table.name.partition('.')[0])}")
            self._run(view_statement(table))
            self._mounted[table.name] = table.files

    def lock(self) -> None:
        """Leave nothing but the mounted files within reach, for good."""
        paths = ", ".join(literal(file_path(uri)) for files in self._mounted.values() for uri in files)
        self._run(f"set allowed_paths = [{paths}]")
        self._run("set enable_external_access = false")
        self._run("set lock_configuration = true")

    def check_readable(self, sql: str) -> None:
        """Pass when the text is one statement that only reads."""
        try:
            statements = self._connection.extract_statements(sql)
        except duckdb.Error as error:
            raise Text(sql).explain(error) from error
        if len(statements) != 1:
            raise QueryFailed(f"One statement is run at a time; this text holds {len(statements)}.")
        if statements[0].type not in READING_KINDS:
            kind = statements[0].type.name.replace("_", " ")
            raise QueryFailed(
                f"{kind} statements are not run here: the tables are read, never changed.",
                hint="Use SELECT, WITH, VALUES, EXPLAIN, DESCRIBE, SHOW or SUMMARIZE; tables change through pipelines.",
            )

    def columns(self, sql: str, parameters: Mapping[str, Any] | None = None) -> tuple[ResultColumn, ...]:
        """What a statement would return; it is bound, not run."""
        with self._cursor() as cursor:
            relation = self._relation(cursor, Text.alone(sql), parameters)
            schema = relation.limit(0).to_arrow_reader(1).schema
        return tuple(ResultColumn(field.name, iceberg_type(field.type)) for field in schema)

    def read(
        self,
        sql: str,
        parameters: Mapping[str, Any] | None = None,
        *,
        order_by: str | None = None,
        batch_rows: int = 65_536,
    ) -> DuckDBReading:
        """Start one statement on a connection of its own; it streams, whatever the size of the result."""
        cursor, text = self._cursor(), Text.alone(sql) if order_by is None else Text.ordered(sql, order_by)
        self._begin(cursor)
        try:
            reader = self._relation(cursor, text, parameters).to_arrow_reader(batch_rows)
        except duckdb.Error as error:
            cursor.close()
            raise text.explain(error) from error
        except OpsError:
            cursor.close()
            raise
        return DuckDBReading(cursor, reader, text, batch_rows)

    def rows(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        """Run one statement and return all its rows."""
        self._begin(self._connection)
        try:
            return self._connection.execute(sql, dict(parameters) if parameters else None).fetchall()
        except duckdb.Error as error:
            raise Text(sql).explain(error) from error

    @property
    def statements(self) -> int:
        """How many statements it has begun for its callers."""
        return self._statements

    def cancel(self) -> None:
        """Interrupt the statement that began last, if it still runs."""
        if self._running is not None:
            self._running.interrupt()

    def close(self) -> None:
        """Give memory back."""
        self._running = None
        self._connection.close()

    def _begin(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._statements += 1
        self._running = connection

    def _configure(self) -> None:
        self._run(f"set memory_limit = '{self._limits.memory_bytes // 1024}KiB'")
        if self._limits.threads:
            self._run(f"set threads = {self._limits.threads}")
        self._run(f"set temp_directory = {literal(str(spill_directory()))}")
        self._run("set global errors_as_json = true")
        self._run("set global TimeZone = 'UTC'")
        self._run("set autoinstall_known_extensions = false")
        self._run("set python_enable_replacements = false")
        self._run(f"attach ':memory:' as {CATALOG}")
        self._run(f"use {CATALOG}")

    def _register_store(self, files: Iterable[str]) -> None:
        if self._store_is_registered or not any(uri.startswith("s3://") for uri in files):
            return
        self._connection.register_filesystem(duckdb_filesystem(self._s3 or S3Access()))
        self._store_is_registered = True

    def _cursor(self) -> duckdb.DuckDBPyConnection:
        cursor = self._connection.cursor()
        cursor.execute(f"use {CATALOG}")  # a cursor starts in DuckDB's own default catalog
        return cursor

    def _relation(
        self, cursor: duckdb.DuckDBPyConnection, text: Text, parameters: Mapping[str, Any] | None
    ) -> duckdb.DuckDBPyRelation:
        given = dict(parameters) if parameters else None
        try:
            return cursor.sql(text.whole, params=given)
        except duckdb.Error as error:
            raise self._located(cursor, text, given) or text.explain(error) from error

    def _located(self, cursor: duckdb.DuckDBPyConnection, text: Text, given: dict[str, Any] | None) -> OpsError | None:
        """The same fault with its position, which DuckDB's relations leave out."""
        planned = text.after(PLAN)
        try:
            cursor.execute(planned.whole, given)
        except duckdb.Error as error:
            return planned.explain(error)
        return None

    def _run(self, sql: str) -> None:
        try:
            self._connection.execute(sql)
        except duckdb.Error as error:
            raise Text(sql).explain(error) from error
