"""Every value is one of a list."""

from __future__ import annotations

from lakehouse_executor.checks.finding import Finding, of_rows
from lakehouse_executor.checks.scope import Scope
from lakehouse_executor.checks.tally import tally
from opscore.domain.sql_text import literal
from opscore.domain.validation import AcceptedValues


def accepted_values(rule: AcceptedValues, scope: Scope) -> Finding:
    """value: rows that hold another value; nulls pass."""
    column = scope.require(rule.column)
    accepted = ", ".join(literal(value) for value in rule.values)
    other = f"{column}::varchar not in ({accepted})"
    total, strays = scope.ask(f"select count(*), count(*) filter (where {other}) from {scope.rows}")  # noqa: S608 - names are quoted
    said = (
        f"{of_rows(strays, total)} of {scope.table.name} have a {rule.column} "
        f"other than {', '.join(rule.values)}{_strays(scope, column, other) if strays else ''}"
    )
    return tally(strays, rule.max, said, lambda: scope.samples(other))


def _strays(scope: Scope, column: str, other: str) -> str:
    found = scope.engine.rows(
        f"select distinct {column}::varchar from {scope.rows} where {other} order by 1 limit 3"  # noqa: S608 - names are quoted
    )
    return ", such as " + ", ".join(repr(value) for (value,) in found)
