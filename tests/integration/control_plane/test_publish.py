"""One transaction makes a group of tables visible with the ledger, and takes it back."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from opscore.db.pool import set_codecs
from support.plane import Plane, somebody_waits, staged


async def locations(plane: Plane) -> dict[str, str]:
    rows = await plane.db.fetch("select table_namespace, table_name, metadata_location from iceberg.iceberg_tables")
    return {f"{row['table_namespace']}.{row['table_name']}": row["metadata_location"] for row in rows}


async def test_all_tables_of_a_run_become_visible_together_with_its_ledger(plane: Plane) -> None:
    await plane.pipeline("p")
    work = await plane.work("p")

    answer = await plane.publish(
        work, [staged("gold.a", "file:///a1"), staged("gold.b", "file:///b1")], {"gold.a": {"w": 1}}
    )

    assert answer == "published"
    assert await locations(plane) == {"gold.a": "file:///a1", "gold.b": "file:///b1"}
    assert await plane.db.fetchval("select count(*) from ops.run_tables where run_id = $1", work.run_id) == 2
    assert await plane.db.fetchval("select state from ops.table_states where name = 'gold.a'") == {"w": 1}
    assert "RUN_PUBLISHED" in await plane.events(work.run_id)


async def test_a_table_that_moved_meanwhile_refuses_the_whole_group(plane: Plane) -> None:
    await plane.pipeline("p")
    first = await plane.work("p")
    await plane.publish(first, [staged("gold.a", "file:///a1")])
    second = await plane.work("p")

    with pytest.raises(asyncpg.PostgresError, match=r"gold\.a was published by another run") as refused:
        await plane.publish(second, [staged("gold.b", "file:///b1"), staged("gold.a", "file:///a2", base="file:///a0")])

    assert refused.value.detail == "PUBLISH_CONFLICT"
    assert await locations(plane) == {"gold.a": "file:///a1"}


async def test_a_new_table_that_exists_by_now_refuses_too(plane: Plane) -> None:
    await plane.pipeline("p")
    await plane.publish(await plane.work("p"), [staged("gold.a", "file:///a1")])

    with pytest.raises(asyncpg.PostgresError, match=r"gold\.a was published"):
        await plane.publish(await plane.work("p"), [staged("gold.a", "file:///other")])


async def test_a_run_never_publishes_twice(plane: Plane) -> None:
    await plane.pipeline("p")
    work = await plane.work("p")
    await plane.publish(work, [staged("gold.a", "file:///a1")])
    await plane.pass_lease()
    await plane.rescue()
    (again,) = await plane.claim(await plane.executor())

    answer = await plane.publish(again, [staged("gold.a", "file:///a2", base="file:///a1")])

    assert answer == "published"
    assert await locations(plane) == {"gold.a": "file:///a1"}


async def test_a_cancel_that_was_asked_for_stops_the_publish(plane: Plane) -> None:
    await plane.pipeline("p")
    work = await plane.work("p")
    await plane.db.fetchval("select ops.cancel_run($1, 'me')", work.run_id)

    answer = await plane.publish(work, [staged("gold.a", "file:///a1")])

    assert answer == "cancel"
    assert await locations(plane) == {}


async def test_publishing_new_data_triggers_the_pipelines_after_it_once(plane: Plane) -> None:
    await plane.pipeline("up")
    await plane.pipeline("down", after=["up"])
    work = await plane.work("up")

    await plane.publish(work, [staged("gold.a", "file:///a1")])
    await plane.publish(work, [staged("gold.a", "file:///a1")])

    children = await plane.db.fetch("select pipeline, trigger from ops.runs where parent_run_id = $1", work.run_id)
    assert [tuple(row) for row in children] == [("down", "publish")]


async def test_chain_false_and_empty_publishes_trigger_nothing(plane: Plane) -> None:
    await plane.pipeline("up")
    await plane.pipeline("down", after=["up"])

    await plane.publish(await plane.work("up", params={"chain": False}), [staged("gold.a", "file:///a1")])
    await plane.publish(await plane.work("up"), [], {"gold.a": {"seen": 2}})

    assert await plane.db.fetchval("select count(*) from ops.runs where pipeline = 'down'") == 0
    assert await plane.db.fetchval("select state from ops.table_states") == {"seen": 2}


async def test_rollback_returns_every_table_and_what_was_remembered(plane: Plane) -> None:
    await plane.pipeline("p")
    await plane.publish(await plane.work("p"), [staged("gold.a", "file:///a1", rows=1)], {"gold.a": {"w": 1}})
    second = await plane.work("p")
    changes = [staged("gold.a", "file:///a2", base="file:///a1", rows=9), staged("gold.b", "file:///b1")]
    await plane.publish(second, changes, {"gold.a": {"w": 2}, "gold.b": {"w": 2}})

    tables = await plane.db.fetchval("select ops.rollback_run($1, 'me', 'wrong rates')", second.run_id)

    assert tables == 2
    assert await locations(plane) == {"gold.a": "file:///a1"}
    rows = await plane.db.fetch("select name, rows from ops.tables")
    states = await plane.db.fetch("select name, state from ops.table_states")
    assert [tuple(row) for row in rows] == [("gold.a", 1)]
    assert [tuple(row) for row in states] == [("gold.a", {"w": 1})]


async def test_rollback_is_refused_behind_a_later_publish(plane: Plane) -> None:
    await plane.pipeline("p")
    first = await plane.work("p")
    await plane.publish(first, [staged("gold.a", "file:///a1")])
    await plane.publish(await plane.work("p"), [staged("gold.a", "file:///a2", base="file:///a1")])

    with pytest.raises(asyncpg.PostgresError, match=r"gold\.a was published again by a later run"):
        await plane.db.fetchval("select ops.rollback_run($1, 'me', 'why')", first.run_id)

    assert await locations(plane) == {"gold.a": "file:///a2"}


async def test_rollback_does_not_undo_a_publish_that_was_under_way(plane: Plane) -> None:
    await plane.pipeline("p")
    await plane.publish(await plane.work("p"), [staged("gold.a", "file:///a1")])
    second = await plane.work("p")
    await plane.publish(second, [staged("gold.a", "file:///a2", base="file:///a1")])
    third = await plane.work("p")
    other = await asyncpg.connect(plane.dsn)
    await set_codecs(other)
    transaction = other.transaction()
    await transaction.start()
    changes = [staged("gold.a", "file:///a3", base="file:///a2")]
    await other.fetchval("select ops.publish_run($1, $2, $3, '{}')", third.run_id, third.token, changes)
    rollback = asyncio.create_task(plane.db.fetchval("select ops.rollback_run($1, 'me', 'why')", second.run_id))
    await somebody_waits(other)

    await transaction.commit()

    with pytest.raises(asyncpg.PostgresError, match="published again by a later run"):
        await rollback
    assert await locations(plane) == {"gold.a": "file:///a3"}
    await other.close()


async def test_a_run_that_was_rolled_back_is_not_retried(plane: Plane) -> None:
    await plane.pipeline("p")
    work = await plane.work("p")
    await plane.publish(work, [staged("gold.a", "file:///a1")])
    await plane.finish(work, "failed", error={"code": "UNEXPECTED"})
    await plane.db.fetchval("select ops.rollback_run($1, 'me', 'why')", work.run_id)

    with pytest.raises(asyncpg.PostgresError, match="not rolled back can be retried"):
        await plane.db.fetchval("select ops.retry_run($1, 'me')", work.run_id)


async def test_a_table_has_one_writer(plane: Plane) -> None:
    await plane.pipeline("owner")
    await plane.pipeline("stranger")
    await plane.publish(await plane.work("owner"), [staged("gold.a", "file:///a1")])

    with pytest.raises(asyncpg.PostgresError, match=r"gold\.a belongs to pipeline owner; stranger may not write it"):
        await plane.publish(await plane.work("stranger"), [staged("gold.a", "file:///x", base="file:///a1")])

    assert await locations(plane) == {"gold.a": "file:///a1"}
