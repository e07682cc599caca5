"""Decides per table how it is brought up to date, and cuts the work into pieces that keep all workers busy. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from lakehouse_executor.sources.drift import Drift, drifts
from lakehouse_executor.sources.extract import PART_SEQS, Action, TableTask
from lakehouse_executor.sources.memory import Memory, columns_of
from lakehouse_executor.sources.queries import changed_since
from lakehouse_executor.sources.tables import SourceTable
from opscore.ports.source import SourceMoment

SMALL_BYTES = 32 << 20  # a table up to here is held in memory whole, to be written in key order
UNIT_BYTES = 32 << 20
UNIT_TABLES = 24
PART_BYTES = 64 << 20
PARTS_PER_WORKER = 3


class Mode(StrEnum):
    """The `mode` parameter."""

    INCREMENTAL = "incremental"
    SNAPSHOT = "snapshot"


@dataclass(frozen=True, slots=True)
class Intent:
    """What is meant to happen to one table, before its rows were counted."""

    table: SourceTable
    action: Action
    base: str | None
    memory: Memory | None
    changed: str | None
    drift: tuple[Drift, ...] = ()


@dataclass(frozen=True, slots=True)
class Counted:
    """A table at the moment: its rows, key hash (modulo 2^64), and rows that may have changed."""

    rows: int
    hash: int
    changed: int


def intend(table: SourceTable, base: str | None, memory: Memory | None, moment: SourceMoment, mode: Mode) -> Intent:
    """Choose the action. Raises SchemaDrift."""
    found = tuple(drifts(table, memory.columns)) if memory and base else ()
    action = _action(table, base, memory, moment, mode)
    changed = changed_since(table, memory.xmin, memory.watermark) if memory and action is Action.DELTA else None
    return Intent(table, action, base, memory, changed, found)


def settle(intent: Intent, counted: Counted) -> TableTask | None:
    """The table's task, or None when nothing can have changed."""
    memory = intent.memory
    same_keys = memory is not None and (memory.rows, memory.hash) == (counted.rows, counted.hash)
    if intent.action is Action.DELTA and same_keys and not counted.changed:
        return None
    return TableTask(
        table=intent.table,
        action=intent.action,
        base=intent.base,
        rows=counted.rows,
        hash=counted.hash,
        before_rows=memory.rows if memory and intent.action is Action.DELTA else None,
        before_hash=memory.hash if memory and intent.action is Action.DELTA else None,
        changed=intent.changed,
        seq=_first_seq(intent),
        reshaped=bool(intent.drift),
    )


def is_small(task: TableTask) -> bool:
    """Whether one worker takes the table whole: comparing streams anyway, copying only while the table fits."""
    compares = task.action in {Action.DELTA, Action.RESYNC}
    return compares or task.table.bytes <= SMALL_BYTES


def units(tasks: Iterable[TableTask]) -> list[tuple[TableTask, ...]]:
    """Small tables packed for one trip to a worker each, the largest first."""
    packed: list[tuple[TableTask, ...]] = []
    unit: list[TableTask] = []
    for task in sorted(tasks, key=lambda task: (-task.table.bytes, task.name)):
        size = sum(other.table.bytes for other in unit) + task.table.bytes
        if unit and (len(unit) == UNIT_TABLES or size > UNIT_BYTES):
            packed.append(tuple(unit))
            unit = []
        unit.append(task)
    return [*packed, tuple(unit)] if unit else packed


def parts(task: TableTask, workers: int) -> list[TableTask]:
    """Ranges of a big table's heap, each with sequence numbers of its own; a partitioned table stays whole."""
    first = task.seq or 0
    if task.table.partitioned:
        return [replace(task, seq=first)]
    count = max(1, min(workers * PARTS_PER_WORKER, task.table.bytes // PART_BYTES, task.table.pages))
    step = max(1, math.ceil(task.table.pages / count))
    starts = range(0, max(task.table.pages, 1), step)
    return [
        replace(
            task,
            part=number,
            pages=(start, start + step if start != starts[-1] else None),  # the last one takes what was added meanwhile
            seq=first + number * PART_SEQS,
        )
        for number, start in enumerate(starts)
    ]


def vanished(tables: Sequence[SourceTable], states: Mapping[str, object], pointers: Mapping[str, str]) -> list[Drift]:
    """Tables that an earlier run took and the source no longer has in scope; the lake keeps them as they are."""
    here = {table.lake_name for table in tables}
    return [Drift(name, None, "gone") for name in sorted(states) if name not in here and name in pointers]


def _action(table: SourceTable, base: str | None, memory: Memory | None, moment: SourceMoment, mode: Mode) -> Action:
    if base is None:
        return Action.LOAD
    if mode is Mode.SNAPSHOT:
        return Action.SNAPSHOT
    if memory is None or memory.location != base or not memory.reaches(moment) or memory.columns != columns_of(table):
        return Action.RESYNC  # a column added with a default changes rows without touching them
    return Action.DELTA


def _first_seq(intent: Intent) -> int | None:
    if intent.memory is not None and intent.memory.location == intent.base:
        return intent.memory.next_seq
    return 0 if intent.base is None else None
