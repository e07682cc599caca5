"""Who may do what: every service its functions, people their projects, nobody else's token."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest

from support.plane import ENVIRONMENT, Plane

MAY_EXECUTE = {
    "lakehouse_dispatcher": {
        "advance_backfills", "block_schedule", "drop_expired_events", "due_schedules",
        "ensure_event_partitions", "fire_event_triggers", "fire_ticks", "lease_runs", "next_due_in_ms", "prune",
        "release_leadership", "release_runs", "requeue_stale_runs", "seal_events", "sign_seal",
        "take_leadership", "time_due",
    },
    "lakehouse_executor": {
        "beat", "bundle", "claim_run", "claim_work", "complete_run", "fail_run", "finish_runs",
        "forget_artifacts", "heartbeat_run", "publish_run", "record_checks", "register_artifacts",
        "register_executor", "requeue_stale_runs", "start_run", "table_states", "take_expired_artifacts",
        "take_work",
    },
    "lakehouse_scorer": {
        "compute_run_score", "propose_weights", "read_events", "record_signals", "run_evidence", "run_facts", "take_learning_turns",
        "training_runs", "weights_in_force",
    },
    "lakehouse_notifier": {"alerting", "lease_notifications", "read_events", "record_alerts", "settle_notifications"},
    "lakehouse_controlroom": {
        "accept_weights", "apply_pipeline", "bundle", "cancel_run", "cap_allow", "change_alert",
        "change_backfill", "compute_run_score", "create_backfill", "enqueue_run", "enqueue_runs",
        "fire_webhook_trigger", "now", "pause", "pause_schedule", "plan_backfill", "propose_weights",
        "raise_cap", "remove_cap", "resume", "resume_schedule", "retry_run", "rollback_run", "set_alert_rule",
        "set_cap", "set_route", "set_trigger_token", "set_weights", "silence", "training_runs", "wait_reason",
        "weights_in_force", "what_if_weights",
    },
    "authenticated": {"my_environments", "wait_reason"},
    "anon": set(),
    "service_role": set(),
}  # fmt: skip


@asynccontextmanager
async def acting_as(plane: Plane, role: str, user: uuid.UUID | None = None) -> AsyncIterator[asyncpg.Connection]:
    async with plane.db.transaction():
        await plane.db.execute(f"set local role {role}")
        if user is not None:
            await plane.db.execute("select set_config('request.jwt.claims', $1, true)", f'{{"sub": "{user}"}}')
        yield plane.db


@pytest.mark.parametrize("role", MAY_EXECUTE)
async def test_each_role_may_execute_exactly_its_functions(plane: Plane, role: str) -> None:
    rows = await plane.db.fetch(
        "select proname from pg_proc where pronamespace = 'ops'::regnamespace and has_function_privilege($1, oid, 'execute')",
        role,
    )

    assert {row["proname"] for row in rows} == MAY_EXECUTE[role]


@pytest.mark.parametrize("role", MAY_EXECUTE)
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
        ("lakehouse_controlroom", "select ops.cap_allow(gen_random_uuid(), 'x')"),
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
