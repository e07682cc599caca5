"""Caps as people see and change them. Composed by the CLI's client. Rows are JSON objects, as in `people_rpc`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

from opscore.db.people_rpc import named
from opscore.db.pool import Database
from opscore.domain.errors import NotFound
from opscore.ports.people import Json


class CapsRpc:
    """Ceilings on what runs may use."""

    def __init__(self, database: Database) -> None:
        """database: connected as the control room's role, or the owner's."""
        self._db = database

    async def caps(self, environment: UUID) -> list[Json]:
        """All by name, with what is in use, who holds it, who waits and the raise in force."""
        return [row["item"] for row in await self._db.fetch(named("caps"), environment, None)]

    async def cap(self, environment: UUID, name: str) -> Json:
        """One of them. Raises NotFound."""
        rows = await self._db.fetch(named("caps"), environment, name)
        if not rows:
            raise unknown(name)
        return rows[0]["item"]

    async def set(self, environment: UUID, cap: Json) -> None:
        """Make or replace a cap. Raises InvalidInput and NotFound.

        cap: {name, kind, scope, subject, limit, window_seconds, behaviour, max_waiting, enabled}; limit as exact text.
        """
        await self._db.fetchval("select ops.set_cap($1, $2)", environment, cap)

    async def raise_(
        self, environment: UUID, name: str, *, to: Decimal, length: timedelta, by: str, reason: str
    ) -> None:
        """A higher ceiling for a while. Raises InvalidInput and NotFound."""
        await self._db.fetchval(
            "select ops.raise_cap($1, $2, $3, $4, $5, $6)", environment, name, to, length, by, reason
        )

    async def remove(self, environment: UUID, name: str) -> None:
        """Remove a cap. Raises NotFound, and Conflict for one that a spec names."""
        if not await self._db.fetchval("select ops.remove_cap($1, $2)", environment, name):
            raise unknown(name)

    async def allow(
        self, environment: UUID, pipeline: str, *, labels: Sequence[str], estimate: Mapping[str, str] | None
    ) -> Json:
        """Whether one more run could start now: {"allowed", "reason"}. Raises NotFound and InvalidInput."""
        asked = None if estimate is None else dict(estimate)
        return await self._db.fetchval(
            "select ops.cap_allow($1, $2, $3, $4)", environment, pipeline, list(labels), asked
        )


def unknown(name: str) -> NotFound:
    """The error for a cap that is not there."""
    return NotFound(kind="cap", name=name, hint="`lakehouse cap list` shows what there is.")
