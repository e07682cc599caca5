"""A deadline tells, once, that something did not happen."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from lakehouse_dispatcher.timekeeping import Timekeeper
from support.plane import Plane

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
BY_ONE = {"cron": "0 13 * * *", "within_seconds": 3600}


async def expected(plane: Plane, keeper: Timekeeper) -> None:
    await plane.set_time(NOON)
    await plane.pipeline("p", expected_by=BY_ONE)
    await keeper.one_pass()


async def misses(plane: Plane) -> list[dict[str, object]]:
    return [
        row["data"]
        for row in await plane.db.fetch("select data from ops.run_events where type = 'DEADLINE_MISSED' order by seq")
    ]


async def test_a_success_in_time_is_no_miss(plane: Plane, keeper: Timekeeper) -> None:
    await expected(plane, keeper)
    await plane.finish(await plane.work("p"))

    await plane.set_time(NOON + timedelta(hours=1, seconds=1))
    await keeper.one_pass()

    assert await misses(plane) == []


async def test_a_miss_is_one_event_on_the_latest_run_however_often_one_looks(plane: Plane, keeper: Timekeeper) -> None:
    await expected(plane, keeper)
    await plane.finish(await plane.work("p"), "failed")
    latest = await plane.enqueue("p")

    await plane.set_time(NOON + timedelta(hours=1, seconds=1))
    for _ in range(3):
        await keeper.one_pass()

    (miss,) = await misses(plane)
    assert (miss["pipeline"], miss["within_seconds"]) == ("p", 3600)
    assert miss["message"] == "no run succeeded between 2026-06-01 12:00 and 2026-06-01 13:00 UTC"
    assert (await plane.events(latest))[-1] == "DEADLINE_MISSED"


async def test_a_success_that_is_too_old_or_too_late_does_not_count(plane: Plane, keeper: Timekeeper) -> None:
    await plane.set_time(NOON - timedelta(minutes=1))
    await plane.pipeline("p", expected_by=BY_ONE)
    await keeper.one_pass()
    await plane.finish(await plane.work("p"))
    late = await plane.work("p")
    await plane.set_time(NOON + timedelta(hours=1, minutes=5))
    await plane.beat(late)
    await plane.finish(late)

    await keeper.one_pass()

    assert len(await misses(plane)) == 1


async def test_each_deadline_is_told_for_itself(plane: Plane, keeper: Timekeeper) -> None:
    await expected(plane, keeper)
    await plane.enqueue("p")

    for days in range(2):
        await plane.set_time(NOON + timedelta(days=days, hours=1, seconds=1))
        await keeper.one_pass()

    assert [miss["deadline"] for miss in await misses(plane)] == [
        "2026-06-01T13:00:00+00:00",
        "2026-06-02T13:00:00+00:00",
    ]


async def test_a_pipeline_that_never_ran_misses_its_deadline_too(plane: Plane, keeper: Timekeeper) -> None:
    await expected(plane, keeper)

    await plane.set_time(NOON + timedelta(hours=1, seconds=1))
    await keeper.one_pass()

    (run,) = await plane.db.fetch("select * from ops.runs")
    assert (run["state"], run["trigger"]) == ("canceled", "deadline")
    assert await plane.events(run["id"]) == ["RUN_CREATED", "DEADLINE_MISSED", "RUN_CANCELED"]
    assert run["event_seq"] == 3


async def test_a_miss_is_found_after_a_long_silence_of_all_dispatchers(plane: Plane, keeper: Timekeeper) -> None:
    await expected(plane, keeper)
    await plane.enqueue("p")

    await plane.set_time(NOON + timedelta(days=3))
    await keeper.one_pass()

    assert len(await misses(plane)) == 1


async def test_a_clock_set_back_tells_no_miss_twice(plane: Plane, keeper: Timekeeper) -> None:
    await expected(plane, keeper)
    await plane.enqueue("p")
    await plane.set_time(NOON + timedelta(hours=2))
    await keeper.one_pass()

    await plane.set_time(NOON)
    await keeper.one_pass()
    await plane.set_time(NOON + timedelta(hours=2))
    await keeper.one_pass()

    assert len(await misses(plane)) == 1


async def test_a_miss_is_an_alert_by_default(plane: Plane) -> None:
    rule = await plane.db.fetchrow("select * from ops.alert_rules where name = 'deadline_missed'")

    assert (rule["event_types"], rule["enabled"]) == (["DEADLINE_MISSED"], True)
