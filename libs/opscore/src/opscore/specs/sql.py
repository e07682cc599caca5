"""Whether SQL can be parsed, and what it names. Called for the queries of a spec; the dialect is DuckDB's.

sqlglot is imported when the first query is read: it takes longer than all the rest, and most specs name no SQL.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from opscore.specs.fault import quoted

if TYPE_CHECKING:
    from sqlglot.errors import ParseError
    from sqlglot.expressions import Expr


@dataclass(frozen=True, slots=True)
class SqlFault:
    """Why a query is refused. line: within the query, counted from 1."""

    line: int
    message: str


def query_fault(sql: str) -> SqlFault | None:
    """What is wrong with a text that should be one query, None when nothing is. Its meaning is not looked at."""
    found = _read(sql)
    return found if isinstance(found, SqlFault) else None


def condition_fault(condition: str) -> SqlFault | None:
    """What is wrong with a text that should be one SQL condition."""
    return query_fault(f"select 1 where (\n{condition}\n)")


def transform_faults(sql: str, params: Collection[str]) -> list[SqlFault]:
    """All that is wrong with a transform's query. params: names that it may use behind `$`."""
    found = _read(sql)
    return [found] if isinstance(found, SqlFault) else [*_unplaced(found, sql), *_undeclared(found, sql, params)]


def _read(sql: str) -> Expr | SqlFault:
    from sqlglot import exp, parse  # noqa: PLC0415
    from sqlglot.errors import ParseError, SqlglotError  # noqa: PLC0415

    try:
        statements = [statement for statement in parse(sql, dialect="duckdb") if statement is not None]
    except ParseError as error:
        return _parse_fault(error, sql)
    except SqlglotError as error:
        return SqlFault(1, f"the SQL is faulty: {quoted(str(error))}")
    except RecursionError:
        return SqlFault(1, "the SQL is nested too deeply")
    if len(statements) != 1:
        return SqlFault(1, f"there are {len(statements)} statements; exactly one query is allowed")
    if not isinstance(statements[0], exp.Query):
        return SqlFault(1, "only a query (select, with, values) is allowed")
    return statements[0]


def _parse_fault(error: ParseError, sql: str) -> SqlFault:
    first = error.errors[0] if error.errors else {}
    before, after = str(first.get("start_context") or ""), str(first.get("end_context") or "")
    at = sql.find(f"{before}{first.get('highlight') or ''}{after}") + len(before)
    near = f" near `{quoted(str(first['highlight']))}`" if first.get("highlight") else ""
    problem = str(first.get("description") or "it cannot be parsed").rstrip(".")
    return SqlFault(_line_at(sql, at), f"the SQL is faulty{near}: {quoted(problem)}")


def _unplaced(query: Expr, sql: str) -> Iterator[SqlFault]:
    """Tables that are read without saying from which namespace."""
    from sqlglot import exp  # noqa: PLC0415

    own = {part.alias_or_name.lower() for part in query.find_all(exp.CTE)}
    for table in query.find_all(exp.Table):
        if isinstance(table.this, exp.Identifier) and not table.db and table.name.lower() not in own:
            name = quoted(table.name)
            line = _line_at(sql, table.this.meta.get("start", 0))
            yield SqlFault(line, f"the table `{name}` lacks its namespace; write for example `silver.{name}`")


def _undeclared(query: Expr, sql: str, params: Collection[str]) -> Iterator[SqlFault]:
    """Parameters that no run will be given."""
    from sqlglot import exp  # noqa: PLC0415

    for name in sorted({str(used.name) for used in query.find_all(exp.Placeholder, exp.Parameter)}):
        if not name.isidentifier():
            yield SqlFault(_line_at(sql, sql.find("?")), "a parameter needs a name, for example `$as_of`")
        elif name not in params:
            line = _line_at(sql, sql.find(f"${name}"))
            declared = ", ".join(sorted(params)) or "none"
            yield SqlFault(line, f"`${quoted(name)}` is no parameter of the pipeline; declared are: {declared}")


def _line_at(sql: str, position: int) -> int:
    """The line of a position. sqlglot counts lines too, but twice after a `$`."""
    return sql.count("\n", 0, max(position, 0)) + 1
