"""Bulk loading into any Postgres database by COPY. The demo's generated ERP fills its source with it.

One `loading` block is one connection and one transaction: leave it by an error and the database is as it was.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import asyncpg

from opscore.domain.errors import SourceRightMissing, SourceUnavailable, StorageFull

REFUSALS = (OSError, asyncpg.PostgresConnectionError, asyncpg.InvalidAuthorizationSpecificationError)
BREAKS = (
    ConnectionError,
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.InternalClientError,  # lost under a COPY
)
TIMEOUT_SECONDS = 30


class Load:
    """Statements and COPY inside the transaction of a `loading` block."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection

    async def execute(self, script: str) -> None:
        """Run one or more statements."""
        await self._connection.execute(script)

    async def copy_csv(self, table: str, columns: Sequence[str], chunks: Iterable[bytes | memoryview]) -> int:
        """Append CSV rows (no header, empty field = null) and return how many."""
        done = await self._connection.copy_to_table(
            table, source=_streamed(chunks), columns=list(columns), format="csv"
        )
        return int(done.rpartition(" ")[2])

    async def fetch(self, query: str, *arguments: Any) -> list[tuple[Any, ...]]:
        """Rows of one query."""
        return [tuple(row) for row in await self._connection.fetch(query, *arguments)]


@asynccontextmanager
async def loading(dsn: str) -> AsyncGenerator[Load]:
    """Connect and open one transaction; commits when the block ends well.

    Raises SourceUnavailable (no connection, or it broke), SourceRightMissing, StorageFull.
    """
    connection = await _connected(dsn)
    try:
        await connection.execute("begin")
        yield Load(connection)
        await connection.execute("commit")
        await connection.close(timeout=TIMEOUT_SECONDS)
    except asyncpg.InsufficientPrivilegeError as refusal:
        role = urlsplit(dsn).username or "of the connection"
        raise SourceRightMissing(
            f"Role {role} may not load into {_masked(dsn)}: {refusal}.",
            hint="Load as the database's owner, or grant the role what is named.",
        ) from refusal
    except asyncpg.DiskFullError as refusal:
        raise StorageFull(where=_masked(dsn)) from refusal
    except (*BREAKS, asyncpg.InterfaceError) as refusal:
        if isinstance(refusal, asyncpg.InterfaceError) and not connection.is_closed():
            raise  # a call of ours that asyncpg refuses, not a break
        raise SourceUnavailable(source=_masked(dsn), reason="the connection broke while loading") from refusal
    finally:
        connection.terminate()  # ends an open transaction too, and waits for nothing, not even a broken COPY


async def _connected(dsn: str) -> asyncpg.Connection:
    try:
        return await asyncpg.connect(dsn, timeout=TIMEOUT_SECONDS)
    except (*REFUSALS, asyncpg.InvalidCatalogNameError, asyncpg.CannotConnectNowError, TimeoutError) as refusal:
        raise SourceUnavailable(source=_masked(dsn), reason=str(refusal) or type(refusal).__name__) from refusal


async def _streamed(chunks: Iterable[bytes | memoryview]) -> AsyncIterator[bytes | memoryview]:
    for chunk in chunks:
        yield chunk


def _masked(dsn: str) -> str:
    parts = urlsplit(dsn)
    return f"{parts.hostname or 'local socket'}:{parts.port or 5432}{parts.path}"
