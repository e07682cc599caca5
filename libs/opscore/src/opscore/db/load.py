"""Bulk loading into any Postgres database by COPY. The demo's generated ERP fills its source with it.

One `loading` block is one connection and one transaction: leave it by an error and the database is as it was.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import asyncpg

from opscore.domain.errors import SourceUnavailable

REFUSALS = (OSError, asyncpg.PostgresConnectionError, asyncpg.InvalidAuthorizationSpecificationError)
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
    """Connect and open one transaction; commits when the block ends well. Raises SourceUnavailable."""
    try:
        connection = await asyncpg.connect(dsn, timeout=TIMEOUT_SECONDS)
    except (*REFUSALS, asyncpg.InvalidCatalogNameError, TimeoutError) as refusal:
        raise SourceUnavailable(source=_masked(dsn), reason=str(refusal) or type(refusal).__name__) from refusal
    try:
        async with connection.transaction():
            yield Load(connection)
    finally:
        await connection.close()


async def _streamed(chunks: Iterable[bytes | memoryview]) -> AsyncIterator[bytes | memoryview]:
    for chunk in chunks:
        yield chunk


def _masked(dsn: str) -> str:
    parts = urlsplit(dsn)
    return f"{parts.hostname or 'local socket'}:{parts.port or 5432}{parts.path}"
