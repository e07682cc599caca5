"""Within each group, debit equals credit: journal entries that balance."""

from __future__ import annotations

from decimal import Decimal

from lakehouse_executor.checks.finding import Finding, counted, within
from lakehouse_executor.checks.scope import SAMPLES, Scope, key_text
from opscore.domain.spec_value import plain
from opscore.domain.validation import BalancedEntries


def balanced_entries(rule: BalancedEntries, scope: Scope) -> Finding:
    """value: groups that are off by more than the tolerance; sums are exact decimals."""
    group, debit, credit = (scope.require(name) for name in (rule.group_by, rule.debit, rule.credit))
    off = f"coalesce(sum({debit}), 0) - coalesce(sum({credit}), 0)"
    condition = f"where {rule.where}" if rule.where else ""
    groups = f"select {group} as g, {off} as off from {scope.rows} as t {condition} group by {group}"  # noqa: S608 - names are quoted
    unbalanced = f"abs(off) > {plain(rule.tolerance)}"
    total, bad = scope.ask(f"select count(*), count(*) filter (where {unbalanced}) from ({groups})")  # noqa: S608 - as above
    passed = within(bad, Decimal(0))
    worst = [] if passed else _worst(scope, groups, unbalanced)
    verb = "does" if bad == 1 else "do"
    return Finding(
        passed=passed,
        value=Decimal(bad),
        threshold=Decimal(0),
        message=(
            f"{bad:,} of {counted(total, 'entry', 'entries')} of {scope.table.name} by {rule.group_by} "
            f"{verb} not balance{_first(rule, worst)}"
        ),
        sample_keys=tuple(key_text((rule.group_by,), (key,)) for key, _ in worst),
    )


def _worst(scope: Scope, groups: str, unbalanced: str) -> list[tuple[object, Decimal]]:
    query = f"select g, off from ({groups}) where {unbalanced} order by g nulls last limit {SAMPLES}"  # noqa: S608 - names are quoted
    return [(key, off) for key, off in scope.engine.rows(query)]


def _first(rule: BalancedEntries, worst: list[tuple[object, Decimal]]) -> str:
    if not worst:
        return ""
    key, off = worst[0]
    return f" (first: {rule.group_by} {key}, off by {plain(Decimal(off))})"
