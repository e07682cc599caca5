"""New work names the executor that may look first, when the dispatcher would give it to that one."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator

import asyncpg
import pytest

from opscore.db.pool import set_codecs
from support.plane import ENVIRONMENT, Plane


@pytest.fixture
async def plane(control_dsn: str) -> AsyncIterator[Plane]:
    connection = await asyncpg.connect(control_dsn)
    await set_codecs(connection)
    yield Plane(connection, control_dsn)
    await connection.close()


async def called(plane: Plane, *pipelines: str) -> str:
    """The payload of the ring that these runs bring."""
    heard: asyncio.Queue[str] = asyncio.Queue()
    await plane.db.add_listener("lakehouse_work", lambda *ring: heard.put_nowait(ring[3]))
    await plane.db.execute("select setval('ops.work_bell_rung', 1)")  # the bell has rested
    offered = [{"environment_id": ENVIRONMENT, "pipeline": pipeline} for pipeline in pipelines]
    await plane.db.fetch("select * from ops.enqueue_runs($1)", offered)
    return await asyncio.wait_for(heard.get(), 10)


async def test_the_executor_that_would_get_the_run_is_named(plane: Plane) -> None:
    executor = await plane.executor("one", 1, ())

    assert await called(plane, "query") == str(executor)


async def test_of_several_the_one_that_holds_fewest_is_named(plane: Plane) -> None:
    executors = {await plane.executor(name, 9, ()) for name in ("one", "two", "three")}
    await plane.enqueue()
    await plane.db.fetch("select * from ops.lease_runs(1)")
    busy = await plane.db.fetchval("select executor_id from ops.open_runs")

    named = {uuid.UUID(await called(plane, "query")), busy}
    await plane.claim(next(iter(named - {busy})))
    named.add(uuid.UUID(await called(plane, "query")))

    assert named == executors


async def test_nobody_is_named_when_nobody_has_a_slot(plane: Plane) -> None:
    assert await called(plane, "query") == ""


async def test_nobody_is_named_who_lacks_what_the_run_needs(plane: Plane) -> None:
    await plane.pipeline("picky", requires=["gpu"])
    await plane.executor("one", 1, ())

    assert await called(plane, "picky") == ""


async def test_many_runs_are_the_dispatcher_s(plane: Plane) -> None:
    await plane.executor("one", 100, ())

    assert await called(plane, *["query"] * 11) == ""


async def test_runs_of_two_pipelines_are_the_dispatcher_s(plane: Plane) -> None:
    await plane.pipeline("other")
    await plane.executor("one", 100, ())

    assert await called(plane, "query", "other") == ""


async def test_a_named_executor_gets_no_more_than_caps_allow(plane: Plane) -> None:
    executor = uuid.UUID(str(await plane.executor("one", 5, ())))
    await plane.db.fetchval(
        "select ops.set_cap($1, $2)", ENVIRONMENT, {"name": "none", "kind": "concurrency", "limit": 0}
    )
    await called(plane, "query")

    assert await plane.db.fetch("select * from ops.claim_work($1, 5)", executor) == []
