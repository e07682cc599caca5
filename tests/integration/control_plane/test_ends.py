"""How runs end: success, failure, retries, cancel, interruption."""

from __future__ import annotations

from datetime import timedelta

import asyncpg
import pytest

from support.plane import Plane

FAULT = {"code": "SOURCE_UNAVAILABLE", "message": "gone"}


async def test_a_run_leaves_at_least_five_events_without_a_gap(plane: Plane) -> None:
    work = await plane.work()

    await plane.finish(work, events=[{"type": "PHASE_SUCCEEDED", "data": {"phase": "query"}}])

    rows = await plane.db.fetch(
        "select run_seq, type from ops.run_events where run_id = $1 order by run_seq", work.run_id
    )
    assert [tuple(row) for row in rows] == [
        (1, "RUN_CREATED"), (2, "PHASE_CLAIMED"), (3, "PHASE_STARTED"), (4, "PHASE_SUCCEEDED"), (5, "RUN_SUCCEEDED"),
    ]  # fmt: skip


async def test_a_temporary_failure_is_tried_again_after_its_wait(plane: Plane) -> None:
    await plane.pipeline("flaky")
    work = await plane.work("flaky")

    await plane.finish(work, "failed", error=FAULT, retry_in_ms=5000)

    early = await plane.claim(await plane.executor())
    await plane.pass_time(timedelta(seconds=6))
    (again,) = await plane.claim(await plane.executor())
    assert early == []
    assert (again.run_id, again.attempt) == (work.run_id, 2)


async def test_attempts_run_out(plane: Plane) -> None:
    await plane.pipeline("flaky", retries={"max_attempts": 2})
    work = await plane.work("flaky")
    await plane.finish(work, "failed", error=FAULT, retry_in_ms=0)
    (again,) = await plane.claim(await plane.executor())

    await plane.finish(again, "failed", error=FAULT, retry_in_ms=0)

    row = await plane.run(work.run_id)
    assert (row["state"], row["failures"], row["error"]) == ("failed", 2, FAULT)


async def test_a_permanent_failure_ends_the_run_at_once(plane: Plane) -> None:
    await plane.pipeline("flaky")
    work = await plane.work("flaky")

    await plane.finish(work, "failed", error=FAULT)

    assert (await plane.run(work.run_id))["state"] == "failed"


async def test_an_interruption_burns_no_attempt(plane: Plane) -> None:
    work = await plane.work()

    await plane.finish(work, "interrupted")

    row = await plane.run(work.run_id)
    assert (row["state"], row["failures"], row["losses"], row["interruptions"]) == ("queued", 0, 0, 1)


async def test_a_waiting_run_is_canceled_at_once(plane: Plane) -> None:
    run = await plane.enqueue()

    answer = await plane.db.fetchval("select ops.cancel_run($1, 'me', 'not needed')", run)

    row = await plane.run(run)
    assert answer == "canceled"
    assert row["cancel"] == "confirmed"
    assert await plane.events(run) == ["RUN_CREATED", "CANCEL_REQUESTED", "RUN_CANCELED"]


async def test_a_working_run_hears_of_its_cancel_in_the_next_beat_and_confirms_it(plane: Plane) -> None:
    work = await plane.work()
    await plane.db.fetchval("select ops.cancel_run($1, 'me')", work.run_id)

    verdict = await plane.beat(work)
    await plane.finish(work, "canceled")

    assert verdict == "cancel"
    assert (await plane.run(work.run_id))["cancel"] == "confirmed"


async def test_a_canceled_run_whose_executor_is_gone_is_presumed_stopped(plane: Plane) -> None:
    work = await plane.work()
    await plane.db.fetchval("select ops.cancel_run($1, 'me')", work.run_id)
    await plane.pass_lease()

    await plane.rescue()

    row = await plane.run(work.run_id)
    assert (row["state"], row["cancel"]) == ("canceled", "presumed")


async def test_a_cancel_wins_over_a_failure(plane: Plane) -> None:
    await plane.pipeline("flaky")
    work = await plane.work("flaky")
    await plane.db.fetchval("select ops.cancel_run($1, 'me')", work.run_id)

    await plane.finish(work, "failed", error=FAULT, retry_in_ms=0)

    assert (await plane.run(work.run_id))["state"] == "canceled"


async def test_a_failed_run_is_retried_by_a_person_with_fresh_counters(plane: Plane) -> None:
    work = await plane.work()
    await plane.finish(work, "failed", error=FAULT)

    await plane.db.fetchval("select ops.retry_run($1, 'me')", work.run_id)

    row = await plane.run(work.run_id)
    assert (row["state"], row["failures"], row["error"], row["finished_at"]) == ("queued", 0, None, None)


async def test_a_succeeded_run_cannot_be_retried(plane: Plane) -> None:
    work = await plane.work()
    await plane.finish(work)

    with pytest.raises(
        asyncpg.PostgresError, match="only failed and canceled runs that were not rolled back can be retried"
    ):
        await plane.db.fetchval("select ops.retry_run($1, 'me')", work.run_id)


@pytest.mark.parametrize(
    "damage",
    [
        "state = 'running'",
        "state = 'succeeded'",
        "state = 'failed', finished_at = ops.now()",
        "state = 'canceled', finished_at = ops.now()",
        "state = 'held'",
        "wait_reason = '{}'",
        "lease_token = gen_random_uuid()",
        "quarantined = true",
        "cancel = 'confirmed'",
        "failures = -1",
        "params = '[]'",
    ],
)
async def test_bad_states_are_impossible(plane: Plane, damage: str) -> None:
    await plane.enqueue()

    with pytest.raises(asyncpg.CheckViolationError):
        await plane.db.execute(f"update ops.runs set {damage}")


async def test_an_outcome_that_nobody_knows_fails_its_run_and_spares_the_batch(plane: Plane) -> None:
    odd, good = await plane.work(), await plane.work()
    offered = [
        {"run_id": odd.run_id, "token": odd.token, "outcome": "finished-ish"},
        {"run_id": good.run_id, "token": good.token, "outcome": "succeeded"},
    ]

    await plane.db.fetch("select * from ops.finish_runs($1)", offered)

    assert (await plane.run(odd.run_id))["state"] == "failed"
    assert (await plane.run(good.run_id))["state"] == "succeeded"


async def test_a_beat_with_an_unknown_phase_and_an_event_without_type_keeps_the_lease(plane: Plane) -> None:
    work = await plane.work()

    verdict = await plane.beat(work, phase="levitate", events=[{"data": {}}])

    assert verdict == "go_on"
