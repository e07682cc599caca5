"""Schedules, deadlines and triggers as people see them: reads over schema api, actions over functions of schema ops.

Composed by the CLI's client. Rows are JSON objects, as in `people_rpc`.
"""

from __future__ import annotations

from uuid import UUID

from opscore.db.people_rpc import named
from opscore.db.pool import Database
from opscore.domain.errors import NotFound
from opscore.ports.people import Json


class SchedulesRpc:
    """What starts runs without a person."""

    def __init__(self, database: Database) -> None:
        """database: connected as the control room's role, or the owner's."""
        self._db = database

    async def schedules(self, environment: UUID) -> list[Json]:
        """Schedules and deadlines, by pipeline and name."""
        return [row["item"] for row in await self._db.fetch(named("schedules"), environment, None, None)]

    async def schedule(self, environment: UUID, pipeline: str, name: str) -> Json:
        """One of them. Raises NotFound."""
        rows = await self._db.fetch(named("schedules"), environment, pipeline, name)
        if not rows:
            hint = "`lakehouse schedule list` shows what there is."
            raise NotFound(kind="schedule", name=f"{pipeline}/{name}", hint=hint)
        return rows[0]["item"]

    async def pause(self, environment: UUID, pipeline: str, name: str, *, by: str, reason: str) -> None:
        """No ticks until it is resumed. Raises NotFound."""
        await self._db.fetchval(
            "select ops.pause_schedule($1, $2, $3, $4, $5)", environment, pipeline, name, by, reason
        )

    async def resume(self, environment: UUID, pipeline: str, name: str) -> None:
        """Ticks again from now on. Raises NotFound."""
        await self._db.fetchval("select ops.resume_schedule($1, $2, $3)", environment, pipeline, name)

    async def triggers(self, environment: UUID) -> list[Json]:
        """Triggers, by pipeline and name; never a token."""
        return [row["item"] for row in await self._db.fetch(named("triggers"), environment)]

    async def set_trigger_token(self, environment: UUID, pipeline: str, name: str, *, sha256: str, by: str) -> None:
        """Give a webhook trigger another secret, by its digest in hex. Raises NotFound."""
        await self._db.fetchval(
            "select ops.set_trigger_token($1, $2, $3, $4, $5)", environment, pipeline, name, sha256, by
        )

    async def fire_webhook(self, token: str, params: Json, *, idempotency_key: str | None) -> tuple[UUID, bool]:
        """Start what the token stands for: the run, and whether it is new.

        Raises NotAllowed, InvalidInput, Conflict, IdempotencyConflict.
        """
        row = await self._db.fetchrow(
            "select run_id, created from ops.fire_webhook_trigger($1, $2, $3)", token, params, idempotency_key
        )
        assert row is not None  # noqa: S101 - the function answers one row or raises
        return row["run_id"], row["created"]
