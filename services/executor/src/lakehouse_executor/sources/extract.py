"""What a run takes from a source, as values that cross process borders: one task a table, or a range of a table."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol, Self

import orjson
import pyarrow as pa

from lakehouse_executor.change_log import KEY, MODEL, SOURCE_COLUMNS, key_text
from lakehouse_executor.sources.log_entries import LogEntries, log_schema
from lakehouse_executor.sources.rows import RowParser
from lakehouse_executor.sources.tables import SourceTable
from lakehouse_executor.sources.types import lake_schema
from opscore.domain.errors import OpsError
from opscore.domain.table import StagedTable, TableVersion, WrittenFile
from opscore.ports.lake import Lake

PART_SEQS = 1 << 32  # sequence numbers that one part of a table may use


class Action(StrEnum):
    """How a table is brought up to date."""

    LOAD = "load"  # the lake does not have it: every row, as a first load
    SNAPSHOT = "snapshot"  # asked for: every row again, and what is gone
    DELTA = "delta"  # rows that may have changed since the last run, and what is gone
    RESYNC = "resync"  # the last run cannot be trusted as a base: every row is compared


class LogLake(Lake, Protocol):
    """The lake, with its rows in reach of Arrow's scanner."""

    def dataset(self, version: TableVersion) -> Any:
        """A version's rows as a pyarrow Dataset."""
        ...


@dataclass(frozen=True, slots=True)
class Moment:
    """What every entry of a run says about itself. trusted: the source has checked its texts' encoding."""

    run_id: str
    lsn: int
    at: datetime
    trusted: bool


@dataclass(frozen=True, slots=True)
class TableTask:
    """One table's work. base: metadata location the run builds on, None when the lake lacks the table.

    rows and hash: count and key hash (modulo 2^64) at this moment; before_*: at the one of the last run, None when
    unknown. changed: the condition for DELTA. part and pages: which range of the heap, when several share the table.
    seq: the first sequence number to give out; None to go on after the log's last. scales: decimals by column, for
    numerics that declare none and are not frozen yet. reshaped: its columns are not those of the last run, which is
    worth a version even when no row differs.
    """

    table: SourceTable
    action: Action
    base: str | None
    rows: int
    hash: int
    before_rows: int | None = None
    before_hash: int | None = None
    changed: str | None = None
    seq: int | None = 0
    part: int = 0
    pages: tuple[int, int | None] | None = None
    reshaped: bool = False
    scales: Mapping[str, int] = field(default_factory=dict[str, int])

    @property
    def name(self) -> str:
        """The bronze table."""
        return self.table.lake_name

    def with_scales(self, scales: Mapping[str, int]) -> Self:
        """The same work with more decimals."""
        return replace(self, scales={**self.scales, **scales})


@dataclass(frozen=True, slots=True)
class TableDone:
    """How a table's work ended. staged None: nothing had changed."""

    name: str
    staged: StagedTable | None
    next_seq: int


@dataclass(frozen=True, slots=True)
class PartDone:
    """Files of one range of a table. next_seq: after its last entry."""

    name: str
    files: tuple[WrittenFile, ...]
    next_seq: int


class Desk:
    """One task's tools in a worker process: the types settled on, a parser, a log to write to."""

    def __init__(self, lake: LogLake, moment: Moment, task: TableTask) -> None:
        self.lake = lake
        self.task = task
        self._moment = moment
        self.base = lake.open(task.name, task.base) if task.base else None
        self.columns = lake_schema(task.table, self._frozen(), task.scales)
        self.schema = log_schema(self.columns)

    def parser(self, extra: pa.Field[Any] | None = None) -> RowParser:
        """Parses the table's columns, in source order, and one more when asked."""
        schema = self.columns if extra is None else self.columns.append(extra)
        return RowParser(self.task.table, schema, trusted=self._moment.trusted)

    def key_parser(self) -> RowParser:
        """Parses keys alone."""
        schema = pa.schema([self.columns.field(name) for name in self.task.table.lake_key])
        return RowParser(self.task.table, schema, trusted=self._moment.trusted)

    def log(self, seq: int) -> LogEntries:
        """A new stretch of the table's log."""
        files = self.lake.writer(self.task.name, self.schema, run_id=self._moment.run_id, part=str(self.task.part))
        return LogEntries(files, run_id=self._moment.run_id, lsn=self._moment.lsn, at=self._moment.at, seq=seq)

    def stage(self, files: tuple[WrittenFile, ...]) -> StagedTable:
        """Stage the version that the files make. The table carries its key and what Odoo says about its columns."""
        table = self.task.table
        facts = {column.lake_name: column.facts for column in table.columns}
        properties = {
            KEY: key_text(table.lake_key),
            MODEL: table.model,
            SOURCE_COLUMNS: orjson.dumps(facts).decode(),
            "lsn": str(self._moment.lsn),
        }
        try:
            return self.lake.stage_append(
                self.task.name, self.schema, files, run_id=self._moment.run_id, properties=properties
            )
        except BaseException:
            with suppress(OpsError):
                self.lake.discard_files(files)
            raise

    def _frozen(self) -> dict[str, pa.DataType]:
        if self.base is None:
            return {}
        return {field.name: field.type for field in self.lake.dataset(self.base).schema}
