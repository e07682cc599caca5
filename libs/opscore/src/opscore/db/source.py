"""The source database: sessions that share one exported, read-only snapshot.

The ingest phase opens one exporter and keeps it for as long as anything is read; worker processes join its snapshot by
name. Nothing is ever written to a source, and sessions ask for little: short lock waits, no server-side casts.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from typing import Any
from urllib.parse import urlsplit

import asyncpg

from opscore.db.source_link import SourceLink
from opscore.domain.errors import SourceRefused, SourceRightMissing, SourceUnavailable, TimedOut
from opscore.ports.source import SourceAccess, SourceMoment

CONNECT_SECONDS = 15
STATEMENT_SECONDS = 6 * 3600

SESSION = f"""
set local statement_timeout = '{STATEMENT_SECONDS}s';
set local lock_timeout = '10s';
set local idle_in_transaction_session_timeout = '{STATEMENT_SECONDS}s';
set local timezone = 'UTC';
set local datestyle = 'ISO, YMD';
set local intervalstyle = 'postgres';
set local bytea_output = 'hex';
set local extra_float_digits = 1;
set local row_security = off;
set local search_path = pg_catalog;
"""

# Of any session, also of those that have only read so far: they may write later and stamp rows with their start.
WATERMARK = """
select to_char(coalesce(min(began), clock_timestamp()) at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US') as watermark
  from (select xact_start as began from pg_catalog.pg_stat_activity where pid <> pg_catalog.pg_backend_pid()
        union all
        select prepared from pg_catalog.pg_prepared_xacts) as open_transactions
"""

MOMENT = """
select pg_export_snapshot() as snapshot,
       pg_current_snapshot()::text as visible,
       ((case when pg_is_in_recovery() then pg_last_wal_replay_lsn() else pg_current_wal_lsn() end)
        - '0/0'::pg_lsn)::bigint as lsn,
       transaction_timestamp() as taken_at,
       (select system_identifier::text from pg_control_system()) as system,
       (select oid::bigint from pg_database where datname = current_database()) as database,
       current_setting('server_encoding') as encoding,
       current_user::text as role
"""


UNREACHABLE = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.InsufficientResourcesError,
    asyncpg.OperatorInterventionError,
    asyncpg.LockNotAvailableError,
    asyncpg.ObjectNotInPrerequisiteStateError,  # a snapshot whose exporter has gone
    asyncpg.UndefinedObjectError,  # the same, as newer servers say it
    asyncpg.InvalidParameterValueError,  # the same, as older ones do
)


class PostgresSession:
    """One connection inside a snapshot. Implements `opscore.ports.source.SourceSession`."""

    def __init__(self, connection: asyncpg.Connection, link: SourceLink, source: str, role: str) -> None:
        self._connection = connection
        self._link = link
        self._source = source
        self._role = role

    async def fetch(self, sql: str, *args: Any) -> list[dict[str, Any]]:
        """Rows of a metadata query."""
        with source_errors(self._source, self._role):
            return [dict(row) for row in await self._link.watch(self._connection.fetch(sql, *args))]

    async def copy(self, query: str, sink: Callable[[bytes], Awaitable[None]]) -> None:
        """Stream a query's rows as CSV. The protocol sends a message per row, so each call of sink gets whole rows."""
        with source_errors(self._source, self._role):
            output = self._link.heard(sink)
            await self._link.watch(self._connection.copy_from_query(query, output=output, format="csv"))


@asynccontextmanager
async def export_snapshot(dsn: str) -> AsyncGenerator[tuple[PostgresSession, SourceMoment]]:
    """Open the moment that everything of a run is read from; it lasts until the context ends."""
    source = masked(dsn)
    connection = await _connect(dsn, source)
    try:
        with source_errors(source):
            watermark = await connection.fetchval(WATERMARK)
            await connection.execute("begin isolation level repeatable read read only;" + SESSION)
            moment = SourceMoment(watermark=str(watermark), **dict(await connection.fetchrow(MOMENT) or {}))
            link = SourceLink(connection, lambda: _connect(dsn, source))
            await link.begin()
        yield PostgresSession(connection, link, source, moment.role), moment
    finally:
        connection.terminate()


@asynccontextmanager
async def join_snapshot(access: SourceAccess) -> AsyncGenerator[PostgresSession]:
    """Open one more session inside an exported moment. Raises SourceUnavailable when the moment has ended."""
    source = masked(access.dsn)
    connection = await _connect(access.dsn, source)
    try:
        with source_errors(source):
            await connection.execute("begin isolation level repeatable read read only")
            await connection.execute(f"set transaction snapshot '{_plain(access.snapshot)}'")
            await connection.execute(SESSION)
            role = await connection.fetchval("select current_user::text")
            link = SourceLink(connection, lambda: _connect(access.dsn, source))
            await link.begin()
        yield PostgresSession(connection, link, source, str(role))
    finally:
        connection.terminate()


@contextmanager
def source_errors(source: str, role: str = "") -> Generator[None, None, None]:
    """Turn the driver's errors into ours; messages name the source without its password."""
    try:
        yield
    except asyncpg.InsufficientPrivilegeError as error:
        raise SourceRightMissing(role=role or "of the connection", right="SELECT", object=_object(error)) from error
    except asyncpg.QueryCanceledError as error:
        raise TimedOut(what=f"A read of the source {source}", seconds=STATEMENT_SECONDS) from error
    except (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError) as error:
        raise SourceUnavailable(source=source, reason=f"its tables changed while they were read ({error})") from error
    except UNREACHABLE as error:
        raise SourceUnavailable(source=source, reason=_reason(error)) from error
    except asyncpg.PostgresError as error:
        raise SourceRefused(source=source, reason=_reason(error)) from error


def masked(dsn: str) -> str:
    """Host, port and database of an address: enough to find it, nothing to steal."""
    parts = urlsplit(dsn)
    return f"{parts.hostname or 'localhost'}:{parts.port or 5432}{parts.path}"


async def _connect(dsn: str, source: str) -> asyncpg.Connection:
    with source_errors(source):
        return await asyncpg.connect(
            dsn,
            timeout=CONNECT_SECONDS,
            statement_cache_size=0,
            server_settings={"application_name": "lakehouse ingest"},
        )


def _object(error: asyncpg.PostgresError) -> str:
    """What the server says was refused: `permission denied for table account_move` names it last."""
    found = re.search(r"for (\w+ \S+)$", str(error))
    return found[1] if found else str(error)


def _reason(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0] or type(error).__name__


def _plain(snapshot: str) -> str:
    """A snapshot's name as the server gave it; it stands in a statement that takes no parameters."""
    if not re.fullmatch(r"[0-9A-Fa-f-]+", snapshot):
        raise ValueError(f"{snapshot!r} is not the name of a snapshot")
    return snapshot
