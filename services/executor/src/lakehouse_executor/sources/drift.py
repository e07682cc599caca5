"""What became of a table's columns since the last run. Added, dropped, renamed and widened ones are taken.

Nothing is ever renamed in the lake: the new name is a new column, the old one stays and is null from now on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from lakehouse_executor.sources.memory import columns_of
from lakehouse_executor.sources.tables import SourceTable
from lakehouse_executor.sources.types import same_kind
from opscore.domain.errors import SchemaDrift


@dataclass(frozen=True, slots=True)
class Drift:
    """One difference. change: added, dropped, renamed (after holds the new name), retyped or gone (the whole table)."""

    table: str
    column: str | None
    change: str
    before: str | None = None
    after: str | None = None

    def as_json(self) -> dict[str, Any]:
        """The shape that the phase's result carries."""
        return asdict(self)


def drifts(table: SourceTable, before: Mapping[str, tuple[int, str, str]]) -> list[Drift]:
    """Differences from the columns remembered. Raises SchemaDrift for a type that the lake cannot widen to."""
    now = columns_of(table)
    names = {number: name for name, (number, _, _) in now.items()}
    found: list[Drift] = []
    renamed: set[str] = set()
    for name, (number, kind, base) in before.items():
        if name in now:
            found += _retyped(table, name, (kind, base), now[name])
        elif number in names:
            renamed.add(names[number])
            found.append(Drift(table.lake_name, name, "renamed", name, names[number]))
        else:
            found.append(Drift(table.lake_name, name, "dropped", kind))
    added = [name for name in now if name not in before and name not in renamed]
    return found + [Drift(table.lake_name, name, "added", after=now[name][1]) for name in added]


def _retyped(table: SourceTable, name: str, before: tuple[str, str], now: tuple[int, str, str]) -> list[Drift]:
    kind, base = before
    _, kind_now, base_now = now
    if kind == kind_now:
        return []
    if not same_kind(base, base_now):
        raise SchemaDrift(column=name, table=table.name, before=kind, after=kind_now)
    return [Drift(table.lake_name, name, "retyped", kind, kind_now)]
