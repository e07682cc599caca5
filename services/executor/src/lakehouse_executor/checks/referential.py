"""Every value is found in the column it refers to."""

from __future__ import annotations

from lakehouse_executor.checks.finding import Finding, of_rows
from lakehouse_executor.checks.scope import Scope
from lakehouse_executor.checks.tally import tally
from opscore.domain.validation import Referential


def referential(rule: Referential, scope: Scope) -> Finding:
    """value: rows whose value is found nowhere; nulls refer to nothing."""
    target, _, target_column = rule.references.rpartition(".")
    column, found = scope.require(rule.column), scope.require(target_column, target)
    values = f"select {found} from {scope.rows_of(target)} as r where {found} is not null"  # noqa: S608 - names are quoted
    lost = f"{column} is not null and {column} not in ({values})"
    total = scope.count(f"select count(*) from {scope.rows} as t")  # noqa: S608 - as above
    orphans = scope.count(f"select count(*) from {scope.rows} as t where {lost}")  # noqa: S608 - as above
    said = f"{of_rows(orphans, total)} of {scope.table.name} have a {rule.column} that is not in {rule.references}"
    return tally(orphans, rule.max, said, lambda: scope.samples(lost))
