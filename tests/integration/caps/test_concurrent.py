"""However many executors claim at once, no cap is ever exceeded, and nothing is left behind."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from opscore.db.pool import set_codecs
from support.caps import CapPlane
from support.plane import ENVIRONMENT, Plane, somebody_waits

EXECUTORS, RUNS = 6, 120


class Watch:
    """The most that was ever in use, looked at by every executor right after it claimed."""

    def __init__(self) -> None:
        self.most = 0
        self.done = 0


async def one_executor(dsn: str, name: str, watch: Watch) -> None:
    connection = await asyncpg.connect(dsn)
    await set_codecs(connection)
    plane = Plane(connection, dsn)
    executor = await plane.executor(name, slots=20)
    while watch.done < RUNS:
        works = await plane.claim(executor, 5)
        used = await connection.fetchval("select ops.cap_used(c, ops.now()) from ops.caps as c where c.name = 'c'")
        watch.most = max(watch.most, int(used))
        for work in works:
            assert await plane.finish(work, usage={"rows": 0})
            watch.done += 1
    await connection.close()


@pytest.mark.parametrize(("kind", "limit"), [("concurrency", 3), ("rows", 7)])
async def test_no_cap_is_exceeded_by_many_who_claim_at_once(plane: CapPlane, kind: str, limit: int) -> None:
    for pipeline in ("p", "q"):
        await plane.apply(ENVIRONMENT, pipeline, estimate={"rows": 2})
        await plane.enqueue_many(ENVIRONMENT, RUNS // 2, pipeline)
    await plane.set_cap(kind, limit)
    watch = Watch()

    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        for n in range(EXECUTORS):
            tasks.create_task(one_executor(plane.dsn, f"many{n}", watch))

    assert watch.done == RUNS
    assert 0 < watch.most <= limit


async def test_starts_within_a_window_are_counted_across_executors(plane: CapPlane) -> None:
    await plane.apply(ENVIRONMENT, "p")
    await plane.set_cap("runs", 7)
    await plane.enqueue_many(ENVIRONMENT, 40)

    async def claim(name: str) -> int:
        connection = await asyncpg.connect(plane.dsn)
        await set_codecs(connection)
        other = Plane(connection, plane.dsn)
        taken = await other.claim(await other.executor(name), 5)
        await connection.close()
        return len(taken)

    assert sum(await asyncio.gather(*(claim(f"many{n}") for n in range(EXECUTORS)))) == 7


async def test_many_who_ask_at_once_cannot_pass_a_ceiling_on_waiting_runs(plane: CapPlane) -> None:
    await plane.apply(ENVIRONMENT, "p")
    await plane.set_cap(limit=1, max_waiting=5)

    async def ask() -> bool:
        connection = await asyncpg.connect(plane.dsn)
        await set_codecs(connection)
        try:
            await Plane(connection, plane.dsn).enqueue("p")
        except asyncpg.PostgresError as refused:
            assert refused.detail == "CAP_EXCEEDED"  # noqa: PT017
            return False
        finally:
            await connection.close()
        return True

    assert sum(await asyncio.gather(*(ask() for _ in range(12)))) == 5


async def test_a_lane_and_a_cap_made_at_once_find_each_other(plane: CapPlane) -> None:
    await plane.apply(ENVIRONMENT, "p")
    other, onlooker = await asyncpg.connect(plane.dsn), await asyncpg.connect(plane.dsn)
    await set_codecs(other)
    transaction = other.transaction()
    await transaction.start()
    await Plane(other, plane.dsn).enqueue("p", labels=["new"])

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(plane.set_cap(limit=0, scope="label", subject="new"))
        await somebody_waits(onlooker)
        await transaction.commit()

    assert await plane.take() == []
    await other.close()
    await onlooker.close()
