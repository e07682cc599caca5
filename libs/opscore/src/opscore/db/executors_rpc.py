"""Executors as people see and drain them. Composed by the CLI's client. Rows are JSON objects, as in `people_rpc`."""

from __future__ import annotations

from opscore.db.people_rpc import named
from opscore.db.pool import Database
from opscore.domain.errors import NotFound
from opscore.ports.people import Json


class ExecutorsRpc:
    """Processes that carry out runs."""

    def __init__(self, database: Database) -> None:
        """database: connected as the control room's role, or the owner's."""
        self._db = database

    async def executors(self) -> list[Json]:
        """All, those seen last first: how each is, what it offers, the runs it holds."""
        return [row["item"] for row in await self._db.fetch(named("executors"), None)]

    async def executor(self, name: str) -> Json:
        """One of them. Raises NotFound."""
        rows = await self._db.fetch(named("executors"), name)
        if not rows:
            raise NotFound(kind="executor", name=name, hint="`lakehouse executor list --all` shows what there is.")
        return rows[0]["item"]

    async def drain(self, name: str, *, by: str, reason: str | None) -> None:
        """Let it keep what it has and give it nothing new. Raises NotFound."""
        await self._db.fetchval("select ops.drain_executor($1, $2, $3)", name, by, reason)

    async def undrain(self, name: str) -> None:
        """Give it work again. Raises NotFound."""
        await self._db.fetchval("select ops.undrain_executor($1)", name)
