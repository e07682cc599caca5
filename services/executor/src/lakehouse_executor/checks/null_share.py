"""The share of rows without a value."""

from __future__ import annotations

from decimal import Decimal

from lakehouse_executor.checks.finding import Finding, first_of, of_rows, share
from lakehouse_executor.checks.scope import Scope
from opscore.domain.validation import NullShare


def null_share(rule: NullShare, scope: Scope) -> Finding:
    """Value and threshold: shares from 0 to 1; a table without rows has no nulls."""
    column = scope.require(rule.column)
    total, filled = scope.ask(f"select count(*), count({column}) from {scope.rows}")  # noqa: S608 - names are quoted
    nulls = total - filled
    passed = Decimal(nulls) <= rule.max * total
    samples = () if passed else scope.samples(f"{column} is null")
    return Finding(
        passed=passed,
        value=share(nulls, total),
        threshold=rule.max,
        message=f"{of_rows(nulls, total)} of {scope.table.name} have no {rule.column}{first_of(samples)}",
        sample_keys=samples,
    )
