"""The Postgres that the demo's source lives in: the stack's own, started ahead of it, or one that is given.

The executor must know its source's address before it starts, and that address holds the port of a Postgres that is not
there yet. So the demo starts the stack's Postgres first; the bring-up finds it running and adopts it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio

from lakehouse.embedded import binaries, lock
from lakehouse.embedded.binaries import Binaries
from lakehouse.embedded.credentials import Credentials
from lakehouse.embedded.postgres import EmbeddedPostgres
from lakehouse.embedded.settings import StackSettings
from lakehouse.embedded.source import READER, reader_url
from opscore.db import admin
from opscore.db.load import loading
from opscore.domain.errors import Conflict

# The source is read as a stranger would read a customer's Odoo: everything may be seen, nothing changed.
MAKE_READER = """
do $$
begin
  if not exists (select from pg_catalog.pg_roles where rolname = 'odoo_reader') then
    create role odoo_reader nologin;
  end if;
end
$$;
grant pg_read_all_data, pg_monitor to odoo_reader;
"""


@dataclass(frozen=True, slots=True)
class SourceServer:
    """A server where databases may be made. dsn: its owner's, to any database of it."""

    dsn: str = field(repr=False)
    programs: Binaries
    reader_password: str = field(repr=False)

    async def reader_url(self, database: str) -> str:
        """How the executor reads a database of it."""
        async with loading(self.dsn) as session:
            await session.execute(MAKE_READER)
        await admin.set_role_password(self.dsn, READER, self.reader_password)
        return reader_url(self.dsn, database, self.reader_password)


@asynccontextmanager
async def source_server(settings: StackSettings) -> AsyncGenerator[SourceServer]:
    """The server, running; it stays so when the block ends well. Raises Conflict when a stack runs on the home."""
    if lock.is_held(settings.home):
        raise Conflict(
            f"A stack runs on {settings.home} already.",
            hint="`lakehouse down` stops it, then the demo starts on the same data; or name another LAKEHOUSE_HOME.",
        )
    settings.home.mkdir(parents=True, exist_ok=True)
    password = Credentials(settings.home).ensure(READER)
    if settings.database_url:
        dsn = settings.direct_url or settings.database_url
        yield SourceServer(dsn, await anyio.to_thread.run_sync(binaries.choose, settings.bindir), password)
        return
    postgres = EmbeddedPostgres(settings.home, bindir=settings.bindir)
    try:
        await postgres.start()
        yield SourceServer(postgres.dsn(), postgres.binaries, password)
    except BaseException:
        with anyio.CancelScope(shield=True):
            await postgres.stop()
        raise
