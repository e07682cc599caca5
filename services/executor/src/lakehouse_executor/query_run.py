"""One statement over published tables, as a run of its own. Pure parts; `worker_transform` puts them together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Any

from lakehouse_executor.result_json import json_rows, result_document
from lakehouse_executor.statements import names_in, tables_spelled_in
from opscore.domain.errors import InvalidInput, QueryFailed
from opscore.ports.engine import Engine

DEFAULT_LIMIT = 1000
HIGHEST_LIMIT = 100_000
HIGHEST_BYTES = 64 << 20  # of Arrow data; what is larger belongs in a table
LAYERS = ("bronze", "silver", "gold")
AsOf = datetime | int


@dataclass(frozen=True, slots=True)
class Query:
    """sql: one reading statement. limit: rows returned at most. as_of: text of the three forms, None for now."""

    sql: str
    limit: int = DEFAULT_LIMIT
    as_of: str | None = None

    @classmethod
    def of(cls, params: Mapping[str, Any]) -> Query:
        """Read a run's parameters. Raises QueryFailed for what cannot be meant."""
        sql, engine = params.get("sql"), params.get("engine") or "duckdb"
        if not isinstance(sql, str) or not sql.strip():
            raise QueryFailed("There is no statement to run.")
        if engine != "duckdb":
            raise QueryFailed(f"This executor runs statements on duckdb, not on {engine}.")
        return cls(sql, _limit(params.get("limit")), params.get("as_of") or None)


def tables_of(sql: str, published: Iterable[str]) -> tuple[str, ...]:
    """Tables of the lake that the statement names. Raises QueryFailed for one that is not there.

    Names outside the layers (information_schema, a missing layer) are left to the engine unless a table of the lake
    must have been meant.
    """
    known = set(published)
    try:
        names = names_in(sql)
    except InvalidInput:
        return tuple(sorted(tables_spelled_in(sql) & known))  # the engine will say what is wrong with it, if anything
    in_layers = {name for name in names.tables if name.partition(".")[0] in LAYERS}
    for name in sorted(in_layers - known):
        raise QueryFailed(f"There is no table {name}{_suggestion(name, known)}")
    for name in sorted(names.unplaced):
        meant = [f"{layer}.{name.lower()}" for layer in LAYERS if f"{layer}.{name.lower()}" in known]
        if meant:
            raise QueryFailed(f"There is no table {name}: did you mean {' or '.join(meant)}?")
    return tuple(sorted(in_layers))


def as_of_each(as_of: str | None, tables: tuple[str, ...]) -> dict[str, AsOf | None]:
    """Which version of each table to read. Raises QueryFailed when the text fits neither form nor statement."""
    if as_of is None:
        return dict.fromkeys(tables)
    if "=" in as_of:
        return {**dict.fromkeys(tables), **_by_table(as_of, tables)}
    if as_of.isdecimal():
        if len(tables) != 1:
            raise QueryFailed(
                f"A snapshot id belongs to one table; the statement names {len(tables)}.",
                hint="Write table=snapshot,table=snapshot, or give a time.",
            )
        return {tables[0]: int(as_of)}
    return dict.fromkeys(tables, _time(as_of))


def answer(engine: Engine, query: Query) -> tuple[bytes, int]:
    """Run the statement on a locked engine; the result document and its number of rows. Raises QueryFailed."""
    engine.check_readable(query.sql)
    reading = engine.read(query.sql, batch_rows=min(query.limit + 1, 8192))
    rows: list[list[Any]] = []
    taken = 0
    for batch in reading:
        taken += batch.nbytes
        if taken > HIGHEST_BYTES:
            raise QueryFailed("The result is larger than 64 MiB.", hint="Ask for fewer rows or columns, or aggregate.")
        rows += json_rows(batch)
        if len(rows) > query.limit:
            break
    shown = rows[: query.limit]
    return result_document(reading.columns, shown, truncated=len(rows) > query.limit), len(shown)


def _limit(value: Any) -> int:
    if value is None:
        return DEFAULT_LIMIT
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= HIGHEST_LIMIT:
        return value
    raise QueryFailed(f"The limit is {value}; it must be a whole number from 1 to {HIGHEST_LIMIT:,}.")


def _suggestion(name: str, known: set[str]) -> str:
    close = get_close_matches(name, sorted(known), n=3, cutoff=0.7)
    return f": did you mean {' or '.join(close)}?" if close else "."


def _by_table(as_of: str, tables: tuple[str, ...]) -> dict[str, AsOf]:
    chosen: dict[str, AsOf] = {}
    for part in as_of.split(","):
        name, _, version = (text.strip() for text in part.partition("="))
        if name not in tables:
            raise QueryFailed(f"as-of names {name or part}, which the statement does not read.")
        chosen[name] = int(version) if version.isdecimal() else _time(version)
    return chosen


def _time(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise QueryFailed(
            f"as-of is {text}, which is neither a time (2026-03-01T12:00:00Z), a snapshot id nor table=snapshot,…"
        ) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
