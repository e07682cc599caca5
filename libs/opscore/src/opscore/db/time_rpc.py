"""The keeper of time's part of the control plane, one method per SQL function. Composed by the dispatcher."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import asyncpg

from opscore.db.pool import Database
from opscore.domain.ticks import CatchUp, CatchUpRule, Rhythm
from opscore.ports.timekeeping import OwedSchedule, TimeDue


class TimeRpc:
    """Timekeeping over SQL functions of schema ops."""

    def __init__(self, database: Database) -> None:
        """database: connected as a role that may execute the dispatcher's functions."""
        self._db = database

    async def time_due(self) -> TimeDue:
        """See Timekeeping."""
        row = await self._db.fetchrow("select schedules, events, backfills, next_in_ms from ops.time_due()")
        assert row is not None  # noqa: S101 - the function answers one row
        return TimeDue(*row)

    async def due_schedules(self, limit: int) -> list[OwedSchedule]:
        """See Timekeeping."""
        return [_owed(row) for row in await self._db.fetch("select * from ops.due_schedules($1)", limit)]

    async def fire_ticks(
        self, schedule: OwedSchedule, ticks: Sequence[datetime], until: datetime, following: datetime | None
    ) -> int | None:
        """See Timekeeping."""
        return await self._db.fetchval(
            "select ops.fire_ticks($1, $2, $3, $4, $5)",
            *(schedule.id, schedule.version, list(ticks), until, following),
        )

    async def block_schedule(self, schedule: OwedSchedule, fault: str) -> None:
        """See Timekeeping."""
        await self._db.fetchval("select ops.block_schedule($1, $2, $3)", schedule.id, schedule.version, fault)

    async def fire_event_triggers(self, limit: int) -> tuple[int, int]:
        """See Timekeeping."""
        row = await self._db.fetchrow("select read, started from ops.fire_event_triggers($1)", limit)
        return (0, 0) if row is None else (row["read"], row["started"])

    async def advance_backfills(self, limit: int) -> int:
        """See Timekeeping."""
        return await self._db.fetchval("select ops.advance_backfills($1)", limit)


def _owed(row: asyncpg.Record) -> OwedSchedule:
    return OwedSchedule(
        id=row["id"],
        pipeline=row["pipeline"],
        name=row["name"],
        rhythm=Rhythm(row["cron"], row["every_seconds"], row["timezone"]),
        rule=CatchUpRule(CatchUp(row["catch_up"]), row["catch_up_runs"], timedelta(seconds=row["catch_up_seconds"])),
        ticked_until=row["ticked_until"],
        version=row["version"],
        now=row["now"],
    )
