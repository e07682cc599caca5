"""Who may do what: every service its functions, people their projects, nobody else's token."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from lakehouse.embedded.throwaway import ThrowawayPostgres
from support.plane import ENVIRONMENT, Plane

SERVICES = (
    "lakehouse_dispatcher", "lakehouse_executor", "lakehouse_scorer", "lakehouse_notifier", "lakehouse_controlroom",
)  # fmt: skip
ROLES = (*SERVICES, "authenticated", "anon", "service_role")
SUPABASE = Path(__file__).parents[3] / "supabase"


def database_of(plane: Plane) -> str:
    return urlsplit(plane.dsn).path.removeprefix("/")


@asynccontextmanager
async def acting_as(plane: Plane, role: str, user: uuid.UUID | None = None) -> AsyncIterator[asyncpg.Connection]:
    async with plane.db.transaction():
        await plane.db.execute(f"set local role {role}")
        if user is not None:
            await plane.db.execute("select set_config('request.jwt.claims', $1, true)", f'{{"sub": "{user}"}}')
        yield plane.db


async def test_every_right_stands_in_the_committed_list(plane: Plane) -> None:
    rows = await plane.db.fetch((SUPABASE / "rights.sql").read_text(encoding="utf-8"))

    granted = [row["line"] for row in rows]

    listed = (SUPABASE / "rights.txt").read_text(encoding="utf-8").splitlines()
    assert granted == listed, "a right was added or lost: if it was meant, run tools/rights.py and read what changed"


async def test_a_right_that_is_given_in_passing_is_seen(plane: Plane) -> None:
    query = (SUPABASE / "rights.sql").read_text(encoding="utf-8")
    before = {row["line"] for row in await plane.db.fetch(query)}

    await plane.db.execute(
        """
        grant execute on function ops.finish_runs to lakehouse_scorer;
        grant insert on ops.alerts to lakehouse_notifier;
        grant select (lease_token) on ops.runs to authenticated;
        create function ops.planted() returns integer language sql as 'select 1';
        """
    )

    added = {row["line"].split(":")[0] for row in await plane.db.fetch(query)} - {line.split(":")[0] for line in before}
    changed = {row["line"] for row in await plane.db.fetch(query)} - before
    assert added == {"function ops.planted()"}
    assert {line.split(":")[0].split("(")[0] for line in changed} == {
        "function ops.finish_runs", "function ops.planted", "table ops.alerts", "table ops.runs",
    }  # fmt: skip


@pytest.mark.parametrize("role", SERVICES)
async def test_a_service_logs_in_as_itself_and_as_little_more(
    plane: Plane, postgres: ThrowawayPostgres, role: str
) -> None:
    service = await asyncpg.connect(postgres.dsn(database_of(plane), role=role))

    row = await service.fetchrow(
        """
        select current_user = $1 as itself, o.rolsuper or o.rolcreaterole or o.rolcreatedb or o.rolreplication or o.rolbypassrls as more,
               exists (select from pg_auth_members as m where m.member = o.oid) as others
          from pg_roles as o where o.rolname = $1
        """,
        role,
    )
    await service.close()

    assert dict(row) == {"itself": True, "more": False, "others": False}


@pytest.mark.parametrize("role", SERVICES)
async def test_a_service_is_denied_every_function_but_its_own(
    plane: Plane, postgres: ThrowawayPostgres, role: str
) -> None:
    rows = await plane.db.fetch(
        """
        select p.oid::regproc::text as name, array(select format_type(t.oid, null) from unnest(p.proargtypes) as t (oid)) as args,
               has_function_privilege($1, p.oid, 'execute') as own
          from pg_proc as p where p.pronamespace in ('ops'::regnamespace, 'guard'::regnamespace, 'api'::regnamespace)
        """,
        role,
    )
    service = await asyncpg.connect(postgres.dsn(database_of(plane), role=role))
    let_through = []

    for row in rows:
        if not row["own"]:
            args = ", ".join(f"null::{of}" for of in row["args"])
            try:
                await service.execute(f"select {row['name']}({args})")
            except asyncpg.InsufficientPrivilegeError:
                continue
            let_through.append(row["name"])

    await service.close()
    assert len(rows) > 100
    assert let_through == []


@pytest.mark.parametrize("role", SERVICES)
async def test_a_service_is_denied_every_write_to_a_table(plane: Plane, postgres: ThrowawayPostgres, role: str) -> None:
    tables = await plane.db.fetch(
        """
        select c.oid::regclass::text as name,
               (select quote_ident(a.attname) from pg_attribute as a
                 where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated = '' and a.attidentity = '' limit 1) as col
          from pg_class as c where c.relnamespace in ('ops'::regnamespace, 'iceberg'::regnamespace) and c.relkind in ('r', 'p')
        """
    )
    service = await asyncpg.connect(postgres.dsn(database_of(plane), role=role))

    for table in tables:
        name, column = table["name"], table["col"]
        for write in (
            f"insert into {name} default values",
            f"update {name} set {column} = null",
            f"delete from {name}",
            f"truncate {name}",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await service.execute(write)

    await service.close()


@pytest.mark.parametrize("role", ROLES)
async def test_no_role_may_write_a_table(plane: Plane, role: str) -> None:
    rows = await plane.db.fetch(
        """
        select c.oid::regclass::text as name from pg_class as c
         where c.relnamespace in ('ops'::regnamespace, 'api'::regnamespace, 'iceberg'::regnamespace) and c.relkind in ('r', 'p', 'v')
           and has_table_privilege($1, c.oid, 'insert, update, delete, truncate')
        """,
        role,
    )

    assert rows == []


@pytest.mark.parametrize("role", ["authenticated", "lakehouse_controlroom"])
async def test_nobody_can_read_a_lease_token(plane: Plane, role: str) -> None:
    await plane.work()

    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with acting_as(plane, role) as db:
            await db.fetch("select lease_token from ops.runs")


async def test_members_see_their_projects_runs_and_strangers_nothing(plane: Plane) -> None:
    member, stranger = uuid.uuid4(), uuid.uuid4()
    run = await plane.enqueue()
    await plane.db.execute(
        "insert into ops.members (project_id, user_id) select project_id, $1 from ops.environments where id = $2",
        member, ENVIRONMENT,
    )  # fmt: skip
    seen = {}

    for user in (member, stranger, None):
        async with acting_as(plane, "authenticated", user) as db:
            runs = await db.fetch("select id from api.runs")
            events = await db.fetch("select run_id from api.run_events")
            seen[user] = ([row["id"] for row in runs], [row["run_id"] for row in events])

    assert seen == {member: ([run], [run]), stranger: ([], []), None: ([], [])}


async def test_anonymous_callers_see_no_schema(plane: Plane) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with acting_as(plane, "anon") as db:
            await db.fetch("select * from api.runs")


async def test_the_control_room_reads_everything_people_may_see(plane: Plane) -> None:
    run = await plane.enqueue()

    async with acting_as(plane, "lakehouse_controlroom") as db:
        for view in ("run_events", "artifacts", "pipelines", "tables", "alerts", "routes", "executors"):
            await db.fetch(f"select * from api.{view}")
        rows = await db.fetch("select * from api.runs")

    assert [row["id"] for row in rows] == [run]


@pytest.mark.parametrize(
    ("role", "call"),
    [
        ("lakehouse_dispatcher", "select ops.next_due_in_ms()"),
        ("lakehouse_dispatcher", "select * from ops.lease_runs(1)"),
        ("lakehouse_executor", "select * from ops.claim_work(gen_random_uuid(), 1)"),
        ("lakehouse_scorer", "select * from ops.read_events('scorer', 1)"),
        ("lakehouse_notifier", "select * from ops.lease_notifications(1, 1000)"),
        ("lakehouse_controlroom", f"select ops.cap_allow('{ENVIRONMENT}', 'query')"),
    ],
)
async def test_types_planted_in_pg_temp_do_not_run_with_the_owner_s_rights(plane: Plane, role: str, call: str) -> None:
    await plane.db.execute(f"set session authorization {role}")
    await plane.db.execute(
        """
        create function pg_temp.planted(x text) returns boolean language plpgsql as $f$ begin raise exception 'planted code ran'; end $f$;
        create domain pg_temp.timestamptz as pg_catalog.timestamptz check (pg_temp.planted('x'));
        create domain pg_temp.integer as pg_catalog.int4 check (pg_temp.planted('x'));
        create domain pg_temp.uuid as pg_catalog.uuid check (pg_temp.planted('x'));
        create domain pg_temp.jsonb as pg_catalog.jsonb check (pg_temp.planted('x'));
        """
    )

    with pytest.raises(asyncpg.RaiseError, match="planted code ran"):
        await plane.db.fetchval("select pg_catalog.now()::pg_temp.timestamptz")  # the trap is armed

    assert await plane.db.fetch(call) is not None

    await plane.db.execute("reset session authorization")
