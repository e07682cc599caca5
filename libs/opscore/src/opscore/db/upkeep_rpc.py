"""What people do and ask for the upkeep of the control plane. Composed by the CLI's client."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from opscore.db.people_rpc import named
from opscore.db.pool import Database
from opscore.ports.people import Json


class UpkeepRpc:
    """The switch, and what `doctor` and `status` ask."""

    def __init__(self, database: Database) -> None:
        """database: connected as the control room's role, or the owner's."""
        self._db = database

    async def pause(self, *, by: str, reason: str) -> str:
        """Stop new leases everywhere; since when they are stopped, ISO 8601. Raises InvalidInput."""
        since: datetime = await self._db.fetchval("select ops.pause($1, $2)", by, reason)
        return since.isoformat()

    async def resume(self) -> bool:
        """Let work start again; False when nothing was paused."""
        return await self._db.fetchval("select ops.resume()")

    async def paused(self) -> Json | None:
        """{"by", "reason", "since"}, None when nothing is paused."""
        return await self._db.fetchval(named("paused"))

    async def upkeep(self) -> dict[str, Any]:
        """What `doctor` judges: dead rows, stuck leases, partitions, seals, followers, and the server's clock."""
        return await self._db.fetchval(named("upkeep"))
