"""No column changed its type since the last publish; columns that went away are worth a warning."""

from __future__ import annotations

import re
from decimal import Decimal

from lakehouse_executor.checks.finding import Finding, counted
from lakehouse_executor.checks.scope import Drift, Scope
from opscore.domain.validation import Drift as DriftRule

WIDER = {("int", "long"), ("float", "double")}
DECIMAL = re.compile(r"decimal\((\d+), (\d+)\)")
LOST = {"dropped": "is gone", "renamed": "is now called {after}"}  # the lake keeps the column, null from now on


def drift(_: DriftRule, scope: Scope) -> Finding:
    """value: columns that changed type. New and wider ones pass, as Iceberg's promotions have it."""
    changed = _changed(scope)
    lost = [item for item in scope.drift if item.change in LOST]
    told = [f"{item.column}: {item.before} became {item.after}" for item in changed]
    told += [f"{item.column} {LOST[item.change].format(after=item.after)}" for item in lost]
    details = f" ({'; '.join(told[:5])})" if told else ""
    return Finding(
        passed=not changed,
        value=Decimal(len(changed)),
        threshold=Decimal(0),
        message=f"{counted(len(changed), 'column')} of {scope.table.name} changed type{details}",
        noteworthy=bool(lost),
    )


def _changed(scope: Scope) -> list[Drift]:
    if scope.base is None:
        return []
    now = {column.name: column.type for column in scope.table.columns}
    before = {column.name: column.type for column in scope.base.columns}
    kept = [(name, kind) for name, kind in before.items() if name in now]
    return [Drift(name, "retyped", kind, now[name]) for name, kind in kept if not holds(now[name], kind)]


def holds(now: str, before: str) -> bool:
    """Whether every value of one Iceberg type is a value of the other."""
    if now == before or (before, now) in WIDER:
        return True
    narrow, wide = DECIMAL.fullmatch(before), DECIMAL.fullmatch(now)
    return bool(narrow and wide and narrow[2] == wide[2] and int(wide[1]) >= int(narrow[1]))
