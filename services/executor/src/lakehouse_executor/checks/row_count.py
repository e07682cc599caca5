"""As many rows in force as the source had at the same snapshot."""

from __future__ import annotations

from decimal import Decimal

from lakehouse_executor.checks.finding import Finding, counted
from lakehouse_executor.checks.scope import Scope
from opscore.domain.errors import InvalidInput
from opscore.domain.validation import RowCount


def row_count(rule: RowCount, scope: Scope) -> Finding:
    """value: rows in force; threshold: rows of the source. Raises InvalidInput when nothing says how many those are."""
    if scope.source_rows is None:
        raise InvalidInput(f"nothing says how many rows {scope.table.name} must have")
    rows = scope.count(f"select count(*) from {scope.rows}")  # noqa: S608 - names are quoted
    off = rows - scope.source_rows
    return Finding(
        passed=abs(Decimal(off)) <= rule.tolerance,
        value=Decimal(rows),
        threshold=Decimal(scope.source_rows),
        message=f"{scope.table.name} has {counted(rows, 'row')}, its source {scope.source_rows:,}{_difference(off)}",
    )


def _difference(off: int) -> str:
    if not off:
        return ""
    return f": {abs(off):,} too many" if off > 0 else f": {abs(off):,} missing"
