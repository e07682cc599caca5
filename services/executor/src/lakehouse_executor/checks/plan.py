"""Which checks a run must make: those of datasets it touched, and references whose either side it touched."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from lakehouse_executor.checks.scope import Drift
from lakehouse_executor.checks.task import CheckTask
from lakehouse_executor.statements import names_in, tables_spelled_in
from opscore.domain.errors import InvalidInput
from opscore.domain.table import StagedTable
from opscore.domain.validation import AnyValidation, CustomSql, Referential


@dataclass(frozen=True, slots=True)
class Touched:
    """What earlier phases of the run left: staged tables, what their sources counted, what changed at the source."""

    staged: Mapping[str, StagedTable]
    source_rows: Mapping[str, int]
    drift: Mapping[str, tuple[Drift, ...]]

    @classmethod
    def by(cls, results: Iterable[Mapping[str, Any]]) -> Touched:
        """Read phases' checkpoints."""
        staged: dict[str, StagedTable] = {}
        rows: dict[str, int] = {}
        drift: dict[str, list[Drift]] = {}
        for result in results:
            staged |= {table["name"]: StagedTable.from_json(table) for table in result.get("tables", ())}
            counts = result.get("counts", {})
            rows |= {name: count["source_rows"] for name, count in counts.items() if "source_rows" in count}
            for item in result.get("drift", ()):
                if item["column"] is not None:
                    seen = Drift(item["column"], item["change"], item["before"], item["after"])
                    drift.setdefault(item["table"], []).append(seen)
        return cls(staged, rows, {name: tuple(items) for name, items in drift.items()})

    def pointers(self, published: Mapping[str, str]) -> dict[str, str]:
        """The lake as it will be if the run publishes."""
        return {**published, **{name: table.metadata_location for name, table in self.staged.items()}}


def rule_digest(rule: AnyValidation) -> str:
    """What a rule says, in short: a rule that was changed is another rule."""
    return hashlib.sha256(rule.model_dump_json().encode()).hexdigest()


def tasks_of(
    rules: Iterable[AnyValidation], touched: Touched, published: Mapping[str, str], settled: Collection[str] = ()
) -> list[CheckTask]:
    """One task for each dataset that has something to be checked, by name.

    settled: digests of rules that held when the pipeline last published; any other is held against every dataset it
    names, touched or not, so that a rule added today does not wait for tomorrow's data.
    """
    everything = sorted({*published, *touched.staged})
    wanted: dict[str, list[tuple[int, AnyValidation]]] = {}
    for position, rule in enumerate(rules):
        for name in _datasets(rule, touched, everything, new=rule_digest(rule) not in settled):
            wanted.setdefault(name, []).append((position, rule))
    return [_task(name, rules, touched, published) for name, rules in sorted(wanted.items())]


def _datasets(rule: AnyValidation, touched: Touched, everything: list[str], *, new: bool) -> list[str]:
    matching = [name for name in everything if fnmatchcase(name, rule.dataset)]
    if new:
        return matching
    if isinstance(rule, Referential) and rule.references.rpartition(".")[0] in touched.staged:
        return matching
    return [name for name in matching if name in touched.staged]


def _task(
    name: str, rules: list[tuple[int, AnyValidation]], touched: Touched, published: Mapping[str, str]
) -> CheckTask:
    reads = {name}.union(*(_reads(rule) for _, rule in rules))
    return CheckTask(
        dataset=name,
        rules=tuple(rules),
        reads=frozenset(reads),
        base=published.get(name),
        source_rows=touched.source_rows.get(name),
        drift=touched.drift.get(name, ()),
    )


def _reads(rule: AnyValidation) -> frozenset[str]:
    """Tables a rule looks at besides its dataset."""
    if isinstance(rule, Referential):
        return frozenset({rule.references.rpartition(".")[0]})
    if isinstance(rule, CustomSql):
        return _named(rule.sql)
    return frozenset()


def _named(sql: str) -> frozenset[str]:
    try:
        return names_in(sql).tables
    except InvalidInput:
        return tables_spelled_in(sql)
