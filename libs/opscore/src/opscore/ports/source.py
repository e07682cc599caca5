"""A source database as extraction sees it: one moment, read by several sessions at once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class SourceAccess:
    """What a worker process needs to join a snapshot. snapshot: its exported name."""

    dsn: str = field(repr=False)
    snapshot: str


@dataclass(frozen=True, slots=True)
class SourceMoment:
    """The snapshot that all of a run is taken from.

    snapshot: its exported name. visible: `xmin:xmax:running` as full transaction ids. lsn: write-ahead log position.
    watermark: start of the oldest transaction that was open before the snapshot, naive UTC text; rows stamped from then
    on may still be unseen. system and database: identity of the server's data; xids of another one mean nothing here.
    """

    snapshot: str
    visible: str
    lsn: int
    taken_at: datetime
    watermark: str
    system: str
    database: int
    encoding: str
    role: str

    @property
    def xmin(self) -> int:
        """Every transaction below it had ended."""
        return int(self.visible.split(":")[0])

    @property
    def xmax(self) -> int:
        """No transaction from here on had begun."""
        return int(self.visible.split(":")[1])


class SourceSession(Protocol):
    """One connection inside the moment. Read-only; every error is one of `opscore.domain.errors`."""

    async def fetch(self, sql: str, *args: Any) -> list[dict[str, Any]]:
        """Rows of a metadata query."""
        ...

    async def copy(self, query: str, sink: Callable[[bytes], Awaitable[None]]) -> None:
        """Stream a query's rows as CSV. Each call of sink gets whole rows."""
        ...
