"""One check on one dataset, whatever its kind. Runs in worker processes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from lakehouse_executor.checks.accepted_values import accepted_values
from lakehouse_executor.checks.balanced_entries import balanced_entries
from lakehouse_executor.checks.custom_sql import custom_sql
from lakehouse_executor.checks.drift import drift
from lakehouse_executor.checks.finding import Finding, not_evaluated, outcome
from lakehouse_executor.checks.null_share import null_share
from lakehouse_executor.checks.referential import referential
from lakehouse_executor.checks.row_count import row_count
from lakehouse_executor.checks.scope import Scope
from lakehouse_executor.checks.task import CheckTask
from lakehouse_executor.checks.unique_key import unique_key
from opscore.domain.check import CheckOutcome
from opscore.domain.errors import InvalidInput, QueryFailed, TransformFailed
from opscore.domain.table import TableVersion
from opscore.domain.validation import AnyValidation
from opscore.ports.engine import Engine
from opscore.ports.lake import Lake

KINDS: dict[str, Callable[[Any, Scope], Finding]] = {
    "accepted_values": accepted_values,
    "balanced_entries": balanced_entries,
    "custom_sql": custom_sql,
    "drift": drift,
    "null_share": null_share,
    "referential": referential,
    "row_count": row_count,
    "unique_key": unique_key,
}


def judge(
    lake: Lake, engine: Engine, tables: Mapping[str, TableVersion], task: CheckTask, parameters: Mapping[str, Any]
) -> list[tuple[int, CheckOutcome]]:
    """Evaluate all of a dataset's rules over mounted tables; each outcome with its rule's position."""
    table = tables[task.dataset]
    base = lake.open(task.dataset, task.base) if task.base and task.compares_schemas else None
    scope = Scope(engine, table, tables, parameters, task.source_rows, task.drift, base)
    return [(position, evaluate(rule, scope)) for position, rule in task.rules]


def evaluate(rule: AnyValidation, scope: Scope) -> CheckOutcome:
    """Judge the dataset by the rule. A rule that cannot be asked here is an `error`, never a pass."""
    try:
        return outcome(rule, scope.table.name, KINDS[rule.check](rule, scope))
    except (InvalidInput, QueryFailed, TransformFailed) as error:
        return not_evaluated(rule, scope.table.name, error.message)
