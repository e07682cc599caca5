"""A look that found no work is remembered, so that the next one need not search; what comes or falls due since is never missed."""

from __future__ import annotations

import asyncio
import uuid
from datetime import timedelta

import asyncpg
import pytest

from support.plane import Plane


async def look(plane: Plane) -> list[uuid.UUID]:
    """The runs that a dispatcher's look leases."""
    return [row["run_id"] for row in await plane.db.fetch("select run_id from ops.lease_runs(10)")]


async def none_waits(plane: Plane) -> bool:
    return await plane.db.fetchval("select ops.none_waits(ops.now())")


@pytest.fixture
async def seen(plane: Plane) -> Plane:
    """A control plane with a free executor, of which a look has found that no run waits."""
    await plane.executor()
    assert await look(plane) == []
    assert await none_waits(plane)
    return plane


async def test_before_the_first_look_nobody_knows(plane: Plane) -> None:
    assert not await none_waits(plane)


async def test_what_is_enqueued_since_is_leased(seen: Plane) -> None:
    run = await seen.enqueue()

    assert not await none_waits(seen)
    assert await look(seen) == [run]
    assert await none_waits(seen)


async def test_what_falls_due_since_is_leased(seen: Plane) -> None:
    run = await seen.enqueue(due_at=await seen.db.fetchval("select (ops.now() + interval '3 seconds')::text"))
    assert await look(seen) == []
    assert await none_waits(seen)

    await seen.pass_time(timedelta(seconds=4))

    assert await look(seen) == [run]


async def test_a_rescue_that_commits_after_a_look_is_not_missed(plane: Plane) -> None:
    work = await plane.work()
    await plane.pass_lease()
    await plane.executor()
    rescuer = await asyncpg.connect(plane.dsn)
    async with rescuer.transaction():
        await rescuer.fetch("select * from ops.requeue_stale_runs()")
        assert await look(plane) == []
    await rescuer.close()

    assert not await none_waits(plane)
    await plane.executor()
    assert await look(plane) == [work.run_id]


async def test_while_work_is_being_added_no_look_finds_that_none_waits(plane: Plane) -> None:
    await plane.executor()
    other = await asyncpg.connect(plane.dsn)
    async with other.transaction():
        await other.execute("select ops.leave_work()")
        assert await look(plane) == []
    await other.close()

    assert not await none_waits(plane)


async def test_what_waits_without_a_slot_is_not_nothing(plane: Plane) -> None:
    run = await plane.enqueue()

    assert await look(plane) == []
    assert not await none_waits(plane)
    await plane.executor()
    assert await look(plane) == [run]


async def test_were_a_note_missing_the_queue_is_asked_within_ten_seconds(seen: Plane) -> None:
    run = await seen.enqueue(due_at=await seen.db.fetchval("select (ops.now() + interval '1 hour')::text"))
    await look(seen)
    await seen.db.execute("update ops.open_runs set due_at = ops.now() - interval '1 hour'")  # nobody was told

    await seen.pass_time(timedelta(seconds=11))

    assert await look(seen) == [run]


async def test_a_clock_set_back_makes_it_unknown(seen: Plane) -> None:
    await seen.pass_time(timedelta(minutes=-1))

    assert not await none_waits(seen)


async def test_two_looks_at_once_leave_no_run_behind(plane: Plane) -> None:
    await plane.executor(slots=1000)
    runs: set[uuid.UUID] = set()
    leased: set[uuid.UUID] = set()
    others = [Plane(await asyncpg.connect(plane.dsn), plane.dsn) for _ in range(2)]
    for _ in range(50):
        run, *found = await asyncio.gather(plane.enqueue(), *(look(other) for other in others))
        runs.add(run)
        leased.update(*found)
    for other in others:
        leased.update(await look(other))
        await other.db.close()

    assert leased == runs
