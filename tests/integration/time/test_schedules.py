"""Schedules start runs at their moments: each once, whatever crashes, and missed ones by the rule."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from lakehouse.embedded.throwaway import ThrowawayPostgres
from lakehouse_dispatcher.timekeeping import Timekeeper
from opscore.db.migrate import migrate, read_migrations
from opscore.db.pool import set_codecs
from support.keeper import keeping_time
from support.plane import ENVIRONMENT, Plane

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
HOURLY: dict[str, Any] = {"cron": "0 * * * *"}


async def scheduled(plane: Plane, keeper: Timekeeper, at: datetime = NOON, **schedule: Any) -> None:
    """A pipeline that has been planned at a moment."""
    await plane.set_time(at)
    await plane.pipeline("p", schedule=HOURLY | schedule)
    await keeper.one_pass()


async def started(plane: Plane) -> list[str]:
    """Ticks that started runs, in the order the runs are due."""
    rows = await plane.db.fetch("select due_at from ops.runs where trigger = 'schedule' order by due_at")
    return [f"{row['due_at']:%d %H:%M}" for row in rows]


async def schedule(plane: Plane, name: str = "main") -> asyncpg.Record:
    return await plane.db.fetchrow("select * from ops.schedules where name = $1", name)


async def test_a_tick_starts_one_run_with_the_schedules_parameters(plane: Plane, keeper: Timekeeper) -> None:
    await scheduled(plane, keeper, params={"mode": "snapshot"})

    await plane.set_time(NOON + timedelta(minutes=59, seconds=59))
    await keeper.one_pass()
    early = await started(plane)
    await plane.set_time(NOON + timedelta(minutes=60, seconds=1))
    await keeper.one_pass()
    await keeper.one_pass()

    (run,) = await plane.db.fetch("select * from ops.runs")
    assert (early, run["params"], run["due_at"]) == ([], {"mode": "snapshot"}, NOON + timedelta(hours=1))
    assert run["idempotency_key"] == "tick:p:main:2026-06-01T13:00:00Z"
    found = await schedule(plane)
    assert (found["last_run_id"], found["last_tick_at"], found["next_tick_at"]) == (
        run["id"], NOON + timedelta(hours=1), NOON + timedelta(hours=2),
    )  # fmt: skip


async def test_the_keeper_sleeps_until_the_next_tick(plane: Plane, keeper: Timekeeper) -> None:
    await scheduled(plane, keeper, at=NOON + timedelta(minutes=59, seconds=50))

    assert 9 < await keeper.one_pass() <= 10


@pytest.mark.parametrize(
    ("rule", "caught_up"),
    [
        ({"catch_up": "none"}, []),
        ({"catch_up": "latest"}, ["01 17:00"]),
        ({"catch_up": "all"}, ["01 13:00", "01 14:00", "01 15:00", "01 16:00", "01 17:00"]),
        ({"catch_up": "all", "catch_up_runs": 2}, ["01 16:00", "01 17:00"]),
        ({"catch_up": "all", "catch_up_seconds": 9000}, ["01 16:00", "01 17:00"]),
    ],
    ids=["none", "latest", "all", "all up to two", "all within 150 minutes"],
)
async def test_ticks_missed_while_no_dispatcher_lived_follow_the_rule(
    plane: Plane, keeper: Timekeeper, rule: dict[str, Any], caught_up: list[str]
) -> None:
    await scheduled(plane, keeper, **rule)

    await plane.set_time(NOON + timedelta(hours=5, minutes=30))
    await keeper.one_pass()
    await plane.set_time(NOON + timedelta(hours=6, seconds=1))
    await keeper.one_pass()

    assert await started(plane) == [*caught_up, "01 18:00"]


async def test_a_paused_schedule_rests_and_catches_up_on_nothing(plane: Plane, keeper: Timekeeper) -> None:
    await scheduled(plane, keeper, catch_up="all")
    await plane.db.execute("select ops.pause_schedule($1, 'p', 'main', 'ann', 'stock-taking')", ENVIRONMENT)
    paused = await schedule(plane)

    await plane.set_time(NOON + timedelta(hours=3, minutes=30))
    await keeper.one_pass()
    await plane.db.execute("select ops.resume_schedule($1, 'p', 'main')", ENVIRONMENT)
    await keeper.one_pass()
    await plane.set_time(NOON + timedelta(hours=4, seconds=1))
    await keeper.one_pass()

    assert (paused["paused_by"], paused["paused_reason"]) == ("ann", "stock-taking")
    assert await started(plane) == ["01 16:00"]


async def test_applying_again_keeps_the_pause_and_the_tick_that_is_owed(plane: Plane, keeper: Timekeeper) -> None:
    await scheduled(plane, keeper)
    await plane.set_time(NOON + timedelta(hours=1, seconds=1))

    await plane.pipeline("p", schedule=HOURLY, description="again")
    await keeper.one_pass()
    await plane.db.execute("select ops.pause_schedule($1, 'p', 'main', 'ann', 'why')", ENVIRONMENT)
    await plane.pipeline("p", schedule={"cron": "30 * * * *"})

    assert await started(plane) == ["01 13:00"]
    assert (await schedule(plane))["paused_by"] == "ann"


async def test_another_cron_owes_only_what_comes_after_it_was_applied(plane: Plane, keeper: Timekeeper) -> None:
    await scheduled(plane, keeper, catch_up="all")
    await plane.set_time(NOON + timedelta(hours=1, minutes=45))

    await plane.pipeline("p", schedule={"cron": "30 * * * *", "catch_up": "all"})
    await plane.set_time(NOON + timedelta(hours=2, minutes=30, seconds=1))
    await keeper.one_pass()

    assert await started(plane) == ["01 14:30"]


async def test_a_tick_between_apply_and_the_first_look_is_not_lost(plane: Plane, keeper: Timekeeper) -> None:
    await plane.set_time(NOON - timedelta(seconds=1))
    await plane.pipeline("p", schedule=HOURLY)

    await plane.set_time(NOON + timedelta(seconds=1))
    await keeper.one_pass()

    assert await started(plane) == ["01 12:00"]


async def test_a_schedule_that_left_the_spec_ticks_no_more(plane: Plane, keeper: Timekeeper) -> None:
    await scheduled(plane, keeper)

    await plane.pipeline("p")
    await plane.set_time(NOON + timedelta(hours=2))
    await keeper.one_pass()

    assert await started(plane) == []


async def test_several_schedules_of_a_pipeline_tick_each_for_itself(plane: Plane, keeper: Timekeeper) -> None:
    await plane.set_time(NOON)
    await plane.pipeline(
        "p", schedule=HOURLY, schedules={"half": {"cron": "30 12 * * *"}, "often": {"every_seconds": 1200}}
    )
    await keeper.one_pass()

    for minutes in (21, 31, 41, 61):
        await plane.set_time(NOON + timedelta(minutes=minutes))
        await keeper.one_pass()

    keys = [
        row["key"]
        for row in await plane.db.fetch(
            "select split_part(idempotency_key, ':', 3) as key from ops.runs order by due_at, 1"
        )
    ]
    assert keys == ["often", "half", "often", "main", "often"]


@pytest.mark.parametrize(
    ("day", "hours", "ticks"),
    [
        (datetime(2026, 3, 28, 12, tzinfo=UTC), 48, ["29 01:00", "30 00:30"]),
        (datetime(2026, 10, 24, 12, tzinfo=UTC), 48, ["25 00:30", "26 01:30"]),
    ],
    ids=["the spring gap", "the doubled autumn hour"],
)
async def test_half_past_two_ticks_once_a_day_when_the_clocks_change(
    plane: Plane, keeper: Timekeeper, day: datetime, hours: int, ticks: list[str]
) -> None:
    await scheduled(plane, keeper, at=day, cron="30 2 * * *", timezone="Europe/Brussels")

    for half_hours in range(1, hours * 2):
        await plane.set_time(day + timedelta(minutes=30 * half_hours, seconds=1))
        await keeper.one_pass()

    assert await started(plane) == ticks


async def test_two_dispatchers_start_a_tick_once(plane: Plane, keeper: Timekeeper, dispatcher_dsn: str) -> None:
    await scheduled(plane, keeper, catch_up="all")
    await plane.set_time(NOON + timedelta(hours=3, seconds=1))

    async with keeping_time(dispatcher_dsn) as other:
        await asyncio.gather(keeper.one_pass(), other.one_pass(), keeper.one_pass(), other.one_pass())

    assert await started(plane) == ["01 13:00", "01 14:00", "01 15:00"]


async def test_what_was_computed_before_another_dispatcher_fired_starts_nothing(
    plane: Plane, keeper: Timekeeper
) -> None:
    await scheduled(plane, keeper)
    await plane.set_time(NOON + timedelta(hours=1, seconds=1))
    (stale,) = await keeper.control.due_schedules(10)
    await keeper.one_pass()

    answer = await keeper.control.fire_ticks(stale, [NOON + timedelta(hours=1)], stale.now, NOON + timedelta(hours=2))

    assert (answer, await started(plane)) == (None, ["01 13:00"])


async def test_what_was_computed_before_a_pause_starts_nothing(plane: Plane, keeper: Timekeeper) -> None:
    await scheduled(plane, keeper)
    await plane.set_time(NOON + timedelta(hours=1, seconds=1))
    (stale,) = await keeper.control.due_schedules(10)

    await plane.db.execute("select ops.pause_schedule($1, 'p', 'main', 'ann', 'now')", ENVIRONMENT)
    answer = await keeper.control.fire_ticks(stale, [NOON + timedelta(hours=1)], stale.now, None)

    assert (answer, await started(plane)) == (None, [])


async def test_a_crash_before_the_commit_leaves_the_tick_owed(plane: Plane, keeper: Timekeeper) -> None:
    await scheduled(plane, keeper)
    await plane.set_time(NOON + timedelta(hours=1, seconds=1))
    doomed = await asyncpg.connect(plane.dsn)
    await doomed.execute("begin")
    owed = await doomed.fetchrow("select * from ops.due_schedules()")
    fired = await doomed.fetchval(
        "select ops.fire_ticks($1, $2, $3, $4, null)",
        *(owed["id"], owed["version"], [NOON + timedelta(hours=1)], owed["now"]),
    )

    doomed.terminate()
    await keeper.one_pass()

    assert (fired, await started(plane)) == (1, ["01 13:00"])


async def test_ticks_that_are_not_owed_are_refused(plane: Plane, keeper: Timekeeper) -> None:
    await scheduled(plane, keeper)
    found = await schedule(plane)

    for ticks, until in (
        ([NOON + timedelta(hours=9)], NOON + timedelta(hours=10)),  # in the future
        ([NOON - timedelta(hours=1)], NOON + timedelta(hours=1)),  # dealt with
        ([], NOON - timedelta(hours=1)),
    ):
        with pytest.raises(asyncpg.PostgresError, match="no ticks owed"):
            await plane.db.execute(
                "select ops.fire_ticks($1, $2, $3, $4, null)", found["id"], found["version"], ticks, until
            )


async def test_a_tick_that_a_full_cap_rejects_is_told_and_the_next_one_starts(plane: Plane, keeper: Timekeeper) -> None:
    await plane.set_time(NOON)
    cap = {"kind": "runs", "limit": 1, "window_seconds": 5400, "behaviour": "reject"}
    await plane.pipeline("p", schedule=HOURLY, caps=[cap])
    await plane.finish(await plane.work("p"))
    await keeper.one_pass()

    await plane.set_time(NOON + timedelta(hours=1, seconds=1))
    await keeper.one_pass()
    refused = await schedule(plane)
    await plane.set_time(NOON + timedelta(hours=2, seconds=1))
    await keeper.one_pass()

    assert refused["last_refusal"]["code"] == "CAP_EXCEEDED"
    assert (await started(plane), (await schedule(plane))["last_refusal"]) == (["01 14:00"], None)


async def test_a_cron_that_nothing_can_compute_is_paused_with_the_fault(plane: Plane, keeper: Timekeeper) -> None:
    await plane.pipeline("p", schedule={"cron": "61 * * * *"})
    await plane.pipeline("q", schedule=HOURLY)

    await keeper.one_pass()

    broken = await plane.db.fetchrow("select * from ops.schedules where pipeline = 'p'")
    sound = await plane.db.fetchrow("select * from ops.schedules where pipeline = 'q'")
    assert (broken["paused_by"], "61 * * * *" in broken["paused_reason"]) == ("dispatcher", True)
    assert sound["next_tick_at"] is not None


async def test_a_cron_without_any_further_moment_never_ticks(plane: Plane, keeper: Timekeeper) -> None:
    await plane.pipeline("p", schedule=HOURLY)
    (owed,) = await keeper.control.due_schedules(10)

    await keeper.control.fire_ticks(owed, [], owed.now, None)

    assert 2 < await keeper.one_pass() <= 3600


@pytest.mark.parametrize("zone", ["Mars/Base", "FOO3", "../etc", ""])
async def test_a_time_zone_that_does_not_exist_is_refused_at_apply(plane: Plane, zone: str) -> None:
    with pytest.raises(asyncpg.PostgresError, match="is not a time zone"):
        await plane.pipeline("p", schedule=HOURLY | {"timezone": zone})

    assert await plane.db.fetchval("select count(*) from ops.pipelines where name = 'p'") == 0


async def test_a_clock_that_jumps_back_starts_no_tick_twice(plane: Plane, keeper: Timekeeper) -> None:
    await scheduled(plane, keeper)
    await plane.set_time(NOON + timedelta(hours=1, seconds=1))
    await keeper.one_pass()

    await plane.set_time(NOON + timedelta(minutes=30))
    await keeper.one_pass()
    await plane.set_time(NOON + timedelta(hours=1, seconds=1))
    await keeper.one_pass()

    assert await started(plane) == ["01 13:00"]


async def test_a_clock_that_was_a_year_ahead_for_a_while_neither_floods_nor_silences(
    plane: Plane, keeper: Timekeeper
) -> None:
    await scheduled(plane, keeper, catch_up="all", catch_up_runs=3)
    await plane.set_time(NOON + timedelta(days=365))
    await keeper.one_pass()
    ahead = len(await started(plane))

    await plane.set_time(NOON + timedelta(minutes=30))
    await keeper.one_pass()
    await plane.set_time(NOON + timedelta(hours=1, seconds=1))
    await keeper.one_pass()

    assert (ahead, await started(plane)) == (3, ["01 13:00", "01 10:00", "01 11:00", "01 12:00"])


async def test_pipelines_of_the_first_release_tick_after_the_upgrade(
    postgres: ThrowawayPostgres, tmp_path: Path
) -> None:
    dsn = await postgres.create_database("upgrade")
    mine = "20260302090000"
    for migration in read_migrations():
        (tmp_path / f"{migration.version}_{migration.name}.sql").write_text(
            migration.sql if migration.version < mine else "select 1"
        )
    await migrate(dsn, folder=tmp_path)
    connection = await asyncpg.connect(dsn)
    await set_codecs(connection)
    await Plane(connection, dsn).pipeline("p", schedule={"cron": "*/15 * * * *", "timezone": "UTC"})

    await connection.execute(next(migration.sql for migration in read_migrations() if migration.version == mine))

    found = await connection.fetchrow("select * from ops.schedules")
    await connection.close()
    assert (found["name"], found["cron"], found["catch_up"], found["next_tick_at"]) == (
        "main",
        "*/15 * * * *",
        "latest",
        None,
    )
