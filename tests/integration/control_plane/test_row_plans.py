"""Row-level security costs a look-up, not a scan: at 100,000 rows people's queries keep to their indexes, and no policy asks per row."""

from __future__ import annotations

import asyncio
import json
import re
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import asyncpg
import pytest

from support.plane import ENVIRONMENT, Plane

MEMBER = uuid.UUID("00000000-0000-4000-8000-0000000000aa")
ROWS = 100_000
MINE = "(select id from ops.runs where environment_id = '00000000-0000-4000-8000-000000000003' limit 1)"
FILLED = f"""
set local session_replication_role = replica;
insert into ops.environments (id, project_id, slug)
select gen_random_uuid(), gen_random_uuid(), 'e' || n from generate_series(1, 9) as n;
insert into ops.runs (id, environment_id, pipeline, bundle, phases, state, max_attempts, max_losses, due_at, created_at, finished_at, event_seq)
select gen_random_uuid(), (array(select id from ops.environments order by slug))[1 + n % 10], 'query', repeat('0', 64), '{{query}}', 'succeeded',
       1, 1, at, at, at, 1
  from generate_series(1, {ROWS}) as n cross join lateral (select timestamptz '2026-01-01' + n * interval '1 minute' as at) as t;
insert into ops.run_events (run_id, run_seq, attempt, type, at, data) select id, 1, 0, 'RUN_CREATED', created_at, '{{}}' from ops.runs;
insert into ops.artifacts (run_id, attempt, name, kind, uri, sha256, bytes, media_type, created_at)
select id, 1, 'a', 'result', 'u', repeat('0', 64), 1, 't', created_at from ops.runs;
insert into ops.run_checks (run_id, attempt, ordinal, name, dataset, action, result) select id, 1, 1, 'c', 'd', 'warn', 'pass' from ops.runs;
insert into ops.run_tables (run_id, name, metadata_location, snapshot_id, rows_added, rows, files, bytes, schema_hash)
select id, 't.t', 'l', 1, 1, 1, 1, 1, 'h' from ops.runs;
insert into ops.signals (run_id, name, value, created_at) select id, 'outcome', 1, created_at from ops.runs;
insert into ops.run_scores (run_id, score, weights_version, inputs, created_at) select id, 1, 1, '{{}}', created_at from ops.runs;
insert into ops.alerts (environment_id, rule, dedup_key, run_id, severity, summary, created_at, updated_at)
select environment_id, 'r', id::text, id, 'error', 's', created_at, created_at from ops.runs;
insert into ops.notifications (alert_id, route_id, channel, target, body, due_at, created_at)
select id, gen_random_uuid(), 'webhook', '{{}}', '{{}}', created_at, created_at from ops.alerts;
insert into ops.members (project_id, user_id) select project_id, '{MEMBER}' from ops.environments where id = '{ENVIRONMENT}';
"""

# what people ask, by the table whose policy answers
QUERIES = {
    "runs by key": "select id from ops.runs where id = $1",
    "runs newest first": "select id from ops.runs order by created_at desc, id desc limit 50",
    "runs of a pipeline": "select id from ops.runs where environment_id = '00000000-0000-4000-8000-000000000003'"
    " and pipeline = 'query' order by created_at desc limit 50",
    "events of a run": "select seq from ops.run_events where run_id = $1 order by run_seq",
    "artifacts of a run": "select id from ops.artifacts where run_id = $1",
    "checks of a run": "select name from ops.run_checks where run_id = $1",
    "tables of a run": "select name from ops.run_tables where run_id = $1",
    "signals of a run": "select name from ops.signals where run_id = $1",
    "score of a run": "select score from ops.run_scores where run_id = $1",
    "alerts newest first": "select id from ops.alerts order by created_at desc, id desc limit 50",
    "alerts of a run": "select id from ops.alerts where run_id = $1",
    "notifications of a run's alerts": "select n.id from ops.notifications as n"
    " where n.alert_id = any (array(select a.id from ops.alerts as a where a.run_id = $1))",
}
COUNTED = ("ops.runs", "ops.run_events", "ops.artifacts", "ops.signals", "ops.alerts", "ops.notifications")
LOOK_UP = 40  # pages of memberships and of one key


@pytest.fixture(scope="module")
def filled_dsn(postgres: Any, control_template: str) -> Iterator[str]:
    """A control plane with 100,000 runs of ten environments; the member belongs to one of them."""
    made: list[str] = []

    async def make() -> None:
        made.append(await postgres.create_database("rows", template=control_template))
        connection = await asyncpg.connect(made[0])
        async with connection.transaction():
            await connection.execute(FILLED)
        await connection.execute("vacuum analyze")
        await connection.close()

    async def drop() -> None:
        await postgres.drop_database(made[0])

    with ThreadPoolExecutor(max_workers=1) as aside:  # with a loop of their own: the tests' loops come and go
        aside.submit(asyncio.run, make()).result()
        yield made[0]
        aside.submit(asyncio.run, drop()).result()


async def explained(connection: asyncpg.Connection, role: str, query: str, run: uuid.UUID) -> dict[str, Any]:
    """The plan as it ran the second time, with the pages it touched: the first fills the connection's own caches."""
    text = query.replace("$1", f"'{run}'")
    async with connection.transaction():
        if role != "owner":
            await connection.execute(f"set local role {role}")
            await connection.execute(
                "select set_config('request.jwt.claims', $1, true)", json.dumps({"sub": str(MEMBER)})
            )
        await connection.execute("set local jit = off")
        await connection.execute("set local max_parallel_workers_per_gather = 0")
        for _ in range(2):
            answer = await connection.fetchval(f"explain (analyze, buffers, timing off, format json) {text}")
    return json.loads(answer)[0]["Plan"]


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", []):
        yield from nodes(child)


def scans(plan: dict[str, Any]) -> list[tuple[str, str]]:
    """How the asked table itself is read: the plan without what policies add."""
    own = [
        (node["Node Type"].replace(" Only", ""), node.get("Index Name", node["Relation Name"]))
        for node in outside_policies(plan)
        if "Relation Name" in node
    ]
    return sorted(own)


def outside_policies(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if plan.get("Parent Relationship") == "SubPlan":
        return
    yield plan
    for child in plan.get("Plans", []):
        yield from outside_policies(child)


def pages(plan: dict[str, Any]) -> int:
    return plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]


@pytest.fixture
async def member(filled_dsn: str) -> Any:
    connection = await asyncpg.connect(filled_dsn)
    yield connection
    await connection.close()


@pytest.mark.parametrize("asked", QUERIES)
async def test_people_s_queries_keep_to_their_indexes(member: asyncpg.Connection, asked: str) -> None:
    run = await member.fetchval(MINE)
    free = await explained(member, "owner", QUERIES[asked], run)

    guarded = await explained(member, "authenticated", QUERIES[asked], run)

    assert scans(guarded) == scans(free)


@pytest.mark.parametrize("asked", QUERIES)
async def test_a_policy_asks_who_calls_once_per_statement(member: asyncpg.Connection, asked: str) -> None:
    run = await member.fetchval(MINE)

    guarded = await explained(member, "authenticated", QUERIES[asked], run)

    asking = [node for node in nodes(guarded) if node["Node Type"] in ("ProjectSet", "Function Scan")]
    assert asking, "the policy is at work"
    assert all(node["Actual Loops"] <= 1 for node in asking)
    assert "my_" not in json.dumps([node.get("Filter", "") for node in nodes(guarded)])


@pytest.mark.parametrize("asked", QUERIES)
async def test_a_policy_at_most_doubles_the_pages_that_a_query_touches(member: asyncpg.Connection, asked: str) -> None:
    run = await member.fetchval(MINE)
    free = await explained(member, "owner", QUERIES[asked], run)

    guarded = await explained(member, "authenticated", QUERIES[asked], run)

    # one in ten rows is the member's: a page of the newest reads ten times as far to be full
    further = 10 if "newest" in asked else 1
    assert pages(guarded) <= 2 * further * pages(free) + LOOK_UP


@pytest.mark.parametrize("table", COUNTED)
async def test_counting_a_whole_table_reads_each_table_once_at_most(member: asyncpg.Connection, table: str) -> None:
    run = await member.fetchval(MINE)

    guarded = await explained(member, "authenticated", f"select count(*) from {table}", run)

    (counted,) = [node["Actual Rows"] for node in nodes(guarded) if node["Node Type"] == "Aggregate"]
    assert counted == 1
    assert {node["Actual Loops"] for node in nodes(guarded)} <= {0, 1}
    # a function that is called for every row shows in no node, only in the pages
    read = {node[kind] for node in nodes(guarded) for kind in ("Relation Name", "Index Name") if kind in node}
    once = await member.fetchval(
        "select sum(pg_relation_size(oid)) / 8192 from pg_class where relnamespace = 'ops'::regnamespace and relname = any ($1)",
        list(read),
    )
    assert pages(guarded) <= once + LOOK_UP


async def test_every_policy_compares_with_a_set_or_looks_up_a_key(plane: Plane) -> None:
    policies = await plane.db.fetch(
        """
        select y.polrelid::regclass::text || ': ' || y.polname as name, pg_get_expr(y.polqual, y.polrelid) as qual
          from pg_policy as y where y.polrelid::regclass::text ~ '^(ops|iceberg)\\.'
        """
    )

    assert [row["name"] for row in policies if not shaped(row["qual"])] == []


def shaped(qual: str) -> bool:
    flat = re.sub(r"\s+", " ", qual)
    one_of = r"\(\w+ IN \( ?SELECT ops\.my_\w+\(\) AS my_\w+\)\)"
    key = r"\(EXISTS \( ?SELECT 1 FROM ops\.\w+ \w WHERE \(\w\.id = \w+\.\w+\)\)\)"
    return flat in ("true", "false") or re.fullmatch(f"{one_of}|{key}", flat) is not None
