"""Backfills as people see them: reads over schema api, actions over functions of schema ops.

Composed by the CLI's client. Rows and requests are JSON objects; a request is as `ops.plan_backfill` takes it.
"""

from __future__ import annotations

from uuid import UUID

from opscore.db.people_rpc import named
from opscore.db.pool import Database
from opscore.domain.errors import NotFound
from opscore.ports.people import Json


class BackfillsRpc:
    """Ranges of time, worked through in partitions."""

    def __init__(self, database: Database) -> None:
        """database: connected as the control room's role, or the owner's."""
        self._db = database

    async def plan(self, environment: UUID, request: Json) -> Json:
        """What a backfill would do and use; nothing is kept. Raises NotFound and InvalidInput."""
        return await self._db.fetchval("select ops.plan_backfill($1, $2)", environment, request)

    async def create(self, environment: UUID, request: Json, *, by: str) -> UUID:
        """Make a backfill; the dispatcher works through it. Raises NotFound and InvalidInput."""
        return await self._db.fetchval("select ops.create_backfill($1, $2, $3)", environment, request, by)

    async def change(self, backfill: UUID, to: str, *, by: str, reason: str | None) -> str:
        """Pause (`paused`), resume (`running`) or cancel (`canceled`). Raises NotFound and Conflict."""
        return await self._db.fetchval("select ops.change_backfill($1, $2, $3, $4)", backfill, to, by, reason)

    async def backfills(self, environment: UUID, *, state: str | None, limit: int) -> list[Json]:
        """Newest first, with how far each has come."""
        return [row["item"] for row in await self._db.fetch(named("backfills"), environment, None, state, limit)]

    async def backfill(self, environment: UUID, backfill: UUID) -> Json:
        """One of them. Raises NotFound."""
        rows = await self._db.fetch(named("backfills"), environment, backfill, None, 1)
        if not rows:
            hint = "`lakehouse backfill list` shows what there is."
            raise NotFound(kind="backfill", name=str(backfill), hint=hint)
        return rows[0]["item"]

    async def partitions(self, backfill: UUID) -> list[Json]:
        """Its partitions in order."""
        return [row["item"] for row in await self._db.fetch(named("backfill_partitions"), backfill)]
