"""The schema says what everything is, and the migrations apply by every route."""

from __future__ import annotations

import asyncio
from pathlib import Path

import asyncpg
import pytest

from lakehouse.embedded.throwaway import ThrowawayPostgres
from opscore.db.migrate import migrate, read_migrations
from opscore.domain.errors import Conflict
from support.plane import Plane, somebody_waits


async def test_every_table_function_view_and_type_has_a_comment(plane: Plane) -> None:
    rows = await plane.db.fetch(
        """
        select c.oid::regclass::text as name from pg_class as c
         where c.relnamespace in ('ops'::regnamespace, 'api'::regnamespace, 'iceberg'::regnamespace)
           and c.relkind in ('r', 'p', 'v') and not c.relispartition and obj_description(c.oid, 'pg_class') is null
        union all
        select p.oid::regprocedure::text from pg_proc as p
         where p.pronamespace = 'ops'::regnamespace and obj_description(p.oid, 'pg_proc') is null
        union all
        select t.oid::regtype::text from pg_type as t
         where t.typnamespace = 'ops'::regnamespace and t.typtype = 'e' and obj_description(t.oid, 'pg_type') is null
        """
    )

    assert rows == []


async def test_every_function_pins_its_search_path(plane: Plane) -> None:
    rows = await plane.db.fetch(
        """
        select proname from pg_proc
         where pronamespace = 'ops'::regnamespace and not coalesce('search_path=pg_catalog, pg_temp' = any (proconfig), false)
        """
    )

    assert rows == []


async def test_every_foreign_key_has_an_index(plane: Plane) -> None:
    rows = await plane.db.fetch(
        """
        select c.conrelid::regclass::text as name, c.conname from pg_constraint as c
         where c.contype = 'f' and c.connamespace = 'ops'::regnamespace
           and c.confrelid not in ('ops.environments'::regclass, 'ops.bundles'::regclass)  -- never deleted from
           and not exists (
             select 1 from pg_index as i
              where i.indrelid = c.conrelid and (i.indkey::int2[])[0:cardinality(c.conkey) - 1] @> c.conkey)
        """
    )

    assert rows == []


async def test_migrating_twice_does_nothing_the_second_time(postgres: ThrowawayPostgres) -> None:
    dsn = await postgres.create_database("migrate")

    first = await migrate(dsn)
    second = await migrate(dsn)

    assert first == [migration.version for migration in read_migrations()]
    assert second == []


async def test_two_runners_at_once_apply_each_migration_once(postgres: ThrowawayPostgres) -> None:
    dsn = await postgres.create_database("migrate")

    applied = await asyncio.gather(migrate(dsn), migrate(dsn))

    assert sorted(map(len, applied)) == [0, len(read_migrations())]


async def test_a_migration_changed_after_it_was_applied_is_refused(postgres: ThrowawayPostgres, tmp_path: Path) -> None:
    dsn = await postgres.create_database("migrate")
    file = tmp_path / "20260101_first.sql"
    file.write_text("create table first ();")
    await migrate(dsn, folder=tmp_path)

    file.write_text("create table other ();")

    with pytest.raises(Conflict, match="20260101_first was changed after it was applied"):
        await migrate(dsn, folder=tmp_path)


async def test_a_failing_migration_leaves_nothing_behind(postgres: ThrowawayPostgres, tmp_path: Path) -> None:
    dsn = await postgres.create_database("migrate")
    (tmp_path / "20260101_first.sql").write_text("create table first (); select 1 / 0;")

    with pytest.raises(Exception, match="division by zero"):
        await migrate(dsn, folder=tmp_path)

    connection = await asyncpg.connect(dsn)
    assert await connection.fetchval("select to_regclass('first')") is None
    await connection.close()


async def test_a_migration_that_has_to_wait_lets_others_through_and_tries_again(
    postgres: ThrowawayPostgres, tmp_path: Path
) -> None:
    dsn = await postgres.create_database("migrate")
    worker, other = await asyncpg.connect(dsn), await asyncpg.connect(dsn)
    await worker.execute("create table busy ()")
    (tmp_path / "20260101_first.sql").write_text("alter table busy add column more integer;")

    await worker.execute("begin; lock table busy in access share mode")
    migrating = asyncio.create_task(migrate(dsn, folder=tmp_path))
    await somebody_waits(other)
    await other.fetch("select * from busy", timeout=10)  # behind the migration, which waits for the worker
    await worker.execute("commit")

    assert await migrating == ["20260101"]
    await worker.close()
    await other.close()


async def test_a_history_written_by_the_supabase_cli_is_respected(postgres: ThrowawayPostgres, tmp_path: Path) -> None:
    dsn = await postgres.create_database("migrate")
    (tmp_path / "20260101_first.sql").write_text("create table first ();")
    connection = await asyncpg.connect(dsn)
    await connection.execute(
        """
        create schema supabase_migrations;
        create table supabase_migrations.schema_migrations (version text primary key, statements text[], name text);
        insert into supabase_migrations.schema_migrations values ('20260101', null, 'first');
        """
    )

    applied = await migrate(dsn, folder=tmp_path)

    assert applied == []
    assert await connection.fetchval("select to_regclass('first')") is None
    await connection.close()
