"""Brings the source's tables into bronze: one moment of the source, many workers, everything staged.

Called by `run.py` through the registry. Nothing readers see changes here; a run on an unchanged source stages nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from anyio import to_thread

from lakehouse_executor.context import PhaseContext, PhaseResult
from lakehouse_executor.phases.ingest_plan import Counted, Intent, Mode, intend, settle, vanished
from lakehouse_executor.phases.ingest_work import Work
from lakehouse_executor.sources.extract import Moment, TableDone, TableTask
from lakehouse_executor.sources.memory import Memory
from lakehouse_executor.sources.odoo import discover
from lakehouse_executor.sources.queries import probe
from lakehouse_executor.sources.rewritten import refuse_rewritten
from lakehouse_executor.sources.scope import Scope
from lakehouse_executor.sources.tables import SourceTable
from lakehouse_executor.worker_ingest import open_source
from opscore.domain.errors import InvalidParameter
from opscore.ports.source import SourceAccess, SourceMoment, SourceSession

PROBED_AT_ONCE = 40
HASHES = 1 << 64
NAMESPACE = "bronze"


async def ingest(context: PhaseContext) -> PhaseResult:
    """Stage what the source holds, or what has changed in it. Raises the errors of source and lake."""
    mode, group = _mode(context), context.order.params.get("group")
    source = context.spec["sources"][0]
    dsn = context.secret(source["connection"])
    # Pointers before states: if a run publishes in between, publish refuses ours instead of doubling its rows.
    pointers = await to_thread.run_sync(context.lake.published, NAMESPACE)
    states = await context.control.table_states(context.order.lease)
    async with open_source(dsn) as (session, moment):
        tables = await discover(session, Scope.of(source), group)
        intents = [_intent(table, pointers, states, moment, mode) for table in tables]
        counted = await _count(session, intents)
        await _refuse_rewritten(session, tables)
        tasks = [task for intent in intents if (task := settle(intent, counted[intent.table.lake_name]))]
        done = await Work(context, SourceAccess(dsn, moment.snapshot), _stamp(context, moment)).carry_out(tasks)
    gone = [] if group else vanished(tables, states, pointers)
    return _result(moment, intents, counted, tasks, done) | {
        "drift": [drift.as_json() for intent in intents for drift in intent.drift] + [drift.as_json() for drift in gone]
    }


def _mode(context: PhaseContext) -> Mode:
    mode = context.order.params.get("mode") or Mode.INCREMENTAL
    if mode not in set(Mode):
        known = " or ".join(Mode)
        fault = f"{mode!r} is not one of the modes that this release carries out; use {known}"
        raise InvalidParameter(name="mode", pipeline=context.order.pipeline, fault=fault)
    return Mode(mode)


def _intent(
    table: SourceTable, pointers: Mapping[str, str], states: Mapping[str, Any], moment: SourceMoment, mode: Mode
) -> Intent:
    state = states.get(table.lake_name)
    return intend(table, pointers.get(table.lake_name), Memory.from_json(state) if state else None, moment, mode)


async def _count(session: SourceSession, intents: Sequence[Intent]) -> dict[str, Counted]:
    """Count all tables in a few round trips: table -> rows, key hash, rows that may have changed."""
    counted: dict[str, Counted] = {}
    for start in range(0, len(intents), PROBED_AT_ONCE):
        batch = intents[start : start + PROBED_AT_ONCE]
        asked = [(number, intent.table, intent.changed) for number, intent in enumerate(batch)]
        for row in await session.fetch(probe(asked)):
            name = batch[row["number"]].table.lake_name
            counted[name] = Counted(row["rows"], int(row["hash"]) % HASHES, row["changed"])
    return counted


async def _refuse_rewritten(session: SourceSession, tables: Sequence[SourceTable]) -> None:
    """Counting has locked every table against rewrites for as long as the moment lasts; one may have come before."""
    for schema in sorted({table.schema for table in tables}):
        await refuse_rewritten(session, schema, [table.name for table in tables if table.schema == schema])


def _stamp(context: PhaseContext, moment: SourceMoment) -> Moment:
    return Moment(
        run_id=str(context.order.lease.run_id),
        lsn=moment.lsn,
        at=moment.taken_at,
        trusted=moment.encoding != "SQL_ASCII",
    )


def _result(
    moment: SourceMoment,
    intents: Sequence[Intent],
    counted: Mapping[str, Counted],
    tasks: Sequence[TableTask],
    done: Mapping[str, TableDone],
) -> PhaseResult:
    """The phase's checkpoint: what publish stages and remembers, and what the checks compare with."""
    staged = {name: end.staged for name, end in done.items() if end.staged is not None}
    memories = {task.name: _memory(task, moment, done[task.name]) for task in tasks}
    return {
        "tables": [staged[name].as_json() for name in sorted(staged)],
        "states": {name: memory.as_json() for name, memory in sorted(memories.items())},
        "source": {
            "snapshot": moment.visible,
            "lsn": str(moment.lsn),
            "taken_at": moment.taken_at.isoformat(),
            "watermark": moment.watermark,
            "system": moment.system,
            "database": moment.database,
        },
        "counts": {
            name: {"source_rows": count.rows, "rows_added": staged[name].rows_added if name in staged else 0}
            for name, count in sorted(counted.items())
        },
        "keys": {intent.table.lake_name: list(intent.table.lake_key) for intent in intents},
    }


def _memory(task: TableTask, moment: SourceMoment, done: TableDone) -> Memory:
    location = done.staged.metadata_location if done.staged else task.base
    return Memory.of(task.table, moment, task.rows, task.hash, done.next_seq, location=location)
