"""One switch stops new leases everywhere; what runs goes on."""

from __future__ import annotations

import asyncpg
import pytest

from support.plane import Plane


async def test_nothing_new_is_leased_while_paused(plane: Plane) -> None:
    executor = await plane.executor()
    await plane.enqueue()
    await plane.db.fetchval("select ops.pause('ada', 'moving house')")

    leased = await plane.db.fetch("select * from ops.lease_runs(10)")
    claimed = await plane.claim(executor, 10)
    pulled = await plane.db.fetch("select * from ops.claim_run($1)", executor)

    assert (leased, claimed, pulled) == ([], [], [])


async def test_running_work_goes_on_to_its_end_while_paused(plane: Plane) -> None:
    work = await plane.work()
    await plane.db.fetchval("select ops.pause('ada', 'moving house')")

    assert await plane.beat(work) == "go_on"
    assert await plane.finish(work)


async def test_a_run_that_was_rescued_while_paused_waits_for_the_end_of_the_pause(plane: Plane) -> None:
    work = await plane.work()
    await plane.db.fetchval("select ops.pause('ada', 'moving house')")
    await plane.pass_lease()
    assert await plane.rescue() == [(work.run_id, "queued")]
    executor = await plane.executor("e2")

    paused = await plane.claim(executor)
    await plane.db.fetchval("select ops.resume()")
    resumed = await plane.claim(executor)

    assert (paused, [one.run_id for one in resumed]) == ([], [work.run_id])


async def test_a_waiting_run_says_who_paused_and_why(plane: Plane) -> None:
    await plane.executor()
    run = await plane.enqueue()
    await plane.db.fetchval("select ops.pause('ada', 'moving house')")

    reason = await plane.db.fetchval("select ops.wait_reason($1)", run)

    assert (reason["why"], reason["by"], reason["reason"]) == ("paused", "ada", "moving house")


async def test_a_second_pause_changes_the_reason_and_keeps_its_beginning(plane: Plane) -> None:
    first = await plane.db.fetchval("select ops.pause('ada', 'moving house')")
    second = await plane.db.fetchval("select ops.pause('bob', 'still moving')")

    assert first == second
    assert await plane.db.fetchval("select paused_by from ops.settings") == "bob"


async def test_only_the_first_resume_ends_a_pause(plane: Plane) -> None:
    await plane.db.fetchval("select ops.pause('ada', 'moving house')")

    assert [await plane.db.fetchval("select ops.resume()") for _ in range(2)] == [True, False]


@pytest.mark.parametrize(("by", "reason"), [("ada", ""), ("", "why"), (None, "why"), ("ada", None)])
async def test_a_pause_needs_a_name_and_a_reason(plane: Plane, by: str | None, reason: str | None) -> None:
    with pytest.raises(asyncpg.PostgresError, match="needs a name and a reason"):
        await plane.db.fetchval("select ops.pause($1, $2)", by, reason)
