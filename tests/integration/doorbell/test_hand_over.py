"""The transaction that adds a few runs hands them over to a free executor, when nobody else waits and nothing is counted."""

from __future__ import annotations

import asyncio
import uuid
from datetime import timedelta

import asyncpg
import pytest

from opscore.db.pool import set_codecs
from support.plane import ENVIRONMENT, Plane

ENQUEUE = "select run_id from ops.enqueue_runs($1)"


async def listener(plane: Plane, name: str = "one", slots: int = 9) -> tuple[uuid.UUID, str]:
    """An executor whose process fetches what is handed over: its id and session."""
    executor = await plane.executor(name, slots)
    await plane.db.fetch("select * from ops.lease_runs(10)")  # a dispatcher has looked
    return executor, str(await plane.db.fetchval("select ops.open_session($1)", executor))


async def rung(plane: Plane, *pipelines: str) -> str:
    """The payload of the ring that these runs bring."""
    heard: asyncio.Queue[str] = asyncio.Queue()
    await plane.db.add_listener("lakehouse_work", lambda *ring: heard.put_nowait(ring[3]))
    await rest(plane)
    offered = [{"environment_id": ENVIRONMENT, "pipeline": pipeline} for pipeline in pipelines]
    await plane.db.fetch(ENQUEUE, offered)
    return await asyncio.wait_for(heard.get(), 10)


async def rest(plane: Plane) -> None:
    """The bell has not rung for long."""
    await plane.bell_rests()


async def handed(plane: Plane, executor: uuid.UUID, session: str) -> list[asyncpg.Record]:
    return await plane.db.fetch("select * from ops.handed_over($1, $2)", executor, uuid.UUID(session))


async def states(plane: Plane) -> list[str]:
    return [row["state"] for row in await plane.db.fetch("select state::text from ops.runs order by state")]


async def test_new_work_has_started_when_the_ring_names_whose_it_is(plane: Plane) -> None:
    executor, session = await listener(plane)

    named = await rung(plane, "query")

    (order,) = await handed(plane, executor, session)
    run = await plane.run(order["run_id"])
    assert named == session
    assert (run["state"], run["lease_token"], run["executor_id"]) == ("running", order["token"], executor)
    assert await plane.events(run["id"]) == ["RUN_CREATED", "PHASE_CLAIMED", "PHASE_STARTED"]


async def test_it_shows_up_with_the_age_of_its_lease_until_it_ends(plane: Plane) -> None:
    executor, session = await listener(plane)
    await rung(plane, "query")
    (order,) = await handed(plane, executor, session)

    await plane.pass_time(timedelta(seconds=4))
    (again,) = await handed(plane, executor, session)
    await plane.db.fetch(
        "select * from ops.finish_runs($1)",
        [{"run_id": order["run_id"], "token": order["token"], "outcome": "succeeded"}],
    )

    assert again["token"] == order["token"]
    assert again["leased_ms_ago"] // 1000 == 4
    assert await handed(plane, executor, session) == []


async def test_of_several_the_one_that_holds_fewest_gets_it(plane: Plane) -> None:
    sessions = [(await listener(plane, name))[1] for name in ("one", "two", "three")]

    named = [await rung(plane, "query") for _ in range(4)]

    assert sorted(named[:3]) == sorted(sessions)
    assert named[3] in sessions


async def test_no_more_is_handed_over_than_there_are_slots(plane: Plane) -> None:
    executor, session = await listener(plane, slots=2)

    await rung(plane, *["query"] * 3)

    assert len(await handed(plane, executor, session)) == 2
    assert await states(plane) == ["queued", "running", "running"]


@pytest.mark.parametrize("pipelines", [["query"] * 11, ["query", "other"], ["picky"]], ids=["many", "mixed", "needs"])
async def test_what_is_no_simple_matter_is_the_dispatcher_s(plane: Plane, pipelines: list[str]) -> None:
    await plane.pipeline("other")
    await plane.pipeline("picky", requires=["gpu"])
    await listener(plane, slots=100)

    assert await rung(plane, *pipelines) == ""
    assert set(await states(plane)) == {"queued"}


@pytest.mark.parametrize(
    "unless",
    [
        "update ops.settings set paused_at = ops.now(), paused_by = 'a', paused_reason = 'b'",
        f"""select ops.set_cap('{ENVIRONMENT}', '{{"name": "roomy", "kind": "concurrency", "limit": 99}}')""",
        "update ops.executors set session = null",
        "update ops.executors set draining = true",
        "update ops.executors set last_seen_at = last_seen_at - interval '1 hour'",
    ],
    ids=["paused", "a cap", "no session", "draining", "not heard of"],
)
async def test_nothing_is_handed_over_past_what_the_dispatcher_looks_at(plane: Plane, unless: str) -> None:
    await listener(plane)
    await plane.db.execute(unless)

    assert await rung(plane, "query") == ""
    assert await states(plane) == ["queued"]


async def test_nobody_overtakes_what_waits(plane: Plane) -> None:
    executor, session = await listener(plane)
    other = await asyncpg.connect(plane.dsn)
    await other.fetch("select pg_advisory_lock(hashtextextended('ops.hand_over ' || $1::uuid, 0))", executor)
    await plane.enqueue()  # somebody else hands over to it just now: this one is left to the dispatcher
    await other.fetch("select pg_advisory_unlock_all()")
    await other.close()

    assert await rung(plane, "query") == ""
    await plane.db.fetch("select * from ops.lease_runs(10)")
    assert await states(plane) == ["claimed", "claimed"]
    assert await rung(plane, "query") == session


async def test_what_no_slot_is_free_for_waits_before_what_comes(plane: Plane) -> None:
    executor, _ = await listener(plane, slots=1)
    await rung(plane, "query")
    await plane.enqueue()
    await plane.db.fetch("select * from ops.lease_runs(10)")  # finds no slot
    await plane.db.execute("update ops.executors set slots = 9 where id = $1", executor)

    assert await rung(plane, "query") == ""


async def test_what_is_due_later_holds_nothing_up(plane: Plane) -> None:
    await plane.enqueue(due_at=await plane.db.fetchval("select ops.now() + interval '1 day'"))
    _, session = await listener(plane)

    assert await rung(plane, "query") == session


async def test_two_who_add_work_at_once_do_not_fill_the_same_slot_twice(plane: Plane) -> None:
    await listener(plane, slots=1)
    offered = [{"environment_id": ENVIRONMENT, "pipeline": "query"}]
    other = await asyncpg.connect(plane.dsn)
    await set_codecs(other)

    await rest(plane)
    async with other.transaction():
        await other.fetch(ENQUEUE, offered)
        await rest(plane)
        await plane.db.fetch(ENQUEUE, offered)
    await other.close()

    assert await states(plane) == ["queued", "running"]


async def test_what_is_taken_back_was_never_handed_over(plane: Plane) -> None:
    executor, session = await listener(plane)
    await rest(plane)
    transaction = plane.db.transaction()
    await transaction.start()
    await plane.db.fetch(ENQUEUE, [{"environment_id": ENVIRONMENT, "pipeline": "query"}])
    assert len(await handed(plane, executor, session)) == 1

    await transaction.rollback()

    assert await handed(plane, executor, session) == []


async def test_another_process_of_the_same_name_does_not_get_it_too(plane: Plane) -> None:
    executor, session = await listener(plane)
    await rung(plane, "query")

    again, second = await listener(plane)

    assert again == executor
    assert await handed(plane, executor, second) == []
    assert len(await handed(plane, executor, session)) == 1


async def test_a_lease_that_changed_hands_is_not_fetched_any_more(plane: Plane) -> None:
    executor, session = await listener(plane)
    await rung(plane, "query")

    await plane.pass_lease()
    (late,) = await handed(plane, executor, session)
    await plane.rescue()
    await plane.pass_lease()
    await plane.executor("one")
    await plane.claim(executor)

    assert late["leased_ms_ago"] >= late["ttl_ms"]  # too old to be trusted, and told so
    assert await handed(plane, executor, session) == []
    assert await states(plane) == ["running"]


async def test_a_time_limit_holds_for_it(plane: Plane) -> None:
    await plane.pipeline("brief", time_limit_seconds=60)
    _, session = await listener(plane)

    assert await rung(plane, "brief") == session
    assert await plane.db.fetchval("select stop_at is not null from ops.open_runs")


async def test_who_signs_off_gives_back_what_it_did_not_fetch(plane: Plane) -> None:
    executor, session = await listener(plane)
    await rung(plane, "query")

    await plane.db.fetchval("select ops.sign_off($1, $2)", executor, uuid.UUID(session))

    (run,) = await plane.db.fetch("select state::text, interruptions, losses, failures from ops.runs")
    assert tuple(run) == ("queued", 1, 0, 0)


async def test_the_sign_off_of_an_earlier_process_ends_nothing_of_the_present_one(plane: Plane) -> None:
    executor, first = await listener(plane)
    _, second = await listener(plane)
    await rung(plane, "query")

    await plane.db.fetchval("select ops.sign_off($1, $2)", executor, uuid.UUID(first))

    assert len(await handed(plane, executor, second)) == 1
    assert await plane.db.fetchval("select lost_at is null and not draining from ops.executors")


async def test_a_process_without_a_session_is_handed_nothing_that_the_last_one_of_its_name_would_get(
    plane: Plane,
) -> None:
    await listener(plane)
    await plane.executor("one", 9)

    assert await rung(plane, "query") == ""


async def test_of_a_batch_the_most_urgent_goes_first(plane: Plane) -> None:
    executor, session = await listener(plane, slots=1)
    await rest(plane)
    offered = [{"environment_id": ENVIRONMENT, "pipeline": "query", "priority": priority} for priority in (0, 9)]

    await plane.db.fetch(ENQUEUE, offered)

    (order,) = await handed(plane, executor, session)
    assert (await plane.run(order["run_id"]))["priority"] == 9


async def test_a_lane_that_no_slot_is_free_for_waits_before_what_comes(plane: Plane) -> None:
    await plane.pipeline("picky", requires=["gpu"])
    able = await plane.executor("able", 1, ("gpu",))
    await plane.enqueue("picky")
    await plane.claim(able)
    await plane.enqueue("picky")
    later = await plane.db.fetchval("select ops.now() + interval '1 day'")
    await plane.enqueue(due_at=later)
    await listener(plane, "plain")

    assert await rung(plane, "query") == ""


@pytest.mark.parametrize("isolation", ["repeatable_read", "serializable"])
async def test_an_old_snapshot_hands_nothing_over(plane: Plane, isolation: str) -> None:
    await listener(plane)
    await rest(plane)

    async with plane.db.transaction(isolation=isolation):
        await plane.db.fetch(ENQUEUE, [{"environment_id": ENVIRONMENT, "pipeline": "query"}])

    assert await states(plane) == ["queued"]


async def test_a_look_does_not_forget_what_is_not_committed_yet(plane: Plane) -> None:
    executor, session = await listener(plane)
    other = await asyncpg.connect(plane.dsn)
    await set_codecs(other)
    offered = [{"environment_id": ENVIRONMENT, "pipeline": "query"}]
    await plane.db.fetch("select pg_advisory_lock(hashtextextended('ops.hand_over ' || $1::uuid, 0))", executor)
    async with other.transaction():
        await other.fetch(ENQUEUE, offered)  # left to the dispatcher: the lock is ours
        await plane.db.fetch("select * from ops.lease_runs(10)")  # sees nothing
    await plane.db.fetch("select pg_advisory_unlock_all()")
    await other.close()

    assert await rung(plane, "query") == ""
    await plane.db.fetch("select * from ops.lease_runs(10)")
    assert await rung(plane, "query") == session
