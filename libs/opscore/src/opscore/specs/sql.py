"""Whether SQL can be parsed. Called for the queries a spec names; the dialect is DuckDB's, as pipelines write it."""

from __future__ import annotations

from dataclasses import dataclass

from opscore.specs.fault import quoted


@dataclass(frozen=True, slots=True)
class SqlFault:
    """Why a query is refused. line: within the query, counted from 1."""

    line: int
    message: str


def query_fault(sql: str) -> SqlFault | None:
    """What is wrong with a text that should be one query, None when nothing is. Its meaning is not looked at."""
    # Imported late: it takes longer than all the rest, and most specs that are read name no SQL.
    from sqlglot import exp, parse  # noqa: PLC0415
    from sqlglot.errors import ParseError, SqlglotError  # noqa: PLC0415

    try:
        statements = [statement for statement in parse(sql, dialect="duckdb") if statement is not None]
    except ParseError as error:
        first = error.errors[0] if error.errors else {}
        near = f" near `{quoted(str(first['highlight']))}`" if first.get("highlight") else ""
        problem = str(first.get("description") or "it cannot be parsed").rstrip(".")
        return SqlFault(int(first.get("line") or 1), f"the SQL is faulty{near}: {quoted(problem)}")
    except SqlglotError as error:
        return SqlFault(1, f"the SQL is faulty: {quoted(str(error))}")
    except RecursionError:
        return SqlFault(1, "the SQL is nested too deeply")
    if len(statements) != 1:
        return SqlFault(1, f"there are {len(statements)} statements; exactly one query is allowed")
    if not isinstance(statements[0], exp.Query):
        return SqlFault(1, "only a query (select, with, values) is allowed")
    return None


def condition_fault(condition: str) -> SqlFault | None:
    """What is wrong with a text that should be one SQL condition."""
    return query_fault(f"select 1 where (\n{condition}\n)")
