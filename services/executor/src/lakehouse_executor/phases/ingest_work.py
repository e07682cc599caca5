"""Carries out the tasks of an ingest: small tables packed together, big ones cut into ranges, all workers busy."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

import anyio
from anyio import to_thread

from lakehouse_executor.context import PhaseContext
from lakehouse_executor.phases.ingest_plan import is_small, parts, units
from lakehouse_executor.sources.extract import Moment, PartDone, TableDone, TableTask
from lakehouse_executor.worker_ingest import prepare, stage_parts, take_part, take_tables
from lakehouse_executor.workforce import in_worker
from opscore.domain.errors import OpsError
from opscore.domain.table import WrittenFile
from opscore.ports.source import SourceAccess

WORK = "the copy of source tables"
THROW_AWAY_SECONDS = 30


class Work:
    """One run's tasks on the way to being done."""

    def __init__(self, context: PhaseContext, access: SourceAccess, moment: Moment) -> None:
        self._context = context
        self._access = access
        self._moment = moment
        self._done: dict[str, TableDone] = {}
        self._loose: dict[str, list[WrittenFile]] = {}  # files of big tables' parts that nothing is staged from yet
        self._total = 0
        self._rows = 0

    async def carry_out(self, tasks: Sequence[TableTask]) -> dict[str, TableDone]:
        """All tasks; the first fault ends the others, and what was staged by then is thrown away."""
        self._total = len(tasks)
        self._report("")
        try:
            async with anyio.create_task_group() as group:
                for task in sorted(tasks, key=lambda task: -task.table.bytes):
                    if not is_small(task):
                        group.start_soon(self._big, task)
                for unit in units(task for task in tasks if is_small(task)):
                    group.start_soon(self._small, unit)
        except BaseExceptionGroup as faults:
            await self._throw_away()
            raise _first(faults) from None
        return self._done

    async def _small(self, unit: tuple[TableTask, ...]) -> None:
        options, workers = self._context.lake_options, self._context.workers
        for done in await in_worker(workers, WORK, take_tables, options, self._access, self._moment, unit):
            self._finished(done, done.staged.rows_added if done.staged else 0)

    async def _big(self, task: TableTask) -> None:
        workers, options = self._context.workers, self._context.lake_options
        task = await in_worker(workers, WORK, prepare, options, self._access, self._moment, task)
        ranges = parts(task, int(workers.total_tokens))
        ended: dict[int, PartDone] = {}

        async def take(part: TableTask) -> None:
            ended[part.part] = await in_worker(workers, WORK, take_part, options, self._access, self._moment, part)
            self._loose.setdefault(task.name, []).extend(ended[part.part].files)
            self._rows += sum(file.rows for file in ended[part.part].files)
            self._report(f"{task.name}: {len(ended)} of {len(ranges)} parts")

        async with anyio.create_task_group() as group:
            for part in ranges:
                group.start_soon(take, part)
        files = tuple(file for _, part in sorted(ended.items()) for file in part.files)
        rest = replace(task, part=len(ranges), seq=ended[len(ranges) - 1].next_seq)
        self._finished(await in_worker(workers, WORK, stage_parts, options, self._access, self._moment, rest, files), 0)

    def _finished(self, done: TableDone, rows: int) -> None:
        self._done[done.name] = done
        self._loose.pop(done.name, None)
        self._rows += rows
        self._report(done.name)

    def _report(self, detail: str) -> None:
        told = {"done": len(self._done), "total": self._total, "unit": "tables", "rows": self._rows, "detail": detail}
        self._context.progress(told)

    async def _throw_away(self) -> None:
        """Best effort: what stays behind is found by the orphan sweep."""
        staged = [done.staged for done in self._done.values() if done.staged is not None]
        with anyio.move_on_after(THROW_AWAY_SECONDS, shield=True), suppress(OpsError):
            await to_thread.run_sync(self._context.lake.discard, staged)
            loose = [file for files in self._loose.values() for file in files]
            await to_thread.run_sync(self._context.lake.discard_files, loose)


def _first(faults: BaseExceptionGroup[BaseException]) -> BaseException:
    fault = faults.exceptions[0]
    return _first(fault) if isinstance(fault, BaseExceptionGroup) else fault
