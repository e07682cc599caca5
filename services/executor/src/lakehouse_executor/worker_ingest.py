"""What the ingest phase runs inside worker processes, and how it opens a source.

A composition root: source and lake meet here.

Every function of a worker takes and returns plain picklable values and is called through `workforce`. A process keeps
its lake between calls and opens one connection to the source for each call.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, suppress
from typing import TypeVar

import pyarrow as pa

from lakehouse_executor.sources.extract import Action, Moment, PartDone, TableDone, TableTask
from lakehouse_executor.sources.load import finish_parts, load_part, load_table, settled
from lakehouse_executor.sources.merge import merge_table
from opscore.db.source import export_snapshot, join_snapshot
from opscore.domain.errors import OpsError
from opscore.domain.table import WrittenFile
from opscore.lake.catalog import LakeCatalog, lake_for
from opscore.lake.options import LakeOptions
from opscore.ports.source import SourceAccess, SourceMoment, SourceSession

Result = TypeVar("Result")


def open_source(dsn: str) -> AbstractAsyncContextManager[tuple[SourceSession, SourceMoment]]:
    """The coordinator's session, which holds the moment that workers join."""
    return export_snapshot(dsn)


def take_tables(
    options: LakeOptions, access: SourceAccess, moment: Moment, tasks: tuple[TableTask, ...]
) -> list[TableDone]:
    """Bring whole tables up to date and stage them."""
    lake = _lake(options, tasks)

    async def work(session: SourceSession) -> list[TableDone]:
        done: list[TableDone] = []
        try:
            for task in tasks:
                done += [await _take(session, lake, moment, task)]  # one by one: a fault throws away what is done
        except BaseException:
            with suppress(OpsError):
                lake.discard(table.staged for table in done if table.staged is not None)
            raise
        return done

    return _in_moment(access, work)


def take_part(options: LakeOptions, access: SourceAccess, moment: Moment, task: TableTask) -> PartDone:
    """Copy one range of a big table."""
    lake = _lake(options, (task,))
    return _in_moment(access, lambda session: load_part(session, lake, moment, task))


def stage_parts(
    options: LakeOptions, access: SourceAccess, moment: Moment, task: TableTask, files: tuple[WrittenFile, ...]
) -> TableDone:
    """Stage a big table once all its ranges are copied."""
    lake = _lake(options, (task,))
    return _in_moment(access, lambda session: finish_parts(session, lake, moment, task, files))


def prepare(options: LakeOptions, access: SourceAccess, moment: Moment, task: TableTask) -> TableTask:
    """A big table's task with what all its ranges must agree on: decimals, and where sequence numbers go on."""
    lake = _lake(options, (task,))
    return _in_moment(access, lambda session: settled(session, lake, moment, task))


def _take(session: SourceSession, lake: LakeCatalog, moment: Moment, task: TableTask) -> Awaitable[TableDone]:
    whole = task.action in {Action.LOAD, Action.SNAPSHOT}
    return load_table(session, lake, moment, task) if whole else merge_table(session, lake, moment, task)


def _lake(options: LakeOptions, tasks: tuple[TableTask, ...]) -> LakeCatalog:
    return lake_for(options).at({task.name: task.base for task in tasks if task.base})


def _in_moment(access: SourceAccess, work: Callable[[SourceSession], Awaitable[Result]]) -> Result:
    async def run() -> Result:
        async with join_snapshot(access) as session:
            return await work(session)

    try:
        return asyncio.run(run())
    finally:
        pa.default_memory_pool().release_unused()  # the process stays warm for the next call, its memory need not
