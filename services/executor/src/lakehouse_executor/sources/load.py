"""Copies whole tables, or ranges of big ones, into new log entries. Runs in worker processes."""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa

from lakehouse_executor.sources.current import CurrentRows, gone
from lakehouse_executor.sources.extract import Action, Desk, LogLake, Moment, PartDone, TableDone, TableTask
from lakehouse_executor.sources.queries import all_keys, everything, scales
from lakehouse_executor.sources.rows import concatenated, read_rows
from lakehouse_executor.sources.types import LEAST_SCALE, WIDEST, declared
from opscore.domain.errors import UnsupportedValue
from opscore.domain.table import WrittenFile
from opscore.ports.source import SourceSession


async def load_table(session: SourceSession, lake: LogLake, moment: Moment, task: TableTask) -> TableDone:
    """Copy a small table whole, in key order, and stage it. Measures decimals once when ten are not enough."""
    try:
        return await _load(session, Desk(lake, moment, task))
    except UnsupportedValue as error:
        wider = await _wider(session, task, error)
        return await _load(session, Desk(lake, moment, task.with_scales(wider)))


async def load_part(session: SourceSession, lake: LogLake, moment: Moment, task: TableTask) -> PartDone:
    """Copy a range of a big table's heap, in the heap's order."""
    desk = Desk(lake, moment, task)
    log = desk.log(task.seq or 0)
    try:
        await read_rows(
            session, everything(task.table, pages=task.pages), desk.parser(), lambda rows: log.add("r", rows)
        )
    except BaseException:
        log.abort()
        raise
    return PartDone(task.name, log.close(), log.next_seq)


async def finish_parts(
    session: SourceSession, lake: LogLake, moment: Moment, task: TableTask, files: tuple[WrittenFile, ...]
) -> TableDone:
    """Stage a big table from its parts' files, with entries for what is gone when the lake had it before."""
    desk = Desk(lake, moment, task)
    if desk.base is None:
        return TableDone(task.name, desk.stage(files), task.seq or 0)
    log = desk.log(task.seq or 0)
    try:
        log.add("d", await gone_keys(session, desk))
        gone_files = log.close()
    except BaseException:
        log.abort()
        raise
    return TableDone(task.name, desk.stage(files + gone_files), log.next_seq)


async def settled(session: SourceSession, lake: LogLake, moment: Moment, task: TableTask) -> TableTask:
    """The task with what all ranges of a table must agree on before they are copied side by side."""
    scales = await measure(session, task) if task.base is None else {}
    return replace(task, scales=scales, seq=after_last(Desk(lake, moment, task)))


async def measure(session: SourceSession, task: TableTask) -> dict[str, int]:
    """Decimals that a table's undeclared numerics need, at least ten."""
    columns = [column for column in task.table.columns if column.base == "numeric" and declared(column) is None]
    if not columns:
        return {}
    row = (await session.fetch(scales(task.table, columns)))[0]
    return {name: min(max(scale or 0, LEAST_SCALE), WIDEST) for name, scale in row.items()}


async def gone_keys(session: SourceSession, desk: Desk) -> pa.Table:
    """Keys in force at the base that the source does not have any more."""
    if desk.base is None:
        return concatenated((), desk.columns)
    parser = desk.key_parser()
    batches: list[pa.RecordBatch] = []
    await read_rows(session, all_keys(desk.task.table), parser, batches.append)
    current = CurrentRows(desk.lake.dataset(desk.base), desk.task.table.lake_key)
    return gone(current.keys(), concatenated(batches, parser.schema), desk.task.table.lake_key)


def after_last(desk: Desk) -> int:
    """The first free sequence number: as the last run left it, else after the log's highest."""
    if desk.task.seq is not None:
        return desk.task.seq
    if desk.base is None:
        return 0
    return CurrentRows(desk.lake.dataset(desk.base), desk.task.table.lake_key).highest_seq() + 1


async def _load(session: SourceSession, desk: Desk) -> TableDone:
    task = desk.task
    batches: list[pa.RecordBatch] = []
    await read_rows(session, everything(task.table), desk.parser(), batches.append)
    rows = concatenated(batches, desk.columns).sort_by([(name, "ascending") for name in task.table.lake_key])
    log = desk.log(after_last(desk))
    try:
        log.add("r", rows)
        if task.action is Action.SNAPSHOT and desk.base is not None:
            log.add("d", await gone_keys(session, desk))
        files = log.close()
    except BaseException:
        log.abort()
        raise
    return TableDone(task.name, desk.stage(files), log.next_seq)


async def _wider(session: SourceSession, task: TableTask, error: UnsupportedValue) -> dict[str, int]:
    """More decimals for a first load, or the error itself when they would not help."""
    if task.base is not None or not error.facts.get("rescaling"):
        raise error
    wider = {name: scale for name, scale in (await measure(session, task)).items() if scale > LEAST_SCALE}
    if not wider:
        raise error
    return wider
