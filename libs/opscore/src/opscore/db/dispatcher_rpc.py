"""The dispatcher's half of the control plane, one method per SQL function. Composed in the dispatcher's `app.py`."""

from __future__ import annotations

from uuid import UUID

from opscore.db.pool import Database


class DispatcherRpc:
    """Dispatching over SQL functions of schema ops."""

    def __init__(self, database: Database) -> None:
        """database: connected as a role that may execute the dispatcher's functions."""
        self._db = database

    async def lease_runs(self, limit: int) -> list[tuple[UUID, UUID]]:
        """See Dispatching."""
        rows = await self._db.fetch("select * from ops.lease_runs($1)", limit)
        return [(row["run_id"], row["executor_id"]) for row in rows]

    async def release_runs(self, limit: int) -> int:
        """See Dispatching."""
        return await self._db.fetchval("select ops.release_runs($1)", limit)

    async def requeue_stale_runs(self, limit: int) -> list[tuple[UUID, str]]:
        """See Dispatching."""
        rows = await self._db.fetch("select * from ops.requeue_stale_runs($1)", limit)
        return [(row["run_id"], row["state"]) for row in rows]

    async def take_leadership(self, role: str, holder: UUID, ttl_ms: int) -> int | None:
        """See Dispatching."""
        return await self._db.fetchval("select ops.take_leadership($1, $2, $3)", role, holder, ttl_ms)

    async def release_leadership(self, role: str, holder: UUID) -> None:
        """See Dispatching."""
        await self._db.fetchval("select ops.release_leadership($1, $2)", role, holder)

    async def next_due_in_ms(self) -> int:
        """See Dispatching."""
        return await self._db.fetchval("select least(ops.next_due_in_ms(), ops.next_look_in_ms())")

    async def ensure_event_partitions(self) -> int:
        """See Dispatching."""
        return await self._db.fetchval("select ops.ensure_event_partitions()")
