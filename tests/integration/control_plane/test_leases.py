"""Who gets which run, and what happens when the holder is gone."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import pytest
from asyncpg import Record

from support.plane import Plane, Work, staged


async def test_a_due_run_goes_to_a_live_executor_with_a_free_slot(plane: Plane) -> None:
    executor = await plane.executor(slots=1)
    first, second = await plane.enqueue(), await plane.enqueue()

    leased = await plane.db.fetch("select * from ops.lease_runs(10)")

    assert [tuple(row) for row in leased] == [(first, executor)]
    assert (await plane.run(second))["state"] == "queued"


async def test_work_spreads_over_executors_before_it_piles_up(plane: Plane) -> None:
    executors = {await plane.executor("a", slots=5), await plane.executor("b", slots=5)}
    for _ in range(2):
        await plane.enqueue()

    leased = await plane.db.fetch("select executor_id from ops.lease_runs(10)")

    assert {row["executor_id"] for row in leased} == executors


async def test_higher_priority_goes_first(plane: Plane) -> None:
    await plane.enqueue(priority=0)
    urgent = await plane.enqueue(priority=5)
    executor = await plane.executor(slots=1)

    (work,) = await plane.claim(executor)

    assert work.run_id == urgent


async def test_a_run_waits_for_an_executor_with_its_capabilities_and_blocks_nobody(plane: Plane) -> None:
    await plane.pipeline("needs_spark", requires=["engine:spark"])
    picky = await plane.enqueue("needs_spark", priority=9)
    plain = await plane.enqueue()
    executor = await plane.executor(capabilities=("engine:duckdb",))

    taken = await plane.claim(executor, 10)
    spark = await plane.executor("s", capabilities=("engine:duckdb", "engine:spark"))
    later = await plane.claim(spark, 10)

    assert [work.run_id for work in taken] == [plain]
    assert [work.run_id for work in later] == [picky]


async def test_a_run_due_later_is_not_leased_before_its_time(plane: Plane) -> None:
    due = await plane.db.fetchval("select ops.now() + interval '1 hour'")
    run = await plane.enqueue(due_at=due.isoformat())

    early = await plane.claim(await plane.executor())
    await plane.pass_time(timedelta(hours=2))
    late = await plane.claim(await plane.executor())

    assert early == []
    assert [work.run_id for work in late] == [run]


async def test_silent_and_draining_executors_get_nothing(plane: Plane) -> None:
    silent = await plane.executor("silent")
    await plane.pass_time(timedelta(minutes=5))
    draining = await plane.executor("draining")
    await plane.db.fetch("select * from ops.beat($1, '[]', true)", draining)
    await plane.enqueue()

    leased = await plane.db.fetch("select * from ops.lease_runs(10)")

    assert leased == [], (silent, draining)


async def test_an_executor_that_let_a_lease_run_out_gets_nothing_until_it_beats(plane: Plane) -> None:
    await plane.db.execute("update ops.settings set executor_ttl_ms = 3600000")
    work = await plane.work()
    executor = (await plane.run(work.run_id))["executor_id"]
    await plane.pass_lease()
    await plane.rescue()

    while_silent = await plane.db.fetch("select * from ops.lease_runs(10)")
    await plane.db.fetch("select * from ops.beat($1, '[]')", executor)
    after_a_beat = await plane.db.fetch("select * from ops.lease_runs(10)")

    assert (len(while_silent), len(after_a_beat)) == (0, 1)


async def test_nothing_is_leased_while_the_control_plane_is_paused(plane: Plane) -> None:
    await plane.enqueue()
    await plane.db.execute("update ops.settings set paused_at = ops.now(), paused_by = 'me', paused_reason = 'upgrade'")

    assert await plane.claim(await plane.executor()) == []


async def test_work_is_handed_over_exactly_once(plane: Plane) -> None:
    executor = await plane.executor()
    await plane.enqueue()
    await plane.db.fetch("select * from ops.lease_runs(10)")

    first = await plane.db.fetch("select * from ops.take_work($1, 10)", executor)
    second = await plane.db.fetch("select * from ops.take_work($1, 10)", executor)

    assert (len(first), len(second)) == (1, 0)


async def test_expired_lease_returns_run_to_queue(plane: Plane) -> None:
    work = await plane.work()

    before = await plane.rescue()
    await plane.pass_lease()
    after = await plane.rescue()

    assert before == []
    assert after == [(work.run_id, "queued")]
    assert (await plane.run(work.run_id))["losses"] == 1


async def test_a_beat_keeps_the_lease(plane: Plane) -> None:
    work = await plane.work()
    await plane.pass_time(timedelta(seconds=20))

    verdict = await plane.beat(work)
    await plane.pass_time(timedelta(seconds=20))

    assert verdict == "go_on"
    assert await plane.rescue() == []


async def test_a_run_that_was_claimed_but_never_started_comes_back_without_a_loss(plane: Plane) -> None:
    executor = await plane.executor()
    run = await plane.enqueue()
    await plane.db.fetch("select * from ops.claim_run($1)", executor)
    await plane.pass_time(timedelta(seconds=16))

    rescued = await plane.rescue()

    row = await plane.run(run)
    assert rescued == [(run, "queued")]
    assert (row["losses"], row["interruptions"]) == (0, 1)


async def test_a_run_that_keeps_losing_its_executor_is_quarantined(plane: Plane) -> None:
    await plane.pipeline("poison", retries={"max_losses": 2})
    work = await plane.work("poison")
    await plane.pass_lease()
    await plane.rescue()
    await plane.claim(await plane.executor())
    await plane.pass_lease()

    rescued = await plane.rescue()

    row = await plane.run(work.run_id)
    assert rescued == [(work.run_id, "failed")]
    assert row["quarantined"] is True
    assert row["error"]["code"] == "RUN_QUARANTINED"


async def test_a_finished_phase_forgives_earlier_losses(plane: Plane) -> None:
    await plane.pipeline("slow", retries={"max_losses": 2})
    work = await plane.work("slow")
    await plane.pass_lease()
    await plane.rescue()
    (again,) = await plane.claim(await plane.executor())

    await plane.beat(again, checkpoint={"transform": {"tables": []}})
    await plane.pass_lease()

    assert await plane.rescue() == [(work.run_id, "queued")]


async def test_a_later_attempt_goes_on_behind_the_finished_phase(plane: Plane) -> None:
    await plane.pipeline("two_steps")
    work = await plane.work("two_steps")
    await plane.beat(work, checkpoint={"transform": {"rows": 7}})
    await plane.pass_lease()
    await plane.rescue()

    (again,) = await plane.claim(await plane.executor())

    assert again.checkpoint == {"transform": {"rows": 7}}
    assert (await plane.run(work.run_id))["phase"] == "publish"


WRITES: dict[str, tuple[str, Any]] = {
    "beat": (
        "select verdict <> 'lease_lost' from ops.beat(null, $1)",
        lambda w: ([{"run_id": w.run_id, "token": w.token}],),
    ),
    "finish": (
        "select accepted from ops.finish_runs($1)",
        lambda w: ([{"run_id": w.run_id, "token": w.token, "outcome": "succeeded"}],),
    ),
    "complete": ("select ops.complete_run($1, $2) <> 'lease_lost'", lambda w: (w.run_id, w.token)),
    "fail": ("select ops.fail_run($1, $2, '{}') <> 'lease_lost'", lambda w: (w.run_id, w.token)),
    "start": ("select ops.start_run($1, $2)", lambda w: (w.run_id, w.token)),
    "artifacts": ("select ops.register_artifacts($1, $2, '[]')", lambda w: (w.run_id, w.token)),
    "checks": ("select ops.record_checks($1, $2, '[]')", lambda w: (w.run_id, w.token)),
    "publish": (
        "select ops.publish_run($1, $2, $3, '{}') = 'published'",
        lambda w: (w.run_id, w.token, [staged("gold.x", "file:///stale")]),
    ),
}


@pytest.mark.parametrize("write", WRITES)
async def test_every_write_of_a_stale_leaseholder_is_refused_and_changes_nothing(plane: Plane, write: str) -> None:
    stale = await plane.work()
    await plane.pass_lease()
    await plane.rescue()
    await plane.claim(await plane.executor())
    before = _without_event_count(await plane.run(stale.run_id))
    statement, arguments = WRITES[write]

    accepted = await plane.db.fetchval(statement, *arguments(stale))

    assert accepted is False
    assert _without_event_count(await plane.run(stale.run_id)) == before
    assert await plane.db.fetchval("select count(*) from iceberg.iceberg_tables") == 0
    if write != "beat":
        assert (await plane.events(stale.run_id))[-1] == "WRITE_REFUSED"


@pytest.mark.parametrize("write", WRITES)
async def test_a_token_of_another_run_opens_no_write(plane: Plane, write: str) -> None:
    mine, other = await plane.work(), await plane.work()
    before = _without_event_count(await plane.run(other.run_id))
    statement, arguments = WRITES[write]

    accepted = await plane.db.fetchval(statement, *arguments(Work(other.run_id, mine.token, other.attempt, {})))

    assert accepted is False
    assert _without_event_count(await plane.run(other.run_id)) == before
    assert (await plane.finish(other), await plane.finish(mine)) == (True, True), "both go on"


async def test_a_forged_token_is_refused(plane: Plane) -> None:
    work = await plane.work()
    forged = Work(work.run_id, uuid.uuid4(), work.attempt, {})

    assert await plane.finish(forged) is False
    assert await plane.finish(work) is True


async def test_one_bad_item_in_a_batch_does_not_strand_the_rest(plane: Plane) -> None:
    work = await plane.work()
    offered = [
        {"run_id": uuid.uuid4(), "token": uuid.uuid4(), "outcome": "succeeded"},
        {"run_id": work.run_id, "token": work.token, "outcome": "succeeded"},
    ]

    answers = await plane.db.fetch("select accepted from ops.finish_runs($1)", offered)

    assert [row["accepted"] for row in answers] == [False, True]


async def test_leadership_passes_on_when_its_lease_ends(plane: Plane) -> None:
    first, second = uuid.uuid4(), uuid.uuid4()

    async def lead(holder: uuid.UUID) -> int | None:
        return await plane.db.fetchval("select ops.take_leadership('dispatcher', $1, 5000)", holder)

    assert await lead(first) == 1
    assert await lead(second) is None
    assert await lead(first) == 1
    await plane.pass_time(timedelta(seconds=6))
    assert await lead(second) == 2
    assert await lead(first) is None


async def test_claiming_never_hands_out_more_than_was_asked_for(plane: Plane) -> None:
    executor = await plane.executor(slots=10)
    for _ in range(6):
        await plane.enqueue()
    await plane.db.fetch("select * from ops.lease_runs(3)")

    taken = await plane.claim(executor, 2)
    rest = await plane.claim(executor, 10)

    assert (len(taken), len(rest)) == (2, 4)


def _without_event_count(row: Record) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key != "event_seq"}
