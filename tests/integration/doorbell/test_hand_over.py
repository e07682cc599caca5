"""The transaction that adds a few runs hands them over to a free executor, when nobody else waits and nothing is counted."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from datetime import timedelta

import asyncpg
import pytest

from opscore.db.pool import set_codecs
from support.plane import ENVIRONMENT, Plane

ENQUEUE = "select run_id from ops.enqueue_runs($1)"


@pytest.fixture
async def plane(control_dsn: str) -> AsyncIterator[Plane]:
    connection = await asyncpg.connect(control_dsn)
    await set_codecs(connection)
    yield Plane(connection, control_dsn)
    await connection.close()


async def listener(plane: Plane, name: str = "one", slots: int = 9) -> tuple[uuid.UUID, str]:
    """An executor whose process fetches what is handed over: its id and session."""
    executor = await plane.executor(name, slots)
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
    await plane.db.execute("select setval('ops.work_bell_rung', 1)")


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
    first = await plane.enqueue()
    await listener(plane)

    assert await rung(plane, "query") == ""
    assert (await plane.run(first))["state"] == "queued"


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


async def test_a_lease_that_ran_out_is_not_fetched_any_more(plane: Plane) -> None:
    executor, session = await listener(plane)
    await rung(plane, "query")

    await plane.pass_lease()
    late = await handed(plane, executor, session)
    await plane.rescue()
    await plane.pass_lease()
    await plane.executor("one")
    await plane.claim(executor)

    assert (late, await handed(plane, executor, session)) == ([], [])
    assert await states(plane) == ["running"]


async def test_a_time_limit_holds_for_it(plane: Plane) -> None:
    await plane.pipeline("brief", time_limit_seconds=60)
    _, session = await listener(plane)

    assert await rung(plane, "brief") == session
    assert await plane.db.fetchval("select stop_at is not null from ops.open_runs")


async def test_who_signs_off_gives_back_what_it_did_not_fetch(plane: Plane) -> None:
    executor, _ = await listener(plane)
    await rung(plane, "query")

    await plane.db.fetchval("select ops.sign_off($1)", executor)

    assert await states(plane) == ["queued"]
