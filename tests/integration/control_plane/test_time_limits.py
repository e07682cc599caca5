"""What begins late, works too long, or is asked to stop: the database's own answers."""

from __future__ import annotations

from datetime import timedelta

from support.plane import Plane


async def test_a_run_that_outlasts_its_limit_is_failed_although_its_executor_beats(plane: Plane) -> None:
    await plane.pipeline("slow", time_limit_seconds=10)
    work = await plane.work("slow")
    for _ in range(3):
        await plane.pass_time(timedelta(seconds=15))
        await plane.beat(work)

    rescued = await plane.rescue()

    row = await plane.run(work.run_id)
    assert rescued == [(work.run_id, "failed")]
    assert (row["error"]["code"], row["failures"], row["losses"]) == ("TIME_LIMIT", 1, 0)
    assert await plane.beat(work) == "lease_lost"


async def test_its_executor_has_one_lease_more_than_the_limit_to_end_it_itself(plane: Plane) -> None:
    await plane.pipeline("slow", time_limit_seconds=10)
    work = await plane.work("slow")
    await plane.pass_time(timedelta(seconds=20))
    await plane.beat(work)

    assert await plane.rescue() == []


async def test_each_attempt_has_the_whole_limit(plane: Plane) -> None:
    await plane.pipeline("slow", time_limit_seconds=100)
    await plane.work("slow")
    await plane.pass_time(timedelta(seconds=125))
    await plane.rescue()
    (again,) = await plane.claim(await plane.executor())
    await plane.pass_time(timedelta(seconds=20))
    await plane.beat(again)

    assert await plane.rescue() == []


async def test_a_canceled_run_over_its_limit_is_canceled_not_failed(plane: Plane) -> None:
    await plane.pipeline("slow", time_limit_seconds=10)
    work = await plane.work("slow")
    await plane.db.execute("select ops.cancel_run($1, 'me')", work.run_id)
    for _ in range(3):
        await plane.pass_time(timedelta(seconds=15))
        await plane.beat(work)

    await plane.rescue()

    row = await plane.run(work.run_id)
    assert (row["state"], row["cancel"]) == ("canceled", "presumed")


async def test_pipelines_without_a_limit_work_for_ever(plane: Plane) -> None:
    await plane.pipeline("slow", time_limit_seconds=10)
    work = await plane.work()
    for _ in range(50):
        await plane.pass_time(timedelta(seconds=25))
        await plane.beat(work)

    assert await plane.rescue() == []


async def test_who_asked_for_a_cancel_why_and_when_stays_with_the_run(plane: Plane) -> None:
    work = await plane.work()
    await plane.db.execute("select ops.cancel_run($1, 'ada', 'wrong month')", work.run_id)
    await plane.db.execute("select ops.cancel_run($1, 'bob', 'me too')", work.run_id)

    request = await plane.db.fetchval("select cancel_request from api.runs where id = $1", work.run_id)

    assert (request["by"], request["reason"]) == ("ada", "wrong month")
    assert request["at"]


async def test_a_run_that_nobody_wanted_stopped_has_no_cancel_request(plane: Plane) -> None:
    run = await plane.enqueue()
    await plane.db.execute("select ops.cancel_run($1, 'ada')", run)

    await plane.db.execute("select ops.retry_run($1, 'bob')", run)

    assert await plane.db.fetchval("select cancel_request from api.runs where id = $1", run) is None
