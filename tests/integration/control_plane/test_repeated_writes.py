"""Writes whose answer was lost are made again, and change nothing the second time; crossing batches do not deadlock."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import asyncpg

from opscore.db.pool import set_codecs
from support.plane import Plane, Work

STEP = {"type": "PHASE_PROGRESS", "data": {"done": 1}}
NEXT = {"type": "PHASE_PROGRESS", "data": {"done": 2}}


async def stored(plane: Plane, work: Work) -> list[Any]:
    rows = await plane.db.fetch(
        "select data from ops.run_events where run_id = $1 and type = 'PHASE_PROGRESS' order by run_seq", work.run_id
    )
    return [row["data"]["done"] for row in rows]


async def gaps(plane: Plane, work: Work) -> bool:
    return await plane.db.fetchval(
        "select count(*) <> max(run_seq) or max(run_seq) <> (select event_seq from ops.runs where id = $1)"
        " from ops.run_events where run_id = $1",
        work.run_id,
    )


async def test_a_repeated_beat_stores_its_events_once(plane: Plane) -> None:
    work = await plane.work()
    await plane.beat(work, events=[STEP], events_from=0)

    verdict = await plane.beat(work, events=[STEP, NEXT], events_from=0)

    assert (verdict, await stored(plane, work)) == ("go_on", [1, 2])
    assert not await gaps(plane, work)


async def test_an_end_does_not_store_again_what_a_beat_had_brought(plane: Plane) -> None:
    work = await plane.work()
    await plane.beat(work, events=[STEP], events_from=0)

    await plane.finish(work, events=[STEP, NEXT], events_from=0)

    assert await stored(plane, work) == [1, 2]
    assert not await gaps(plane, work)


async def test_an_end_that_is_told_twice_in_a_batch_is_answered_once_for_each(plane: Plane) -> None:
    work = await plane.work()
    offered = [{"run_id": work.run_id, "token": work.token, "outcome": "succeeded"}] * 2
    await plane.db.fetch("select * from ops.finish_runs($1)", offered)

    again = await plane.db.fetch("select accepted, state from ops.finish_runs($1)", offered)

    assert [tuple(row) for row in again] == [(True, "succeeded")] * 2


async def test_an_executor_that_numbers_nothing_has_all_its_events_stored(plane: Plane) -> None:
    work = await plane.work()
    await plane.beat(work, events=[STEP])

    await plane.beat(work, events=[STEP])
    await plane.finish(work, events=[NEXT])

    assert await stored(plane, work) == [1, 1, 2]
    assert not await gaps(plane, work)


async def test_the_next_lease_counts_its_events_anew(plane: Plane) -> None:
    work = await plane.work()
    await plane.beat(work, events=[STEP, STEP], events_from=0)
    await plane.pass_lease()
    await plane.rescue()
    (again,) = await plane.claim(await plane.executor())

    await plane.beat(again, events=[NEXT], events_from=0)

    assert await stored(plane, work) == [1, 1, 2]


async def test_a_repeated_end_is_answered_like_the_first_and_leaves_no_trace(plane: Plane) -> None:
    work = await plane.work()
    await plane.finish(work)
    before = await plane.events(work.run_id)

    offered = [{"run_id": work.run_id, "token": work.token, "outcome": "succeeded"}]
    answer = await plane.db.fetchrow("select accepted, state from ops.finish_runs($1)", offered)

    assert tuple(answer) == (True, "succeeded")
    assert await plane.events(work.run_id) == before


async def test_a_repeated_failure_burns_one_attempt(plane: Plane) -> None:
    await plane.pipeline("flaky")
    work = await plane.work("flaky")
    fault = {"error": {"code": "SOURCE_UNAVAILABLE", "message": "gone"}, "retry_in_ms": 5000}
    await plane.finish(work, "failed", **fault)

    accepted = await plane.finish(work, "failed", **fault)

    row = await plane.run(work.run_id)
    assert (accepted, row["state"], row["failures"]) == (True, "queued", 1)


async def test_an_end_told_under_a_lease_that_was_lost_is_still_refused(plane: Plane) -> None:
    work = await plane.work()
    await plane.pass_lease()
    await plane.rescue()

    accepted = await plane.finish(work)

    assert not accepted
    assert (await plane.events(work.run_id))[-1] == "WRITE_REFUSED"


async def test_a_start_whose_answer_was_lost_is_still_true(plane: Plane) -> None:
    run = await plane.enqueue()
    executor = await plane.executor()
    claimed = await plane.db.fetchrow("select * from ops.claim_run($1)", executor)
    await plane.db.fetchval("select ops.start_run($1, $2)", run, claimed["token"])

    again = await plane.db.fetchval("select ops.start_run($1, $2)", run, claimed["token"])

    assert again
    assert (await plane.events(run)).count("PHASE_STARTED") == 1


async def test_crossing_batches_of_beats_and_ends_do_not_deadlock(plane: Plane) -> None:
    """Every session holds the same runs in another order; one of them ends them half-way."""
    for _ in range(60):
        await plane.enqueue()
    works = await plane.claim(await plane.executor(slots=100), 60)
    sessions = [await asyncpg.connect(plane.dsn) for _ in range(4)]
    for session in sessions:
        await set_codecs(session)

    async def cross(number: int) -> None:
        order = random.Random(number)
        for turn in range(25):
            offered = [
                {"run_id": w.run_id, "token": w.token, "outcome": "interrupted", "events": [STEP]} for w in works
            ]
            order.shuffle(offered)
            call = "finish_runs($1)" if turn == 20 else "beat(null, $1)"
            await sessions[number].fetch(f"select * from ops.{call}", offered)

    try:
        await asyncio.gather(*(cross(number) for number in range(4)))
    finally:
        for session in sessions:
            await session.close()

    assert {(await plane.run(work.run_id))["interruptions"] for work in works} == {1}
