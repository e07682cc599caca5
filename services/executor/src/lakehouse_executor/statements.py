"""Which tables and parameters a statement names, read with sqlglot in the one dialect that the house writes."""

from __future__ import annotations

import re
from dataclasses import dataclass

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from opscore.domain.errors import InvalidInput

DIALECT = "duckdb"
EXPLAIN = re.compile(r"\s*explain(\s+analyze)?\s", re.IGNORECASE)
SPELLED = re.compile(r'"?\b(bronze|silver|gold)\b"?\s*\.\s*"?(\w+)"?', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Names:
    """tables: full names, lower case. unplaced: tables named without their layer. parameters: names behind `$`."""

    tables: frozenset[str]
    unplaced: frozenset[str]
    parameters: frozenset[str]


def names_in(sql: str) -> Names:
    """What one statement names. Raises InvalidInput when it is not one statement that can be read."""
    text = EXPLAIN.sub("", sql, count=1) if EXPLAIN.match(sql) else sql
    try:
        parsed = sqlglot.parse(text, dialect=DIALECT)
    except SqlglotError as error:
        raise InvalidInput(_first_line(error)) from error
    found = [part for part in parsed if part is not None and not isinstance(part, exp.Semicolon)]
    if len(found) != 1:
        raise InvalidInput(f"one statement is expected, there are {len(found)}")
    return _names(found[0])


def tables_spelled_in(sql: str) -> frozenset[str]:
    """Every `layer.name` in the text, for statements that sqlglot cannot read; may name too many."""
    return frozenset(f"{layer}.{name}".lower() for layer, name in SPELLED.findall(sql))


def _names(statement: exp.Expr) -> Names:
    own = {cte.alias_or_name.lower() for cte in statement.find_all(exp.CTE)}
    tables: set[str] = set()
    unplaced: set[str] = set()
    for table in statement.find_all(exp.Table):
        if not isinstance(table.this, exp.Identifier):
            continue  # a function in the place of a table
        if table.db:
            tables.add(f"{table.db}.{table.name}".lower())
        elif table.name.lower() not in own:
            unplaced.add(table.name)
    parameters = {parameter.name for parameter in statement.find_all(exp.Placeholder, exp.Parameter) if parameter.name}
    return Names(frozenset(tables), frozenset(unplaced), frozenset(parameters))


def _first_line(error: SqlglotError) -> str:
    return str(error).splitlines()[0].rstrip(".")
