"""What a check may look at: one dataset of a run, its rows in force, and the tables it is compared with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import orjson

from lakehouse_executor.change_log import current_rows, first_load_question, is_log, key_of, ordered_by
from opscore.domain.errors import InvalidInput
from opscore.domain.sql_text import columns_text, quoted, quoted_table
from opscore.domain.table import TableVersion
from opscore.ports.engine import Engine

SAMPLES = 5


@dataclass(frozen=True, slots=True)
class Drift:
    """What became of one column at the source. change: as ingest names it (added, dropped, renamed, retyped)."""

    column: str
    change: str
    before: str | None = None
    after: str | None = None


@dataclass(slots=True)
class Scope:
    """tables: mounted versions by name. parameters: the run's, for custom SQL.

    source_rows: how many rows the dataset must have, None when nothing says. drift: what ingest saw at the source.
    base: the published version that the dataset is going to replace, None for a new table.
    """

    engine: Engine
    table: TableVersion
    tables: Mapping[str, TableVersion]
    parameters: Mapping[str, Any]
    source_rows: int | None = None
    drift: tuple[Drift, ...] = ()
    base: TableVersion | None = None
    _rows: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def rows(self) -> str:
        """The dataset's rows in force, as a relation for `from`."""
        return self.rows_of(self.table.name)

    def rows_of(self, name: str) -> str:
        """A table's rows in force: a log's latest entries that are not deletes, any other table as it is."""
        if name not in self._rows:
            self._rows[name] = self._relation(name)
        return self._rows[name]

    def require(self, column: str, table: str | None = None) -> str:
        """The column, quoted. Raises InvalidInput when the table lacks it."""
        version = self._version(table or self.table.name)
        if column not in version.column_names:
            raise InvalidInput(f"{version.name} has no column {column}")
        return quoted(column)

    def ask(self, sql: str) -> tuple[Any, ...]:
        """The one row that a question answers with."""
        return self.engine.rows(sql)[0]

    def count(self, sql: str) -> int:
        """A question's answer as a number."""
        return int(self.ask(sql)[0])

    def samples(self, where: str) -> tuple[str, ...]:
        """Keys of up to five rows in force for which the condition holds, in key order."""
        key = key_of(self.table)
        if not key:
            return ()
        names = columns_text(key)
        query = f"select {names} from {self.rows} as t where {where} order by {ordered_by(key)} limit {SAMPLES}"  # noqa: S608 - names are quoted
        return self.keys(key, query)

    def keys(self, names: tuple[str, ...], sql: str) -> tuple[str, ...]:
        """Each row of a question as JSON text, e.g. `{"id": 7}`."""
        return tuple(key_text(names, row) for row in self.engine.rows(sql))

    def _version(self, name: str) -> TableVersion:
        if name not in self.tables:
            raise InvalidInput(f"{name} is not in the lake")
        return self.tables[name]

    def _relation(self, name: str) -> str:
        version = self._version(name)
        if not is_log(version):
            return quoted_table(name)
        first_load = bool(self.ask(first_load_question(name))[0])
        return f"({current_rows(version, first_load=first_load)})"


def key_text(names: tuple[str, ...], row: tuple[Any, ...]) -> str:
    """A key as JSON text; decimals stay exact, as text."""
    pairs = dict(zip(names, row, strict=True))
    return orjson.dumps(pairs, default=_text, option=orjson.OPT_NON_STR_KEYS).decode()


def _text(value: Any) -> str:
    return format(value, "f") if isinstance(value, Decimal) else str(value)
