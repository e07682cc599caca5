"""No column changed its type since the last publish."""

from __future__ import annotations

import re
from decimal import Decimal

from lakehouse_executor.checks.finding import Finding, counted, within
from lakehouse_executor.checks.scope import Drift, Scope
from opscore.domain.validation import Drift as DriftRule

WIDER = {("int", "long"), ("float", "double")}
DECIMAL = re.compile(r"decimal\((\d+), (\d+)\)")


def drift(_: DriftRule, scope: Scope) -> Finding:
    """value: columns that changed. New columns and wider ones pass, as Iceberg's promotions have it."""
    changed = (*scope.drift, *_against_base(scope))
    listed = "; ".join(f"{item.column}: {item.before} became {item.after}" for item in changed[:5])
    return Finding(
        passed=within(len(changed), Decimal(0)),
        value=Decimal(len(changed)),
        threshold=Decimal(0),
        message=f"{counted(len(changed), 'column')} of {scope.table.name} changed type"
        + (f" ({listed})" if listed else ""),
    )


def _against_base(scope: Scope) -> tuple[Drift, ...]:
    if scope.base is None:
        return ()
    now = {column.name: column.type for column in scope.table.columns}
    before = {column.name: column.type for column in scope.base.columns}
    return tuple(
        Drift(name, kind, now[name]) for name, kind in before.items() if name in now and not _holds(now[name], kind)
    )


def _holds(now: str, before: str) -> bool:
    if now == before or (before, now) in WIDER:
        return True
    narrow, wide = DECIMAL.fullmatch(before), DECIMAL.fullmatch(now)
    return bool(narrow and wide and narrow[2] == wide[2] and int(wide[1]) >= int(narrow[1]))
