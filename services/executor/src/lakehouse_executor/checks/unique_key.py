"""No key stands in two rows."""

from __future__ import annotations

from lakehouse_executor.change_log import key_of, ordered_by
from lakehouse_executor.checks.finding import Finding, counted
from lakehouse_executor.checks.scope import SAMPLES, Scope
from lakehouse_executor.checks.tally import tally
from opscore.domain.errors import InvalidInput
from opscore.domain.sql_text import columns_text
from opscore.domain.validation import UniqueKey


def unique_key(rule: UniqueKey, scope: Scope) -> Finding:
    """value: keys that stand in more than one row; nulls are a value like any other."""
    key = rule.columns or key_of(scope.table)
    if not key:
        raise InvalidInput(f"{scope.table.name} does not say which columns are its key")
    for name in key:
        scope.require(name)
    repeated = f"select {columns_text(key)} from {scope.rows} as t group by all having count(*) > 1"  # noqa: S608 - names are quoted
    keys = scope.count(f"select count(*) from ({repeated})")  # noqa: S608 - as above
    first = f"{repeated} order by {ordered_by(key)} limit {SAMPLES}"
    verb = "stands" if keys == 1 else "stand"
    said = f"{counted(keys, 'key')} of {scope.table.name} {verb} in more than one row"
    return tally(keys, rule.max, said, lambda: scope.keys(key, first))
