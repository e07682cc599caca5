"""What counts against a cap: reserved while a run is leased, settled when it ends, gone with its lease or its window."""

from __future__ import annotations

from datetime import timedelta

import asyncpg
import pytest

from support.caps import HOUR, CapPlane
from support.plane import ENVIRONMENT

METERED = ("rows", "bytes", "queries", "compute_seconds", "cost")


@pytest.mark.parametrize("kind", METERED)
async def test_what_was_reserved_is_settled_by_what_was_used(plane: CapPlane, kind: str) -> None:
    await plane.apply(ENVIRONMENT, "p", estimate={kind: 10})
    await plane.set_cap(kind, 100)
    work = await plane.work("p")

    reserved = (await plane.cap())["used"]
    await plane.finish(work, usage={kind: "2.5"})

    assert (reserved, (await plane.cap())["used"]) == (10, 2.5)


async def test_attempts_that_failed_are_charged_too_and_none_is_charged_twice(plane: CapPlane) -> None:
    await plane.apply(ENVIRONMENT, "p", estimate={"rows": 10})
    await plane.set_cap("rows", 100)
    await plane.finish(await plane.work("p"), "failed", retry_in_ms=0, usage={"rows": 3})

    (again,) = await plane.take()
    await plane.finish(again, usage={"rows": 4})

    assert (await plane.cap())["used"] == 7


async def test_an_executor_that_says_nothing_is_charged_what_was_estimated(plane: CapPlane) -> None:
    await plane.apply(ENVIRONMENT, "p", estimate={"bytes": 10})
    await plane.set_cap("bytes", 100)

    await plane.finish(await plane.work("p"))

    assert (await plane.cap())["used"] == 10


async def test_seconds_under_lease_are_seen_without_being_told(plane: CapPlane) -> None:
    await plane.pipeline("p")
    await plane.set_cap("compute_seconds", 100)
    work = await plane.work("p")
    await plane.pass_time(timedelta(seconds=20))

    await plane.finish(work)

    assert 20 <= (await plane.cap())["used"] < 30


@pytest.mark.parametrize("kind", ["concurrency", *METERED])
async def test_a_lost_lease_gives_back_what_it_reserved(plane: CapPlane, kind: str) -> None:
    await plane.apply(ENVIRONMENT, "p", estimate=dict.fromkeys(METERED, 10))
    await plane.set_cap(kind, 10)
    await plane.work("p")
    await plane.pass_lease()

    await plane.rescue()

    assert (await plane.cap())["used"] == 0


async def test_amounts_that_are_none_are_not_settled(plane: CapPlane) -> None:
    await plane.apply(ENVIRONMENT, "p")
    await plane.set_cap("rows", 100)

    await plane.finish(await plane.work("p"), usage={"rows": "NaN", "bytes": -4, "cost": {}})
    await plane.finish(await plane.work("p"), usage=["rows"])

    assert (await plane.cap())["used"] == 0


async def test_a_batch_that_fits_only_in_part_is_leased_only_in_part(plane: CapPlane) -> None:
    await plane.apply(ENVIRONMENT, "p", estimate={"rows": 4})
    await plane.set_cap("rows", 10)
    await plane.enqueue_many(ENVIRONMENT, 5)

    taken = await plane.take()

    assert (len(taken), (await plane.cap())["used"]) == (2, 8)


async def test_a_run_s_own_estimate_counts_instead_of_its_pipeline_s(plane: CapPlane) -> None:
    await plane.apply(ENVIRONMENT, "p", estimate={"rows": 4})
    await plane.set_cap("rows", 10)

    await plane.work("p", estimate={"rows": "9.5"})

    assert (await plane.cap())["used"] == 9.5


async def test_what_a_cap_never_allows_does_not_block_what_is_behind_it(plane: CapPlane) -> None:
    await plane.apply(ENVIRONMENT, "p", estimate={"rows": 4})
    await plane.set_cap("rows", 10)
    huge, small = await plane.enqueue("p", estimate={"rows": 11}), await plane.enqueue("p")

    taken = await plane.take()
    reason = await plane.reason(huge)

    assert [work.run_id for work in taken] == [small]
    assert reason is not None
    assert (reason["needs"], reason["limit"]) == (11, 10)


async def test_the_window_slides(plane: CapPlane) -> None:
    await plane.apply(ENVIRONMENT, "p")
    await plane.set_cap("runs", 2)
    await plane.finish(await plane.work("p"))
    await plane.pass_time(timedelta(minutes=40))
    await plane.finish(await plane.work("p"))
    await plane.enqueue_many(ENVIRONMENT, 2)

    full = await plane.take()
    await plane.pass_time(timedelta(minutes=22))
    room_for_one = await plane.take()

    assert (len(full), len(room_for_one)) == (0, 1)


async def test_the_ledger_of_a_busy_cap_stays_small(plane: CapPlane) -> None:
    await plane.apply(ENVIRONMENT, "p")
    await plane.set_cap("runs", 10_000)

    for _ in range(150):
        for work in [await plane.work("p"), await plane.work("p")]:
            await plane.finish(work)
        await plane.pass_time(timedelta(seconds=20))

    rows = await plane.db.fetchval("select count(*) from ops.cap_usage")
    assert (await plane.cap())["used"] == 300
    assert rows <= HOUR / 60 + 1


async def test_a_clock_that_ran_ahead_does_not_fill_the_cap_for_ever(plane: CapPlane) -> None:
    await plane.apply(ENVIRONMENT, "p")
    await plane.set_cap("runs", 1)
    await plane.pass_time(timedelta(days=1))
    await plane.finish(await plane.work("p"))
    await plane.pass_time(timedelta(days=-1))
    await plane.enqueue("p")

    assert len(await plane.take()) == 1


async def test_recovery_passes_the_gate(plane: CapPlane) -> None:
    await plane.apply(ENVIRONMENT, "p")
    await plane.set_cap(limit=1)
    lost = await plane.work("p")
    await plane.set_cap(limit=0)
    waiting = await plane.enqueue("p")
    await plane.pass_lease()
    await plane.rescue()

    taken = await plane.take()

    assert [work.run_id for work in taken] == [lost.run_id]
    assert await plane.state(waiting) == "held"


async def test_a_cap_below_what_is_in_use_stops_nothing_and_lets_nothing_new_start(plane: CapPlane) -> None:
    await plane.apply(ENVIRONMENT, "p")
    works = [await plane.work("p") for _ in range(3)]
    await plane.set_cap(limit=1)
    await plane.enqueue("p")

    verdicts = {await plane.beat(work) for work in works}
    while_full = await plane.take()
    for work in works:
        await plane.finish(work)

    assert (verdicts, while_full, len(await plane.take())) == ({"go_on"}, [], 1)


async def test_a_raise_holds_until_it_ends_and_then_stops_nothing(plane: CapPlane) -> None:
    await plane.apply(ENVIRONMENT, "p")
    await plane.set_cap(limit=1)
    await plane.enqueue_many(ENVIRONMENT, 4)

    await plane.raise_cap(3, timedelta(hours=2))
    raised = await plane.cap()
    during = await plane.take()
    await plane.pass_time(timedelta(hours=2))
    after = await plane.cap()

    assert (raised["limit"], raised["standing_limit"], raised["raised"]["by"]) == (3, 1, "ana")
    assert len(during) == 3
    assert (after["limit"], after["raised"], await plane.take()) == (1, None, [])


@pytest.mark.parametrize(
    ("to", "length"), [(1, timedelta(hours=1)), (0, timedelta(hours=1)), (3, timedelta(0)), (3, timedelta(days=32))]
)
async def test_what_is_no_raise_is_refused(plane: CapPlane, to: int, length: timedelta) -> None:
    await plane.set_cap(limit=1)

    with pytest.raises(asyncpg.PostgresError) as refused:
        await plane.raise_cap(to, length)

    assert refused.value.detail == "INVALID_INPUT"


async def test_only_so_many_may_wait(plane: CapPlane) -> None:
    await plane.apply(ENVIRONMENT, "p")
    await plane.set_cap(limit=1, max_waiting=2)
    await plane.work("p")
    await plane.enqueue_many(ENVIRONMENT, 2)

    with pytest.raises(asyncpg.PostgresError, match="3 runs would wait under cap c, which lets 2 wait") as refused:
        await plane.enqueue("p")

    assert refused.value.detail == "CAP_EXCEEDED"


async def test_a_disabled_cap_holds_nothing_and_a_removed_one_lets_go(plane: CapPlane) -> None:
    await plane.apply(ENVIRONMENT, "p")
    await plane.set_cap(limit=0)
    run = await plane.enqueue("p")
    held = await plane.take()
    await plane.set_cap(limit=0, enabled=False)
    released = await plane.db.fetchval("select ops.release_runs()")
    state = await plane.state(run)
    await plane.set_cap(limit=0)
    await plane.take()

    await plane.db.fetchval("select ops.remove_cap($1, 'c')", ENVIRONMENT)

    assert (held, released, state) == ([], 1, "queued")
    assert [work.run_id for work in await plane.take()] == [run]


async def test_the_dry_run_tells_of_each_cap_and_changes_nothing(plane: CapPlane) -> None:
    await plane.apply(ENVIRONMENT, "p", estimate={"rows": 4})
    await plane.set_cap("rows", 10)
    lanes = await plane.db.fetchval("select count(*) from ops.lanes")

    as_estimated = await plane.allow()
    more = await plane.allow(estimate={"rows": 11})
    await plane.set_cap(limit=0, name="l", scope="label", subject="x")
    labelled = await plane.allow(labels=["x"])

    assert as_estimated == {"allowed": True, "reason": None}
    assert (more["allowed"], more["reason"]["cap"], more["reason"]["needs"]) == (False, "c", 11)
    assert (labelled["allowed"], labelled["reason"]["cap"]) == (False, "l")
    assert await plane.db.fetchval("select count(*) from ops.lanes") == lanes


async def test_the_dry_run_knows_no_pipeline_that_is_not_there(plane: CapPlane) -> None:
    with pytest.raises(asyncpg.PostgresError, match="no pipeline 'nobody'") as refused:
        await plane.allow("nobody")

    assert refused.value.detail == "NOT_FOUND"


async def test_held_and_released_runs_do_not_go_back_and_forth(plane: CapPlane) -> None:
    await plane.apply(ENVIRONMENT, "p", estimate={"rows": 4})
    await plane.set_cap("rows", 10)
    await plane.enqueue_many(ENVIRONMENT, 8)

    for _ in range(5):
        await plane.take()
        await plane.db.fetchval("select ops.release_runs()")

    kinds = await plane.db.fetch("select type, count(*) as n from ops.run_events group by type")
    told = {row["type"]: row["n"] for row in kinds}
    assert (told["RUN_HELD"], told.get("RUN_RELEASED", 0)) == (6, 0)
