"""The housekeepers' half of the control plane, one method per SQL function. Implements `opscore.ports.housekeeping`."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from opscore.db.pool import Database
from opscore.domain.seal import Head
from opscore.ports.housekeeping import ExpiredArtifact, Sealed


class HousekeepingRpc:
    """The leader's chores. Composed in the dispatcher's `app.py`."""

    def __init__(self, database: Database) -> None:
        """database: connected as a role that may execute the dispatcher's functions."""
        self._db = database

    async def seal_events(self, limit: int) -> Sealed | None:
        """See Housekeeping."""
        row = await self._db.fetchrow("select n, digest, events from ops.seal_events($1)", limit)
        return None if row is None else Sealed(Head(row["n"], row["digest"]), row["events"])

    async def sign_seal(self, head: Head, key_id: str, signature: str) -> bool:
        """See Housekeeping."""
        return await self._db.fetchval("select ops.sign_seal($1, $2, $3, $4)", head.n, head.digest, key_id, signature)

    async def drop_expired_events(self) -> int:
        """See Housekeeping."""
        return await self._db.fetchval("select ops.drop_expired_events()")

    async def prune(self, limit: int) -> int:
        """See Housekeeping."""
        return await self._db.fetchval("select ops.prune($1)", limit)


class TidyingRpc:
    """Files past retention. Composed in the executor's `app.py`."""

    def __init__(self, database: Database) -> None:
        """database: connected as a role that may execute the executor's functions."""
        self._db = database

    async def take_expired_artifacts(self, limit: int) -> list[ExpiredArtifact]:
        """See Tidying."""
        rows = await self._db.fetch("select id, uri from ops.take_expired_artifacts($1)", limit)
        return [ExpiredArtifact(row["id"], row["uri"]) for row in rows]

    async def forget_artifacts(self, artifacts: Sequence[UUID]) -> int:
        """See Tidying."""
        return await self._db.fetchval("select ops.forget_artifacts($1)", list(artifacts))
