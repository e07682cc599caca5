"""A query that returns the bad rows."""

from __future__ import annotations

from decimal import Decimal
from itertools import islice
from typing import Any

from lakehouse_executor.checks.finding import Finding, counted, first_of, within
from lakehouse_executor.checks.scope import SAMPLES, Scope, key_text
from lakehouse_executor.statements import names_in
from opscore.domain.errors import InvalidInput
from opscore.domain.validation import CustomSql


def custom_sql(rule: CustomSql, scope: Scope) -> Finding:
    """value: rows the query returns; the first five are the samples. It may use the run's parameters as `$name`."""
    scope.engine.check_readable(rule.sql)
    reading = scope.engine.read(rule.sql, _parameters(rule, scope))
    names = tuple(column.name for column in reading.columns)
    rows, samples = 0, list[str]()
    for batch in reading:
        rows += batch.num_rows
        wanted = islice(batch.to_pylist(), SAMPLES - len(samples))
        samples += [key_text(names, tuple(row.values())) for row in wanted]
    return Finding(
        passed=within(rows, rule.max),
        value=Decimal(rows),
        threshold=rule.max,
        message=f"the query found {counted(rows, 'bad row')}{first_of(tuple(samples))}",
        sample_keys=tuple(samples),
    )


def _parameters(rule: CustomSql, scope: Scope) -> dict[str, Any]:
    wanted = names_in(rule.sql).parameters
    missing = sorted(wanted - scope.parameters.keys())
    if missing:
        raise InvalidInput(f"the query uses ${missing[0]}, which is not a parameter of the pipeline")
    return {name: scope.parameters[name] for name in wanted}
