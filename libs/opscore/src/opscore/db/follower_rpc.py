"""Reading the event log behind a durable cursor. Shared by the scorer's and the notifier's RPC."""

from __future__ import annotations

import asyncpg

from opscore.db.pool import Database
from opscore.domain.event import Position, RunEvent
from opscore.ports.event_log import EventBatch, FollowedEvent


class FollowerRpc:
    """EventLog over `ops.read_events`."""

    def __init__(self, database: Database) -> None:
        """database: connected as a role that may read the log."""
        self._db = database

    async def read_events(self, consumer: str, limit: int) -> EventBatch | None:
        """See EventLog."""
        rows = await self._db.fetch("select * from ops.read_events($1, $2)", consumer, limit)
        if not rows:
            return None
        first, last = rows[0], rows[-1]
        return EventBatch(
            start=Position(int(first["from_xid"]), first["from_seq"]),
            end=Position(int(last["xid"]), last["seq"]),
            events=tuple(_followed(row) for row in rows),
        )


def cursor_arguments(consumer: str, batch: EventBatch) -> tuple[str, str, int, str, int]:
    """The first five arguments of every record function: the move from where the batch was read to its end."""
    return consumer, str(batch.start.xid), batch.start.seq, str(batch.end.xid), batch.end.seq


def _followed(row: asyncpg.Record) -> FollowedEvent:
    event = RunEvent(row["seq"], row["run_id"], row["run_seq"], row["type"], row["at"], row["attempt"], row["data"])
    return FollowedEvent(event, row["environment_id"], row["pipeline"])
