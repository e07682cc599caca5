"""A backfill works through a range of time: in order, so many at once, behind live work, and it can be stopped."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from lakehouse_dispatcher.timekeeping import Timekeeper
from support.plane import ENVIRONMENT, Plane

DAYS = {
    "params": {"since": {"type": "date"}, "until": {"type": "date"}, "mode": {"type": "string"}},
    "backfill": {"from": "since", "to": "until"},
}
MOMENTS = {"params": {"since": {"type": "string"}}, "backfill": {"from": "since", "to": None}}
FOUR = {"pipeline": "p", "from": "2026-01-01", "to": "2026-01-05"}


async def plan(plane: Plane, **request: Any) -> dict[str, Any]:
    return await plane.db.fetchval("select ops.plan_backfill($1, $2)", ENVIRONMENT, FOUR | request)


async def create(plane: Plane, **request: Any) -> UUID:
    return await plane.db.fetchval("select ops.create_backfill($1, $2, 'ann')", ENVIRONMENT, FOUR | request)


async def change(plane: Plane, backfill: UUID, to: str) -> str:
    return await plane.db.fetchval("select ops.change_backfill($1, $2, 'ann', 'because')", backfill, to)


async def backfill(plane: Plane, made: UUID) -> asyncpg.Record:
    return await plane.db.fetchrow("select * from api.backfills where id = $1", made)


async def waiting(plane: Plane) -> list[str]:
    rows = await plane.db.fetch(
        "select params ->> 'since' as since from ops.runs where state in ('queued', 'held') order by created_at, 1"
    )
    return [row["since"] for row in rows]


async def work_through(plane: Plane, keeper: Timekeeper, outcomes: dict[str, str] | None = None) -> list[str]:
    """Carry out what is started until nothing is; the days in the order they were worked on."""
    order: list[str] = []
    executor = await plane.executor()
    while True:
        await keeper.one_pass()
        taken = await plane.claim(executor, 10)
        if not taken:
            return order
        for work in taken:
            since = (await plane.run(work.run_id))["params"]["since"]
            order.append(since)
            await plane.finish(work, (outcomes or {}).get(since, "succeeded"))


async def test_partitions_run_one_after_the_other_and_the_backfill_succeeds(plane: Plane, keeper: Timekeeper) -> None:
    await plane.pipeline("p", **DAYS)
    made = await create(plane, params={"mode": "fast"})

    order = await work_through(plane, keeper)

    found = await backfill(plane, made)
    runs = await plane.db.fetch("select * from ops.runs order by created_at")
    assert order == ["2026-01-01", "2026-01-02", "2026-01-03", "2026-01-04"]
    assert (found["state"], found["succeeded"], found["partitions"]) == ("succeeded", 4, 4)
    assert runs[0]["params"] == {"since": "2026-01-01", "until": "2026-01-02", "mode": "fast", "chain": False}
    assert {(run["priority"], run["trigger"]) for run in runs} == {(-100, "backfill")}


async def test_reverse_begins_with_the_newest(plane: Plane, keeper: Timekeeper) -> None:
    await plane.pipeline("p", **DAYS)
    await create(plane, reverse=True)

    assert await work_through(plane, keeper) == ["2026-01-04", "2026-01-03", "2026-01-02", "2026-01-01"]


async def test_no_more_run_at_once_than_its_concurrency(plane: Plane, keeper: Timekeeper) -> None:
    await plane.pipeline("p", **DAYS)
    await create(plane, concurrency=2)

    await keeper.one_pass()
    await keeper.one_pass()
    first = await waiting(plane)
    (taken, _) = await plane.claim(await plane.executor(), 10)
    await plane.finish(taken)
    await keeper.one_pass()

    assert (first, await waiting(plane)) == (["2026-01-01", "2026-01-02"], ["2026-01-03"])


async def test_live_work_goes_before_a_backfill_that_waited_longer(plane: Plane, keeper: Timekeeper) -> None:
    await plane.pipeline("p", **DAYS)
    await create(plane)
    await keeper.one_pass()
    await plane.pass_time(timedelta(hours=1))
    live = await plane.enqueue("p")

    (first,) = await plane.claim(await plane.executor(), 1)

    assert first.run_id == live


async def earlier(plane: Plane, since: str, outcome: str) -> None:
    day = datetime.fromisoformat(since)
    params = {"since": since, "until": (day + timedelta(days=1)).date().isoformat()}
    await plane.finish(await plane.work("p", params=params), outcome)


@pytest.mark.parametrize(
    ("rule", "days"),
    [
        ("none", ["2026-01-03", "2026-01-04"]),
        ("failed", ["2026-01-02", "2026-01-03", "2026-01-04"]),
        ("all", ["2026-01-01", "2026-01-02", "2026-01-03", "2026-01-04"]),
    ],
)
async def test_what_had_a_run_before_is_reprocessed_by_the_rule(
    plane: Plane, keeper: Timekeeper, rule: str, days: list[str]
) -> None:
    await plane.pipeline("p", **DAYS)
    await earlier(plane, "2026-01-01", "succeeded")
    await earlier(plane, "2026-01-02", "failed")
    made = await create(plane, reprocess=rule)

    assert await work_through(plane, keeper) == days
    assert (await backfill(plane, made))["skipped"] == 4 - len(days)


async def test_the_latest_run_of_a_partition_decides(plane: Plane) -> None:
    await plane.pipeline("p", **DAYS)
    await earlier(plane, "2026-01-01", "failed")
    await plane.pass_time(timedelta(minutes=1))
    await earlier(plane, "2026-01-01", "succeeded")

    assert (await plan(plane, reprocess="failed"))["skipped"] == 1


async def test_a_backfill_with_a_failed_partition_goes_on_and_fails_in_the_end(
    plane: Plane, keeper: Timekeeper
) -> None:
    await plane.pipeline("p", **DAYS)
    made = await create(plane)

    order = await work_through(plane, keeper, {"2026-01-02": "failed"})

    found = await backfill(plane, made)
    assert (len(order), found["state"], found["succeeded"], found["failed"]) == (4, "failed", 3, 1)


async def test_resuming_a_failed_backfill_runs_what_is_missing(plane: Plane, keeper: Timekeeper) -> None:
    await plane.pipeline("p", **DAYS)
    made = await create(plane)
    await work_through(plane, keeper, {"2026-01-02": "failed"})

    await change(plane, made, "running")
    order = await work_through(plane, keeper)

    assert (order, (await backfill(plane, made))["state"]) == (["2026-01-02"], "succeeded")


async def test_a_paused_backfill_starts_nothing_until_it_is_resumed(plane: Plane, keeper: Timekeeper) -> None:
    await plane.pipeline("p", **DAYS)
    made = await create(plane)
    await keeper.one_pass()

    await change(plane, made, "paused")
    during = await work_through(plane, keeper)
    paused = await backfill(plane, made)
    await change(plane, made, "running")
    after = await work_through(plane, keeper)

    assert (during, len(after)) == (["2026-01-01"], 3)
    assert (paused["state"], paused["pending"], paused["succeeded"], paused["changed_by"]) == ("paused", 3, 1, "ann")


async def test_canceling_cancels_its_runs_and_resuming_goes_on(plane: Plane, keeper: Timekeeper) -> None:
    await plane.pipeline("p", **DAYS)
    made = await create(plane, concurrency=2)
    await keeper.one_pass()
    (working,) = await plane.claim(await plane.executor(), 1)

    await change(plane, made, "canceled")
    verdict = await plane.beat(working)
    with pytest.raises(asyncpg.PostgresError, match="still being canceled"):
        await change(plane, made, "running")
    await plane.finish(working, "canceled")
    await keeper.one_pass()
    canceled = await backfill(plane, made)
    await change(plane, made, "running")
    order = await work_through(plane, keeper)

    assert (verdict, canceled["state"], canceled["canceled"]) == ("cancel", "canceled", 4)
    assert (len(order), (await backfill(plane, made))["state"]) == (4, "succeeded")


async def test_a_run_that_succeeded_before_the_cancel_reached_it_counts(plane: Plane, keeper: Timekeeper) -> None:
    await plane.pipeline("p", **DAYS)
    made = await create(plane)
    await keeper.one_pass()
    (working,) = await plane.claim(await plane.executor(), 1)

    await change(plane, made, "canceled")
    await plane.finish(working)
    await keeper.one_pass()

    found = await backfill(plane, made)
    assert (found["state"], found["succeeded"], found["canceled"]) == ("canceled", 1, 3)


async def test_changes_that_make_no_sense_are_refused(plane: Plane, keeper: Timekeeper) -> None:
    await plane.pipeline("p", **DAYS)
    made = await create(plane)
    await work_through(plane, keeper)

    for to in ("paused", "canceled", "running"):
        with pytest.raises(asyncpg.PostgresError, match="succeeded"):
            await change(plane, made, to)
    with pytest.raises(asyncpg.PostgresError, match="there is no backfill"):
        await change(plane, ENVIRONMENT, "paused")


async def test_a_crash_after_a_partition_was_started_starts_it_no_second_time(plane: Plane, keeper: Timekeeper) -> None:
    await plane.pipeline("p", **DAYS)
    await create(plane)
    await keeper.one_pass()
    await plane.db.execute("update ops.backfill_partitions set state = 'pending', run_id = null")

    await keeper.one_pass()

    assert await waiting(plane) == ["2026-01-01"]


async def test_a_cap_that_refuses_is_the_reason_why_it_waits(plane: Plane, keeper: Timekeeper) -> None:
    await plane.pipeline("p", **DAYS, caps=[{"kind": "concurrency", "limit": 1, "behaviour": "reject"}])
    made = await create(plane)
    live = await plane.work("p")

    await keeper.one_pass()
    held = await backfill(plane, made)
    await plane.finish(live)
    await keeper.one_pass()

    assert (held["wait_reason"]["code"], held["pending"]) == ("CAP_EXCEEDED", 4)
    assert ((await backfill(plane, made))["wait_reason"], await waiting(plane)) == (None, ["2026-01-01"])


async def test_a_dry_run_tells_partitions_and_what_history_and_caps_say_and_keeps_nothing(plane: Plane) -> None:
    await plane.pipeline(
        "p", **DAYS, caps=[{"kind": "rows", "limit": 250, "window_seconds": 3600}, {"kind": "concurrency", "limit": 2}]
    )
    for rows in (90, 100, 300):
        await plane.finish(await plane.work("p"), usage={"rows": rows, "bytes": rows * 10, "cost": "0.05"})

    found = await plan(plane, concurrency=3)

    caps = {cap["kind"]: cap for cap in found["caps"]}
    assert (found["partitions"], found["runs"], found["history_runs"]) == (4, 4, 3)
    assert (found["first"], found["last"]["since"]) == ({"since": "2026-01-01", "until": "2026-01-02"}, "2026-01-04")
    assert (float(found["total"]["rows"]), float(found["total"]["bytes"]), float(found["total"]["cost"])) == (
        400,
        4000,
        0.2,
    )
    assert (caps["rows"]["used"], float(caps["rows"]["needs"]), float(caps["rows"]["windows"])) == (490, 400, 2)
    assert (caps["concurrency"]["needs"], caps["concurrency"]["limit"]) == (3, 2)
    assert await plane.db.fetchval("select count(*) from ops.backfills") == 0


async def test_without_history_the_specs_estimate_counts(plane: Plane) -> None:
    await plane.pipeline("p", **DAYS, estimate={"rows": 50})

    found = await plan(plane)

    assert (found["history_runs"], float(found["total"]["rows"])) == (0, 200)


async def test_hours_come_once_each_though_the_clocks_change(plane: Plane, keeper: Timekeeper) -> None:
    await plane.pipeline("p", **MOMENTS)
    await create(
        plane, step="hour", timezone="Europe/Brussels", **{"from": "2026-10-25T00:00", "to": "2026-10-25T05:00"}
    )

    order = await work_through(plane, keeper)

    assert order == [
        "2026-10-24T22:00:00Z",
        "2026-10-24T23:00:00Z",
        "2026-10-25T00:00:00Z",
        "2026-10-25T01:00:00Z",
        "2026-10-25T02:00:00Z",
        "2026-10-25T03:00:00Z",
    ]


async def test_days_are_days_of_the_zone(plane: Plane) -> None:
    await plane.pipeline("p", **DAYS)
    await create(plane, timezone="Europe/Brussels", **{"from": "2026-03-28", "to": "2026-03-31"})

    rows = await plane.db.fetch(
        "select starts_at, ends_at - starts_at as length from ops.backfill_partitions order by ordinal"
    )

    assert rows[0]["starts_at"] == datetime(2026, 3, 27, 23, tzinfo=UTC)
    assert [row["length"] for row in rows] == [timedelta(hours=24), timedelta(hours=23), timedelta(hours=24)]


async def test_months_are_as_long_as_they_are(plane: Plane, keeper: Timekeeper) -> None:
    await plane.pipeline("p", **DAYS)
    await create(plane, step="month", **{"from": "2026-01-01", "to": "2026-04-01"})

    await work_through(plane, keeper)

    rows = await plane.db.fetch(
        "select params ->> 'since' as since, params ->> 'until' as until from ops.runs order by 1"
    )
    assert [tuple(row) for row in rows] == [
        ("2026-01-01", "2026-02-01"),
        ("2026-02-01", "2026-03-01"),
        ("2026-03-01", "2026-04-01"),
    ]


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        ({"pipeline": "nowhere"}, "there is no pipeline"),
        ({"pipeline": "plain"}, "does not say which of its parameters take a range"),
        ({"from": "2026-01-05", "to": "2026-01-05"}, "which is not after its start"),
        ({"from": "2026-01-01T05:00"}, "starts within a day"),
        ({"step": "month"}, "ends within a month"),
        ({"step": "hour"}, "it cannot tell hours apart"),
        ({"step": "week"}, "is not a step"),
        ({"from": "1900-01-01", "to": "2026-01-01"}, "more than 10000 partitions"),
        ({"from": "yesterday"}, "two local times"),
        ({"from": "2026-01-01T00:00+02:00"}, "two local times"),
        ({"from": None}, "two local times"),
        ({"from": "2026-02-30"}, "date/time field value out of range"),
        ({"timezone": "Mars/Base"}, "is not a time zone"),
        ({"params": {"speed": 1}}, "no parameter 'speed'"),
        ({"params": {"mode": "x" * 10_000_000}}, "1000000 are allowed"),
        ({"concurrency": 0}, "0 runs at a time"),
        ({"reprocess": "some"}, "not a rule of reprocessing"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
async def test_requests_that_cannot_be_meant_are_refused(plane: Plane, request_: dict[str, Any], said: str) -> None:
    await plane.pipeline("p", **DAYS)
    await plane.pipeline("plain")

    for ask in (plan, create):
        with pytest.raises(asyncpg.PostgresError, match=said):
            await ask(plane, **request_)


async def test_a_range_that_was_all_processed_is_refused(plane: Plane, keeper: Timekeeper) -> None:
    await plane.pipeline("p", **DAYS)
    await create(plane)
    await work_through(plane, keeper)

    with pytest.raises(asyncpg.PostgresError, match="nothing to do"):
        await create(plane)
