"""The pool of connections to the control plane, with JSON codecs, timeouts and translated errors.

Called by every service's `app.py`. A Database outlives restarts of Postgres: a call during one raises
ControlPlaneUnavailable, a later call finds a new connection.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import orjson

from opscore.db.errors import translated

CONNECT_TIMEOUT_S = 5.0
COMMAND_TIMEOUT_S = 30.0


class Database:
    """Statements against the control plane. Rows are asyncpg records; jsonb arrives as Python values."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        """pool: opened by `open_database`."""
        self._pool = pool

    async def fetch(self, query: str, *args: Any) -> list[asyncpg.Record]:
        """All rows."""
        with translated():
            return await self._pool.fetch(query, *args, timeout=COMMAND_TIMEOUT_S)

    async def fetchrow(self, query: str, *args: Any) -> asyncpg.Record | None:
        """The first row, None without any."""
        with translated():
            return await self._pool.fetchrow(query, *args, timeout=COMMAND_TIMEOUT_S)

    async def fetchval(self, query: str, *args: Any) -> Any:
        """The first column of the first row, None without any."""
        with translated():
            return await self._pool.fetchval(query, *args, timeout=COMMAND_TIMEOUT_S)


@asynccontextmanager
async def open_database(
    dsn: str, *, application: str, min_size: int = 1, max_size: int = 4
) -> AsyncGenerator[Database]:
    """Open a pool and close it at the end. Raises ControlPlaneUnavailable when Postgres does not answer.

    application: shown in pg_stat_activity.
    """
    with translated():
        pool = await asyncpg.create_pool(
            dsn,
            min_size=min_size,
            max_size=max_size,
            timeout=CONNECT_TIMEOUT_S,
            init=set_codecs,
            reset=_leave_as_it_is,
            statement_cache_size=0 if _is_transaction_pooled(dsn) else 100,
            server_settings={"application_name": application, "timezone": "UTC"},
        )
    try:
        yield Database(pool)
    finally:
        pool.terminate()


async def set_codecs(connection: asyncpg.Connection) -> None:
    """Carry json and jsonb as Python values."""
    for kind in ("json", "jsonb"):
        await connection.set_type_codec(kind, schema="pg_catalog", encoder=_encode, decoder=orjson.loads, format="text")


async def _leave_as_it_is(_connection: asyncpg.Connection) -> None:
    """Every call is one statement and leaves nothing in its session: undoing it would be a second trip per call."""


def _encode(value: Any) -> str:
    return orjson.dumps(value, default=str).decode()


def _is_transaction_pooled(dsn: str) -> bool:
    """Supavisor's and pgbouncer's usual transaction ports: named prepared statements do not survive there."""
    return ":6543/" in dsn or ":6432/" in dsn
