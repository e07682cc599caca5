"""Ceilings hold runs, say why, and let them go."""

from __future__ import annotations

from datetime import timedelta

from support.plane import ENVIRONMENT, Plane


async def test_a_run_over_the_cap_is_held_and_says_who_holds_the_room(plane: Plane) -> None:
    await plane.pipeline("p", caps=[{"kind": "concurrency", "limit": 1}])
    working = await plane.work("p")
    waiting = await plane.enqueue("p")

    taken = await plane.claim(await plane.executor(), 10)

    reason = (await plane.run(waiting))["wait_reason"]
    assert taken == []
    assert (reason["cap"], reason["limit"], reason["used"]) == ("spec:p:concurrency", 1, 1)
    assert reason["holders"] == [str(working.run_id)]


async def test_a_held_run_starts_when_room_frees_up(plane: Plane) -> None:
    await plane.pipeline("p", caps=[{"kind": "concurrency", "limit": 1}])
    working = await plane.work("p")
    waiting = await plane.enqueue("p")
    await plane.claim(await plane.executor(), 10)

    still_full = await plane.db.fetchval("select ops.release_runs()")
    await plane.finish(working)
    released = await plane.db.fetchval("select ops.release_runs()")
    taken = await plane.claim(await plane.executor(), 10)

    assert (still_full, released) == (0, 1)
    assert [work.run_id for work in taken] == [waiting]
    assert (await plane.events(waiting))[:3] == ["RUN_CREATED", "RUN_HELD", "RUN_RELEASED"]


async def test_room_of_a_dead_executor_is_free_as_soon_as_its_lease_ends(plane: Plane) -> None:
    await plane.pipeline("p", caps=[{"kind": "concurrency", "limit": 1}])
    lost = await plane.work("p")
    await plane.pass_lease()

    await plane.rescue()
    taken = await plane.claim(await plane.executor(), 10)

    assert [work.run_id for work in taken] == [lost.run_id]


async def test_one_batch_cannot_pass_a_cap(plane: Plane) -> None:
    await plane.pipeline("p", caps=[{"kind": "concurrency", "limit": 2}])
    for _ in range(5):
        await plane.enqueue("p")

    taken = await plane.claim(await plane.executor(), 10)

    assert len(taken) == 2


async def test_runs_per_window_are_counted(plane: Plane) -> None:
    await plane.pipeline("p", caps=[{"kind": "runs", "limit": 1, "window_seconds": 60}])
    await plane.finish(await plane.work("p"))
    await plane.enqueue("p")

    within = await plane.claim(await plane.executor(), 10)
    await plane.pass_time(timedelta(seconds=61))
    await plane.db.fetchval("select ops.release_runs()")
    after = await plane.claim(await plane.executor(), 10)

    assert (len(within), len(after)) == (0, 1)


async def test_cap_allow_answers_a_dry_run(plane: Plane) -> None:
    await plane.pipeline("p", caps=[{"kind": "concurrency", "limit": 1}])

    free = await plane.db.fetchval("select ops.cap_allow($1, 'p')", ENVIRONMENT)
    await plane.work("p")
    full = await plane.db.fetchval("select ops.cap_allow($1, 'p')", ENVIRONMENT)

    assert (free["allowed"], full["allowed"]) == (True, False)
    assert full["reason"]["used"] == 1


async def test_uncapped_runs_pass_held_ones(plane: Plane) -> None:
    await plane.pipeline("p", caps=[{"kind": "concurrency", "limit": 0}])
    await plane.enqueue("p", priority=9)
    free = await plane.enqueue()

    taken = await plane.claim(await plane.executor(), 10)

    assert [work.run_id for work in taken] == [free]


async def test_held_runs_of_a_full_cap_do_not_hide_those_that_have_room(plane: Plane) -> None:
    await plane.pipeline("full", caps=[{"kind": "concurrency", "limit": 0}])
    await plane.pipeline("tight", caps=[{"kind": "concurrency", "limit": 1}])
    for _ in range(5):
        await plane.enqueue("full", priority=9)
    working, waiting = await plane.work("tight"), await plane.enqueue("tight")
    await plane.claim(await plane.executor(), 10)
    await plane.finish(working)

    released = await plane.db.fetchval("select ops.release_runs(1)")
    (taken,) = await plane.claim(await plane.executor(), 10)

    assert (released, taken.run_id) == (1, waiting)


async def test_no_more_is_released_than_there_is_room_for(plane: Plane) -> None:
    await plane.pipeline("p", caps=[{"kind": "concurrency", "limit": 2}])
    for _ in range(10):
        await plane.enqueue("p")
    first, _ = await plane.claim(await plane.executor(), 10)
    await plane.finish(first)

    first_release = await plane.db.fetchval("select ops.release_runs()")
    second_release = await plane.db.fetchval("select ops.release_runs()")

    assert (first_release, second_release) == (1, 0)


async def test_capped_runs_that_nobody_can_take_do_not_block_those_that_somebody_can(plane: Plane) -> None:
    await plane.pipeline("exotic", requires=["gpu"], caps=[{"kind": "concurrency", "limit": 100}])
    await plane.pipeline("plain", caps=[{"kind": "concurrency", "limit": 100}])
    for _ in range(3):
        await plane.enqueue("exotic", priority=9)
    plain = await plane.enqueue("plain")

    taken = await plane.claim(await plane.executor(), 1)

    assert [work.run_id for work in taken] == [plain]
