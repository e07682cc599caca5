"""Every value is one of a list."""

from __future__ import annotations

from decimal import Decimal

from lakehouse_executor.checks.finding import Finding, first_of, of_rows, within
from lakehouse_executor.checks.scope import Scope
from opscore.domain.sql_text import literal
from opscore.domain.validation import AcceptedValues


def accepted_values(rule: AcceptedValues, scope: Scope) -> Finding:
    """value: rows that hold another value; nulls pass."""
    column = scope.require(rule.column)
    accepted = ", ".join(literal(value) for value in rule.values)
    other = f"{column}::varchar not in ({accepted})"
    total, strays = scope.ask(f"select count(*), count(*) filter (where {other}) from {scope.rows}")  # noqa: S608 - names are quoted
    passed = within(strays, rule.max)
    samples = () if passed else scope.samples(other)
    return Finding(
        passed=passed,
        value=Decimal(strays),
        threshold=rule.max,
        message=(
            f"{of_rows(strays, total)} of {scope.table.name} have a {rule.column} "
            f"other than {', '.join(rule.values)}{_strays(scope, column, other) if strays else ''}{first_of(samples)}"
        ),
        sample_keys=samples,
    )


def _strays(scope: Scope, column: str, other: str) -> str:
    found = scope.engine.rows(
        f"select distinct {column}::varchar from {scope.rows} where {other} order by 1 limit 3"  # noqa: S608 - names are quoted
    )
    return ", such as " + ", ".join(repr(value) for (value,) in found)
