"""The log: append-only, without gaps, followed without loss."""

from __future__ import annotations

import asyncpg
import pytest

from support.plane import ENVIRONMENT, Plane


@pytest.mark.parametrize(
    "change",
    ["update ops.run_events set type = 'X'", "delete from ops.run_events", "truncate ops.run_events"],
)
async def test_events_are_never_changed(plane: Plane, change: str) -> None:
    await plane.enqueue()

    with pytest.raises(asyncpg.PostgresError, match="events are never changed"):
        await plane.db.execute(change)


async def test_nobody_who_logs_in_changes_events_by_the_log_or_its_partitions(plane: Plane) -> None:
    await plane.db.execute("select ops.ensure_event_partitions(3)")
    starts = await plane.db.fetch("select name, from_seq from ops.event_partitions order by from_seq")
    for start in starts:
        await plane.db.execute("select setval('ops.run_events_seq', $1)", start["from_seq"] + 1)
        await plane.enqueue()
    filled = await plane.db.fetch("select distinct tableoid::regclass::text as name from ops.run_events")
    people = await plane.db.fetch("select rolname from pg_roles where rolcanlogin")
    assert len(filled) == len(starts) >= 3
    assert len(people) >= 6, "the services and the owner"
    done = []

    for person in people:
        await plane.db.execute(f"set session authorization {person['rolname']}")
        for table in ["ops.run_events", *(row["name"] for row in filled)]:
            for change in (f"update {table} set type = 'X'", f"delete from {table}", f"truncate {table}"):
                try:
                    await plane.db.execute(change)
                except asyncpg.PostgresError as refused:
                    if "permission denied" in str(refused) or "events are never changed" in str(refused):
                        continue
                done.append((person["rolname"], change))
        await plane.db.execute("reset session authorization")

    assert done == []


async def test_a_follower_misses_no_event_that_commits_late(plane: Plane) -> None:
    late = await asyncpg.connect(plane.dsn)
    transaction = late.transaction()
    await transaction.start()
    slow = await late.fetchval("select run_id from ops.enqueue_run($1, 'query')", ENVIRONMENT)
    fast = await plane.enqueue()

    before = await plane.db.fetch("select * from ops.read_events('f', 100)")
    await transaction.commit()
    after = await plane.db.fetch("select run_id from ops.read_events('f', 100)")
    await late.close()

    assert before == [], "the fast event has a higher number than one that may still appear"
    assert {row["run_id"] for row in after} == {slow, fast}


async def test_the_cursor_moves_only_from_where_it_was_read(plane: Plane) -> None:
    await plane.enqueue()
    (event,) = await plane.db.fetch("select * from ops.read_events('f', 100)")
    move = ("f", event["from_xid"], event["from_seq"], event["xid"], event["seq"])

    first = await plane.db.fetchval("select ops.advance_cursor($1, $2, $3, $4, $5)", *move)
    second = await plane.db.fetchval("select ops.advance_cursor($1, $2, $3, $4, $5)", *move)

    assert (first, second) == (True, False)
    assert await plane.db.fetch("select * from ops.read_events('f', 100)") == []


async def test_partitions_are_made_ahead_of_the_log(plane: Plane) -> None:
    await plane.db.execute("update ops.settings set event_partition_rows = 1000")
    await plane.db.execute("select setval('ops.run_events_seq', 14999500)")

    made = await plane.db.fetchval("select ops.ensure_event_partitions()")

    assert made > 0
    for _ in range(3):
        await plane.db.execute("select setval('ops.run_events_seq', (select last_value from ops.run_events_seq) + 700)")
        await plane.enqueue()


async def test_new_partitions_are_under_row_level_security(plane: Plane) -> None:
    await plane.db.execute("select setval('ops.run_events_seq', 60000000)")
    await plane.db.fetchval("select ops.ensure_event_partitions()")

    open_tables = await plane.db.fetch(
        "select relname from pg_class where relnamespace = 'ops'::regnamespace and relkind in ('r', 'p') and not relrowsecurity"
    )

    assert open_tables == []
