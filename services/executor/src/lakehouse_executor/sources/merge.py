"""Adds what has changed since the last run to a log: rows that are new or differ, and keys that are gone.

Runs in worker processes. Candidates come from the source in key order and are compared batch by batch with the log's
current rows, so that a source that has not changed adds nothing, and memory follows the batch.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from lakehouse_executor.sources.current import CurrentRows
from lakehouse_executor.sources.extract import Action, Desk, LogLake, Moment, TableDone, TableTask
from lakehouse_executor.sources.load import after_last, gone_keys
from lakehouse_executor.sources.queries import changed_rows
from lakehouse_executor.sources.rows import read_rows
from opscore.ports.source import SourceSession

HASH = pa.field("HASH", pa.int64())  # the lake's own names are lower case, so none can be the same
MODULUS = 1 << 64


async def merge_table(session: SourceSession, lake: LogLake, moment: Moment, task: TableTask) -> TableDone:
    """Bring a log up to date. When counts do not add up after a delta, every row is compared instead."""
    done, adds_up = await _merge(session, Desk(lake, moment, task))
    if adds_up:
        return done
    again = replace(task, action=Action.RESYNC, changed=None)
    return (await _merge(session, Desk(lake, moment, again)))[0]


async def _merge(session: SourceSession, desk: Desk) -> tuple[TableDone, bool]:
    task = desk.task
    first = after_last(desk)
    log = desk.log(first)
    try:
        inserts = await _add_changes(session, desk, log)
        removed = 0
        if not inserts.explain(task):
            missing = await gone_keys(session, desk)
            log.add("d", missing)
            removed = missing.num_rows
        adds_up = task.action is not Action.DELTA or inserts.count_explains(task, removed)
        files = log.close() if adds_up else ()
        if not adds_up:
            log.abort()
    except BaseException:
        log.abort()
        raise
    staged = desk.stage(files) if adds_up and (files or task.reshaped) else None
    return TableDone(task.name, staged, log.next_seq if files else first), adds_up


class _Inserts:
    """Count and key hash of rows whose key the log did not have."""

    def __init__(self) -> None:
        self.rows = 0
        self.hash = 0

    def add(self, hashes: pa.Array[Any]) -> None:
        self.rows += len(hashes)
        self.hash = (
            self.hash + int(hashes.to_numpy(zero_copy_only=False).view(np.uint64).sum(dtype=np.uint64))
        ) % MODULUS

    def explain(self, task: TableTask) -> bool:
        """Whether they alone lead from the last run's keys to this moment's: nothing can be gone then."""
        if task.before_rows is None or task.before_hash is None:
            return False
        return self.rows + task.before_rows == task.rows and (self.hash + task.before_hash) % MODULUS == task.hash

    def count_explains(self, task: TableTask, removed: int) -> bool:
        """Whether the number of rows adds up once the gone ones are taken off."""
        return task.before_rows is None or task.before_rows + self.rows - removed == task.rows


async def _add_changes(session: SourceSession, desk: Desk, log: Any) -> _Inserts:
    base = desk.base
    if base is None:
        raise ValueError(f"{desk.task.name} has no base to compare with")
    current = CurrentRows(desk.lake.dataset(base), desk.task.table.lake_key)
    inserts = _Inserts()

    def take(batch: pa.RecordBatch) -> None:
        differing, new = current.differing(
            pa.Table.from_batches([batch.drop_columns([HASH.name])]), batch.column(HASH.name)
        )
        inserts.add(new)
        log.add("u", differing)

    condition = desk.task.changed if desk.task.action is Action.DELTA else None
    await read_rows(session, changed_rows(desk.task.table, condition), desk.parser(HASH), take)
    return inserts
