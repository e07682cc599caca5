"""The statements that read a source table. Pure text; every name is quoted.

Values are never cast on the source: CSV text carries them, and a cast there costs more than parsing does here.
"""

# ruff: noqa: S608 - identifiers are quoted, literals are numbers and times of our own

from __future__ import annotations

from collections.abc import Sequence

from lakehouse_executor.sources.tables import SourceColumn, SourceTable, quoted

XIDS = 1 << 32
FIRST_XID = 3  # below it stand Postgres' own permanent ids
WHOLE_NUMBERS = frozenset({"int2", "int4", "int8"})


def everything(table: SourceTable, *, pages: tuple[int, int | None] | None = None) -> str:
    """All rows, or those of a range of heap pages (first, one past the last; None: to the end)."""
    return f"select {_columns(table.columns)} from {table.rows_of}{_where_pages(pages)}"


def changed_rows(table: SourceTable, changed: str | None) -> str:
    """Candidates in key order, each with the hash of its key. changed: a condition; None takes every row."""
    condition = f" where {changed}" if changed else ""
    key = ", ".join(quoted(name) for name in table.key)
    return f"select {_columns(table.columns)}, {key_hash(table)} from {table.rows_of}{condition} order by {key}"


def all_keys(table: SourceTable) -> str:
    """Keys alone."""
    return f"select {', '.join(quoted(name) for name in table.key)} from {table.rows_of}"


def key_hash(table: SourceTable) -> str:
    """64 bits of a row's key, the same on every server version from 12 on."""
    hashed = "0::int8"
    for name in table.key:
        if table.column(name).base in WHOLE_NUMBERS:
            hashed = f"hashint8extended({quoted(name)}::int8, {hashed})"
        else:
            hashed = f"hashtextextended({quoted(name)}::text, {hashed})"
    return hashed


def changed_since(table: SourceTable, xmin: int, watermark: str) -> str:
    """The condition that a row may have changed since a moment. May be true of unchanged rows, never false of changed.

    xmin: the moment's oldest running transaction. Every row written since, in a savepoint too, carries an id from there
    on. The server's `age` compares ids modulo 2^32 against the present of this one transaction, so that very old rows
    at worst seem new. watermark: naive UTC text, for rows that Odoo stamped.
    """
    since = max(xmin % XIDS, FIRST_XID)
    condition = f"age(xmin) <= (select age('{since}'::xid))"
    return condition if table.stamp is None else f"({condition} or {table.stamp.quoted} >= '{watermark}'::timestamp)"


def probe(tables: Sequence[tuple[int, SourceTable, str | None]]) -> str:
    """One row a table: its number, row count, sum of key hashes, and how many rows may have changed."""
    return "\nunion all\n".join(
        f"select {number}::int as number, count(*) as rows, coalesce(sum({key_hash(table)}), 0)::text as hash,"
        f" count(*) filter (where {changed or 'false'}) as changed from {table.rows_of}"
        for number, table, changed in tables
    )


def scales(table: SourceTable, columns: Sequence[SourceColumn]) -> str:
    """The most decimals that any value of these numerics really has, by lake name."""
    measured = ", ".join(f"max(min_scale({column.quoted})) as {quoted(column.lake_name)}" for column in columns)
    return f"select {measured} from {table.rows_of}"


def _columns(columns: Sequence[SourceColumn]) -> str:
    return ", ".join(column.quoted for column in columns)


def _where_pages(pages: tuple[int, int | None] | None) -> str:
    if pages is None:
        return ""
    first, end = pages
    until = "" if end is None else f" and ctid < '({end},0)'::tid"
    return f" where ctid >= '({first},0)'::tid{until}"
