"""Applies supabase/migrations in order, once each, under one lock. Called by the CLI and the embedded stack.

Keeps the Supabase CLI's own history table, so that either tool finds nothing to do after the other; beside it
a checksum per file, so that a migration edited after it was applied is refused instead of silently ignored.

Services go on working meanwhile. Whoever waits for a table lets everybody else wait behind it, so a migration waits for
a third of a second at most, lets them through and begins again; the same when it and others wait for each other. They
are let through between two migrations too.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import asyncpg

from opscore.db.errors import translated
from opscore.domain.errors import Conflict, NotFound

LOCK_KEY = 7_402_151_988_310_447  # any constant; one per product, so that two runners wait for each other
LONGEST_WAIT_MS = 300  # well below Postgres' own deadlock_timeout: nobody stands still for as long as that
PAUSE_S = 0.25
CATCH_UP_S = 1.0  # sessions that waited plan anew what they call, then do what piled up
TRIES = 240
RUNNER = "lakehouse migrate"
OTHERS = "select exists (select from pg_stat_activity where datname = current_database() and application_name <> $1)"
IN_THE_WAY = (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError)

HISTORY = """
create schema if not exists supabase_migrations;
create table if not exists supabase_migrations.schema_migrations
  (version text primary key, statements text[], name text);
create table if not exists supabase_migrations.lakehouse_checksums (version text primary key, sha256 text not null);
"""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file. version: its digits before the first underscore, as the Supabase CLI reads them."""

    version: str
    name: str
    sql: str

    @property
    def sha256(self) -> str:
        """Checksum of the text."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


def read_migrations(folder: Path | None = None) -> list[Migration]:
    """All migrations in order. Raises NotFound when the folder holds none."""
    folder = folder or _default_folder()
    files = sorted(folder.glob("*.sql"))
    if not files:
        raise NotFound(kind="migration in", name=str(folder))
    return [Migration(*file.stem.split("_", 1), sql=file.read_text(encoding="utf-8")) for file in files]


async def migrate(
    dsn: str, on_progress: Callable[[str], None] = lambda _name: None, *, folder: Path | None = None
) -> list[str]:
    """Apply what is missing and return the versions that were applied, in order. Each file is one transaction."""
    migrations = read_migrations(folder)
    with translated():
        connection = await asyncpg.connect(dsn, timeout=10, server_settings={"application_name": RUNNER})
    try:
        with translated():
            await connection.execute("select pg_advisory_lock($1)", LOCK_KEY)
            await connection.execute(HISTORY)
            return [migration.version for migration in migrations if await _apply(connection, migration, on_progress)]
    finally:
        await connection.close(timeout=5)


async def _apply(connection: asyncpg.Connection, migration: Migration, on_progress: Callable[[str], None]) -> bool:
    known = await connection.fetchval(
        "select exists (select from supabase_migrations.schema_migrations where version = $1)", migration.version
    )
    if known:
        await _check(connection, migration)
        return False
    on_progress(f"{migration.version}_{migration.name}")
    for tries_left in reversed(range(TRIES)):
        try:
            await _run(connection, migration)
            break
        except IN_THE_WAY:
            if not tries_left:
                raise
            await asyncio.sleep(PAUSE_S)
    if await connection.fetchval(OTHERS, RUNNER):
        await asyncio.sleep(CATCH_UP_S)
    return True


async def _run(connection: asyncpg.Connection, migration: Migration) -> None:
    async with connection.transaction():
        await connection.execute(f"set local lock_timeout = {LONGEST_WAIT_MS}")
        await connection.execute(migration.sql)
        await connection.execute(
            "insert into supabase_migrations.schema_migrations (version, statements, name) values ($1, $2, $3)",
            migration.version,
            [migration.sql],
            migration.name,
        )
        await _remember(connection, migration)


async def _check(connection: asyncpg.Connection, migration: Migration) -> None:
    """Refuse a file that is not what was applied; adopt the checksum of one that the Supabase CLI applied."""
    sha256 = await connection.fetchval(
        "select sha256 from supabase_migrations.lakehouse_checksums where version = $1", migration.version
    )
    if sha256 is None:
        await _remember(connection, migration)
    elif sha256 != migration.sha256:
        raise Conflict(
            f"Migration {migration.version}_{migration.name} was changed after it was applied to this database.",
            hint="Restore the file as it was released and put the change into a new migration.",
        )


async def _remember(connection: asyncpg.Connection, migration: Migration) -> None:
    await connection.execute(
        "insert into supabase_migrations.lakehouse_checksums (version, sha256) values ($1, $2)",
        migration.version,
        migration.sha256,
    )


def _default_folder() -> Path:
    """The repository's folder beside a checkout, the copy inside the wheel otherwise."""
    packaged = Path(str(resources.files("opscore.db"))) / "migrations"
    if packaged.is_dir():
        return packaged
    return Path(__file__).parents[5] / "supabase" / "migrations"
