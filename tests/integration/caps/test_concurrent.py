"""However many executors claim at once, no cap is ever exceeded, and nothing is left behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

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


class Crowd:
    """Dispatchers, executors and somebody who cancels, all at once, until nothing is open. A deadlock ends it with its error."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self.most = 0

    async def work(self) -> None:
        async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
            for _ in range(2):
                tasks.create_task(self._dispatch())
            for n in range(3):
                tasks.create_task(self._execute(f"many{n}", pulls=n == 0))
            tasks.create_task(self._cancel())

    @asynccontextmanager
    async def _join(self) -> AsyncGenerator[Plane]:
        connection = await asyncpg.connect(self._dsn, server_settings={"deadlock_timeout": "20ms"})
        await set_codecs(connection)
        try:
            yield Plane(connection, self._dsn)
        finally:
            await connection.close()

    async def _goes_on(self, plane: Plane) -> bool:
        used, opened = await plane.db.fetchrow(
            "select ops.cap_used(c, ops.now()), (select count(*) from ops.open_runs) from ops.caps as c where c.name = 'c'"
        )
        self.most = max(self.most, int(used))
        return opened > 0

    async def _dispatch(self) -> None:
        async with self._join() as plane:
            while await self._goes_on(plane):
                for task in ("requeue_stale_runs()", "release_runs()", "lease_runs(5)"):
                    await plane.db.fetch(f"select ops.{task}")

    async def _execute(self, name: str, *, pulls: bool) -> None:
        async with self._join() as plane:
            executor = await plane.executor(name, slots=20)
            verb = "claim_work" if pulls else "take_work"
            while await self._goes_on(plane):
                taken = await plane.db.fetch(f"select run_id, token, attempt from ops.{verb}($1, 2)", executor)
                held = [{"run_id": row["run_id"], "token": row["token"]} for row in taken]
                told = await plane.db.fetch("select run_id, verdict from ops.beat($1, $2)", executor, held)
                stopped = {row["run_id"] for row in told if row["verdict"] == "cancel"}
                ends = [
                    end
                    | ({"outcome": "canceled"} if end["run_id"] in stopped else {"outcome": "failed", "retry_in_ms": 0})
                    for end in held
                ]
                await plane.db.fetch("select * from ops.finish_runs($1)", ends)

    async def _cancel(self) -> None:
        async with self._join() as plane:
            while await self._goes_on(plane):
                run = await plane.db.fetchval("select run_id from ops.open_runs order by run_id desc limit 1")
                if run is not None:
                    await plane.db.fetchval("select ops.cancel_run($1, 'ana')", run)


@pytest.mark.parametrize("behaviour", ["hold", "cancel_oldest", "cancel_newest"])
async def test_dispatchers_and_executors_and_people_do_not_deadlock(plane: CapPlane, behaviour: str) -> None:
    await plane.apply(ENVIRONMENT, "p", labels=["erp"])
    await plane.apply(ENVIRONMENT, "q", labels=["erp"], estimate={"rows": 1})
    await plane.set_cap(limit=4, scope="label", subject="erp", behaviour=behaviour)
    await plane.set_cap("rows", 1000, name="rows")
    for pipeline in ("p", "q"):
        await plane.enqueue_many(ENVIRONMENT, 60, pipeline)
    crowd = Crowd(plane.dsn)

    await crowd.work()

    assert 0 < crowd.most <= 4
    states = await plane.db.fetch("select distinct state from ops.runs")
    assert {row["state"] for row in states} <= {"failed", "canceled"}


@pytest.fixture
async def writer(plane: CapPlane) -> AsyncIterator[Plane]:
    """A second session, in the middle of a transaction; the first one waits for no lock longer than two seconds."""
    await plane.db.execute("set lock_timeout = '2s'")
    connection = await asyncpg.connect(plane.dsn)
    await set_codecs(connection)
    await connection.execute("begin")
    yield Plane(connection, plane.dsn)
    await connection.close()


async def test_a_run_that_ends_just_now_is_not_waited_for_to_make_room(plane: CapPlane, writer: Plane) -> None:
    await plane.apply(ENVIRONMENT, "p")
    await plane.set_cap(limit=1, behaviour="cancel_oldest")
    ending, waiting = await plane.work("p"), await plane.enqueue("p")
    await writer.finish(ending)

    meanwhile = await plane.take()
    await writer.db.execute("commit")

    assert meanwhile == []
    assert [work.run_id for work in await plane.take()] == [waiting]
    assert (await plane.run(ending.run_id))["state"] == "succeeded"


async def test_an_executor_that_is_declared_lost_just_now_is_not_waited_for_by_its_own_claim(
    plane: CapPlane, writer: Plane
) -> None:
    await plane.apply(ENVIRONMENT, "p")
    await plane.set_cap(limit=2)
    lost = await plane.work("p")
    await plane.enqueue("p")
    await plane.pass_lease()
    executor = await plane.executor()
    await plane.db.execute(
        "insert into ops.leaders (role, holder, expires_at) values ('dispatcher', $1, 'infinity')", executor
    )
    await writer.rescue()

    claimed = await plane.claim(executor)
    await writer.db.execute("commit")

    assert len(claimed) == 1
    assert (await plane.run(lost.run_id))["state"] == "queued"


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
