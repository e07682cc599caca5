"""A Postgres server that is gone when the caller is done with it.

Called by the tests' fixtures and by the benchmarks, which both want a real server, many databases and no traces.
"""

from __future__ import annotations

import re
import shutil
import tempfile
import uuid
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

from lakehouse.embedded.postgres import EmbeddedPostgres
from opscore.db import admin


class ThrowawayPostgres:
    """One server in a temporary folder. `durable` as in EmbeddedPostgres: benchmarks keep fsync on."""

    def __init__(self, *, bindir: str | None = None, durable: bool = False, role_password: str = "") -> None:
        """role_password: what `dsn(role=…)` logs in with; whoever makes the roles sets it."""
        self._folder = Path(tempfile.mkdtemp(prefix="lakehouse-throwaway-"))
        self._folder.chmod(0o711)  # the account that runs Postgres for root must get through
        self._role_password = role_password
        self.embedded = EmbeddedPostgres(self._folder / "home", bindir=bindir, durable=durable)

    @property
    def version(self) -> str:
        """`15.18`."""
        return self.embedded.version

    async def start(self) -> None:
        """Make and start the server; raises as EmbeddedPostgres.start does."""
        await self.embedded.start()

    async def stop(self) -> None:
        """End the server and remove every trace of it."""
        await self.embedded.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def dsn(self, database: str = "postgres", *, role: str | None = None) -> str:
        """Connection string of the superuser, or of a role."""
        if role is None:
            return self.embedded.dsn(database)
        return self.embedded.dsn(database, user=role, password=self._role_password)

    async def create_database(self, prefix: str = "test", *, template: str | None = None) -> str:
        """Make a database with a name of its own, and return the superuser's connection string to it."""
        name = f"{re.sub(r'[^a-z0-9_]', '_', prefix.lower())[:40]}_{uuid.uuid4().hex[:12]}"
        await admin.create_database(self.dsn(), name, template=template)
        return self.dsn(name)

    async def drop_database(self, dsn: str) -> None:
        """Drop the database that the connection string names; its sessions are ended."""
        await admin.drop_database(self.dsn(), unquote(urlsplit(dsn).path.removeprefix("/")))


@asynccontextmanager
async def throwaway_postgres(
    *, bindir: str | None = None, durable: bool = False
) -> AsyncGenerator[ThrowawayPostgres, None]:
    """The same as a block: started on entry, gone on exit."""
    server = ThrowawayPostgres(bindir=bindir, durable=durable)
    try:
        await server.start()
        yield server
    finally:
        await server.stop()
