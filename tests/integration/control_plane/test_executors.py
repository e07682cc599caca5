"""Executors come, run empty at a person's wish, and sign off; without a dispatcher they keep everything moving."""

from __future__ import annotations

import asyncio
import uuid
from datetime import timedelta

import asyncpg
import pytest

from support.plane import ENVIRONMENT, Plane

ALIVE = "select lost_at is null from ops.executors where id = $1"


async def lead(plane: Plane, ttl_ms: int = 3000) -> None:
    await plane.db.execute("select ops.take_leadership('dispatcher', $1, $2)", uuid.uuid4(), ttl_ms)


async def test_an_executor_that_signs_off_is_gone_at_once(plane: Plane) -> None:
    executor = await plane.executor()
    run = await plane.enqueue()

    await plane.db.execute("select ops.sign_off($1)", executor)

    leased = await plane.db.fetch("select * from ops.lease_runs()")
    shown = await plane.db.fetchrow("select lost_at, signed_off_at from api.executors where id = $1", executor)
    assert leased == []
    assert None not in tuple(shown)
    assert (await plane.db.fetchval("select ops.wait_reason($1)", run))["why"] == "no_executor"


async def test_a_late_beat_does_not_bring_back_who_signed_off(plane: Plane) -> None:
    executor = await plane.executor()
    await plane.db.execute("select ops.sign_off($1)", executor)

    await plane.db.fetch("select * from ops.beat($1, '[]')", executor)

    assert not await plane.db.fetchval(ALIVE, executor)


async def test_who_signed_off_is_back_when_it_registers_again(plane: Plane) -> None:
    executor = await plane.executor()
    await plane.db.execute("select ops.sign_off($1)", executor)

    again = await plane.executor()

    assert again == executor
    assert await plane.db.fetchval(ALIVE, executor)


async def test_what_was_leased_and_not_begun_goes_back_at_sign_off_and_burns_no_attempt(plane: Plane) -> None:
    run, executor = await plane.enqueue(), await plane.executor()
    await plane.db.fetch("select * from ops.lease_runs()")

    await plane.db.execute("select ops.sign_off($1)", executor)

    row = await plane.run(run)
    assert (row["state"], row["interruptions"], row["failures"], row["losses"]) == ("queued", 1, 0, 0)


async def test_a_drained_executor_keeps_its_run_and_gets_no_other(plane: Plane) -> None:
    executor = await plane.executor()
    await plane.enqueue()
    (work,) = await plane.claim(executor)

    await plane.db.execute("select ops.drain_executor('e1', 'me', 'new disk')")
    await plane.db.fetch("select * from ops.beat($1, '[]')", executor)  # its own beat does not undo the wish
    await plane.enqueue()

    assert await plane.claim(executor) == []
    assert await plane.finish(work)
    shown = await plane.db.fetchrow("select drain_requested_by, drain_reason from api.executors")
    assert tuple(shown) == ("me", "new disk")


async def test_an_undrained_executor_gets_work_again(plane: Plane) -> None:
    executor = await plane.executor()
    await plane.enqueue()
    await plane.db.execute("select ops.drain_executor('e1', 'me')")

    await plane.db.execute("select ops.undrain_executor('e1')")

    assert len(await plane.claim(executor)) == 1


async def test_draining_an_executor_that_nobody_knows_is_refused(plane: Plane) -> None:
    with pytest.raises(asyncpg.PostgresError, match="there is no executor 'nobody'"):
        await plane.db.execute("select ops.drain_executor('nobody', 'me')")


async def test_without_a_dispatcher_a_claim_rescues_what_another_lost(plane: Plane) -> None:
    work = await plane.work()
    await plane.pass_lease()

    (taken,) = await plane.claim(await plane.executor("e2"))

    assert (taken.run_id, taken.attempt) == (work.run_id, 2)
    assert (await plane.run(work.run_id))["losses"] == 1


async def test_without_a_dispatcher_a_claim_releases_what_a_cap_had_held(plane: Plane) -> None:
    await plane.pipeline("capped", caps=[{"kind": "concurrency", "limit": 1}])
    first = await plane.work("capped")
    second = await plane.enqueue("capped")
    await plane.claim(await plane.executor())
    held = (await plane.run(second))["state"]
    await plane.finish(first)
    await plane.pass_time(timedelta(seconds=1))

    await plane.claim(await plane.executor())

    assert held == "held"
    assert (await plane.run(second))["state"] == "running"
    assert "RUN_RELEASED" in await plane.events(second)


async def test_while_a_dispatcher_leads_a_claim_leaves_rescue_to_it(plane: Plane) -> None:
    work = await plane.work()
    await plane.pass_lease()
    await lead(plane)

    taken = await plane.claim(await plane.executor("e2"))

    assert taken == []
    assert (await plane.run(work.run_id))["state"] == "running"


async def test_a_dispatcher_that_fell_silent_is_stood_in_for(plane: Plane) -> None:
    await plane.work()
    await lead(plane)
    await plane.pass_lease()

    assert len(await plane.claim(await plane.executor("e2"))) == 1


async def test_many_claims_stand_in_once(plane: Plane) -> None:
    executor = await plane.executor()

    for _ in range(20):
        await plane.claim(executor)

    term = await plane.db.fetchval("select term from ops.leaders where role = 'stand_in'")
    assert term <= 5


async def test_many_dispatchers_lease_each_run_once(plane: Plane) -> None:
    for _ in range(40):
        await plane.enqueue()
    await plane.executor(slots=100)
    others = [await asyncpg.connect(plane.dsn) for _ in range(4)]

    answers = await asyncio.gather(*(other.fetch("select run_id from ops.lease_runs(15)") for other in others))
    for other in others:
        await other.close()

    leased = [row["run_id"] for answer in answers for row in answer]
    assert len(leased) == len(set(leased)) == 40


async def test_a_light_run_goes_to_an_edge_executor_and_a_heavy_one_to_a_container(plane: Plane) -> None:
    edge = await plane.executor("edge", capabilities=("edge", "size:small"))
    container = await plane.executor("container", capabilities=("container", "size:large", "size:medium", "size:small"))
    await plane.pipeline("light", prefers="edge")
    await plane.pipeline("heavy", prefers="container", requires=["size:large"])
    light, heavy = await plane.enqueue("light"), await plane.enqueue("heavy")

    await plane.db.fetch("select * from ops.lease_runs()")

    assert (await plane.run(light))["executor_id"] == edge
    assert (await plane.run(heavy))["executor_id"] == container


async def test_a_light_run_goes_to_a_container_when_no_edge_executor_is_free(plane: Plane) -> None:
    container = await plane.executor("container", capabilities=("container",))
    await plane.pipeline("light", prefers="edge")
    light = await plane.enqueue("light")

    await plane.db.fetch("select * from ops.lease_runs()")

    assert (await plane.run(light))["executor_id"] == container


async def test_a_heavy_run_waits_for_an_executor_that_is_large_enough(plane: Plane) -> None:
    await plane.executor("small", capabilities=("edge", "size:small"))
    await plane.pipeline("heavy", requires=["size:large"])
    heavy = await plane.enqueue("heavy")

    await plane.db.fetch("select * from ops.lease_runs()")

    reason = await plane.db.fetchval("select ops.wait_reason($1)", heavy)
    assert (reason["why"], reason["requires"]) == ("no_executor", ["size:large"])


async def test_poison_runs_are_quarantined_and_the_queue_keeps_moving(plane: Plane) -> None:
    """50 runs whose executor always dies among 1,000: each is tried max_losses times, all others succeed."""
    await plane.pipeline("poison", retries={"max_losses": 2})
    mixed = ["poison" if n % 20 == 0 else "query" for n in range(1000)]
    offered = [{"environment_id": ENVIRONMENT, "pipeline": name} for name in mixed]
    await plane.db.fetch("select * from ops.enqueue_runs($1)", offered)
    executor = await plane.executor(slots=1000)

    for _ in range(4):
        works = await plane.db.fetch("select run_id, token, pipeline from ops.claim_work($1, 1000)", executor)
        ends = [
            {"run_id": work["run_id"], "token": work["token"], "outcome": "succeeded"}
            for work in works
            if work["pipeline"] == "query"
        ]
        await plane.db.fetch("select * from ops.finish_runs($1)", ends)
        await plane.pass_lease()
        await plane.rescue()
        await plane.executor(slots=1000)

    counts = await plane.db.fetch(
        "select pipeline, state::text, quarantined, count(*) from ops.runs group by 1, 2, 3 order by 1"
    )
    assert [tuple(row) for row in counts] == [("poison", "failed", True, 50), ("query", "succeeded", False, 950)]
    facts = await plane.db.fetchval("select data from ops.run_events where type = 'RUN_FAILED' limit 1")
    assert (facts["code"], facts["quarantined"]) == ("RUN_QUARANTINED", True)


async def test_an_outside_executor_that_claims_a_run_is_told_its_token(plane: Plane) -> None:
    run, executor = await plane.enqueue(), await plane.executor()

    claimed = await plane.db.fetchrow("select * from ops.claim_run($1)", executor)

    row = await plane.run(run)
    assert (claimed["run_id"], claimed["attempt"]) == (run, 1)
    assert claimed["token"] == row["lease_token"]
    assert claimed["token"] is not None
