"""A control plane to talk SQL to, and the smallest verbs a test needs."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import asyncpg

ENVIRONMENT = uuid.UUID("00000000-0000-4000-8000-000000000003")

WAITERS = """
    select exists (
      select from pg_stat_activity where datname = current_database() and cardinality(pg_blocking_pids(pid)) > 0
    )
"""


@dataclass(frozen=True)
class Work:
    """A run under lease, as its holder knows it."""

    run_id: uuid.UUID
    token: uuid.UUID
    attempt: int
    checkpoint: dict[str, Any]


class Plane:
    """One connection to the control plane as its owner."""

    def __init__(self, connection: asyncpg.Connection, dsn: str) -> None:
        self.db = connection
        self.dsn = dsn

    async def executor(self, name: str = "e1", slots: int = 10, capabilities: tuple[str, ...] = ()) -> uuid.UUID:
        return await self.db.fetchval("select ops.register_executor($1, $2, $3, '1')", name, list(capabilities), slots)

    async def pipeline(self, name: str, phases: tuple[str, ...] = ("transform", "publish"), **spec: Any) -> None:
        bundle = {
            "digest": uuid.uuid5(uuid.NAMESPACE_OID, name + repr(spec)).hex * 2,
            "spec": {"name": name} | spec,
            "files": {},
            "phases": list(phases),
        }
        await self.db.fetch("select * from ops.apply_pipeline($1, $2)", ENVIRONMENT, bundle)

    async def enqueue(self, pipeline: str = "query", **rest: Any) -> uuid.UUID:
        offered = [{"environment_id": ENVIRONMENT, "pipeline": pipeline} | rest]
        return await self.db.fetchval("select run_id from ops.enqueue_runs($1)", offered)

    async def claim(self, executor: uuid.UUID, limit: int = 1) -> list[Work]:
        rows = await self.db.fetch("select * from ops.claim_work($1, $2)", executor, limit)
        return [Work(row["run_id"], row["token"], row["attempt"], row["checkpoint"]) for row in rows]

    async def work(self, pipeline: str = "query", **rest: Any) -> Work:
        """Enqueue a run and take it."""
        run = await self.enqueue(pipeline, **rest)
        executor = await self.executor()
        (taken,) = [work for work in await self.claim(executor, 10) if work.run_id == run]
        return taken

    async def beat(self, work: Work, **rest: Any) -> str:
        offered = [{"run_id": work.run_id, "token": work.token} | rest]
        return await self.db.fetchval("select verdict from ops.beat(null, $1)", offered)

    async def finish(self, work: Work, outcome: str = "succeeded", **rest: Any) -> bool:
        offered = [{"run_id": work.run_id, "token": work.token, "outcome": outcome} | rest]
        return await self.db.fetchval("select accepted from ops.finish_runs($1)", offered)

    async def publish(self, work: Work, tables: list[dict[str, Any]], states: dict[str, Any] | None = None) -> str:
        return await self.db.fetchval(
            "select ops.publish_run($1, $2, $3, $4)", work.run_id, work.token, tables, states or {}
        )

    async def rescue(self) -> list[tuple[uuid.UUID, str]]:
        return [tuple(row) for row in await self.db.fetch("select * from ops.requeue_stale_runs()")]

    async def run(self, run_id: uuid.UUID) -> asyncpg.Record:
        return await self.db.fetchrow("select * from ops.runs where id = $1", run_id)

    async def events(self, run_id: uuid.UUID) -> list[str]:
        rows = await self.db.fetch("select type from ops.run_events where run_id = $1 order by run_seq", run_id)
        return [row["type"] for row in rows]

    async def pass_time(self, by: timedelta) -> None:
        """Move the one clock."""
        await self.db.execute("update ops.clock set shift = shift + $1", by)

    async def set_time(self, moment: datetime) -> None:
        """Put the one clock at a moment; it runs on from there."""
        await self.db.execute("update ops.clock set shift = $1 - clock_timestamp()", moment)

    async def bell_rests(self) -> None:
        """It rang long ago, by the clock of the wall: the next ring is heard at once."""
        await self.db.execute("select setval('ops.work_bell_rung', 1)")

    async def forget_looks(self) -> None:
        """Nobody knows whether a run waits, as before the first look; a rollback leaves sequences as they are."""
        await self.db.execute("select setval('ops.work_left', 9), setval('ops.work_none', 1)")

    async def pass_lease(self) -> None:
        await self.pass_time(timedelta(minutes=1))


def staged(name: str, location: str, base: str | None = None, rows: int = 1) -> dict[str, Any]:
    """A staged table as `publish_run` takes it."""
    return {
        "name": name, "base_location": base, "metadata_location": location, "snapshot_id": "9007199254740993",
        "rows_added": rows, "rows": rows, "files": 1, "bytes": 10, "schema_hash": "h",
    }  # fmt: skip


async def somebody_waits(connection: asyncpg.Connection) -> None:
    """Until another session of this database waits for a lock."""
    while not await connection.fetchval(WAITERS):  # noqa: ASYNC110 - another session's state
        await asyncio.sleep(0.01)
