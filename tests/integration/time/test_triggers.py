"""Publishes, events and webhooks start pipelines: once each, and never in a ring."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from lakehouse_dispatcher.timekeeping import Timekeeper
from opscore.db.pool import set_codecs
from support.keeper import keeping_time
from support.plane import ENVIRONMENT, Plane, Work, somebody_waits, staged

TOKEN = "a-secret-of-the-erp"
BOTH = [{"kind": "fan_in", "name": "both", "pipelines": ["a", "b"]}]
COUNTER = iter(range(1_000_000))


async def publish(plane: Plane, pipeline: str, **params: Any) -> UUID:
    work = await plane.work(pipeline, params=params)
    await published(plane, work, pipeline)
    await plane.finish(work)
    return work.run_id


async def published(plane: Plane, work: Work, pipeline: str) -> None:
    name = f"silver.{pipeline}"
    base = await plane.db.fetchval("select metadata_location from ops.tables where name = $1", name)
    assert await plane.publish(work, [staged(name, f"s3://x/{next(COUNTER)}", base)]) == "published"


async def runs(plane: Plane, pipeline: str) -> list[asyncpg.Record]:
    return await plane.db.fetch("select * from ops.runs where pipeline = $1 order by created_at", pipeline)


async def test_after_starts_at_any_publish(plane: Plane) -> None:
    for name in ("a", "b"):
        await plane.pipeline(name)
    await plane.pipeline("c", after=["a", "b"])

    parents = [await publish(plane, "a"), await publish(plane, "b")]
    await publish(plane, "a", chain=False)

    assert [run["parent_run_id"] for run in await runs(plane, "c")] == parents


async def test_a_fan_in_waits_for_all_and_starts_once(plane: Plane) -> None:
    for name in ("a", "b"):
        await plane.pipeline(name)
    await plane.pipeline("c", triggers=BOTH)

    await publish(plane, "a")
    await publish(plane, "a")
    waiting = (await runs(plane, "c"), await plane.db.fetchval("select arrived from api.triggers"))
    last = await publish(plane, "b")

    (run,) = await runs(plane, "c")
    assert waiting == ([], ["a"])
    assert (run["parent_run_id"], run["trigger"]) == (last, "publish")


async def test_after_it_started_a_fan_in_waits_for_all_anew(plane: Plane) -> None:
    for name in ("a", "b"):
        await plane.pipeline(name)
    await plane.pipeline("c", triggers=BOTH)

    counts = []
    for name in ("a", "b", "b", "b", "a"):
        await publish(plane, name)
        counts.append(len(await runs(plane, "c")))

    assert counts == [0, 1, 1, 1, 2]


async def test_two_upstreams_that_publish_at_once_start_it_exactly_once(plane: Plane) -> None:
    for name in ("a", "b"):
        await plane.pipeline(name)
    await plane.pipeline("c", triggers=BOTH)
    first, second = await plane.work("a"), await plane.work("b")
    other = await asyncpg.connect(plane.dsn)
    await set_codecs(other)
    beside = Plane(other, plane.dsn)

    async with plane.db.transaction():
        await published(plane, first, "a")
        waiting = asyncio.create_task(published(beside, second, "b"))
        watcher = await asyncpg.connect(plane.dsn)
        await somebody_waits(watcher)
        await watcher.close()
    await waiting
    await other.close()

    assert len(await runs(plane, "c")) == 1


async def test_a_publish_stands_when_what_follows_is_refused(plane: Plane) -> None:
    await plane.pipeline("a")
    await plane.pipeline("c", after=["a"], caps=[{"kind": "concurrency", "limit": 1, "behaviour": "reject"}])
    await plane.work("c")

    run = await publish(plane, "a")

    assert len(await runs(plane, "c")) == 1
    assert (await plane.run(run))["published_at"] is not None
    assert (await plane.events(run))[-3:] == ["RUN_PUBLISHED", "TRIGGER_REFUSED", "RUN_SUCCEEDED"]


ON_FAILURE = [
    {"kind": "event", "name": "repair", "event": "RUN_FAILED", "pipeline": "a", "params": {"why": "a failed"}}
]


async def test_an_event_starts_one_run_though_two_dispatchers_follow(
    plane: Plane, keeper: Timekeeper, dispatcher_dsn: str
) -> None:
    for name in ("a", "b"):
        await plane.pipeline(name)
    await plane.finish(await plane.work("a"), "failed")
    await plane.pipeline("c", triggers=ON_FAILURE)
    failed = await plane.work("a")
    await plane.finish(failed, "failed")
    await plane.finish(await plane.work("b"), "failed")
    await plane.finish(await plane.work("a"))

    async with keeping_time(dispatcher_dsn) as other:
        await asyncio.gather(keeper.one_pass(), other.one_pass())
        await asyncio.gather(keeper.one_pass(), other.one_pass())

    (run,) = await runs(plane, "c")
    assert (run["parent_run_id"], run["trigger"], run["params"]) == (failed.run_id, "event", {"why": "a failed"})


async def test_a_trigger_is_not_fired_by_events_from_before_it_was_applied(plane: Plane, keeper: Timekeeper) -> None:
    for name in ("a", "b"):
        await plane.pipeline(name)
    await plane.pipeline("c", triggers=[{"kind": "event", "name": "other", "event": "RUN_FAILED", "pipeline": "b"}])
    await plane.finish(await plane.work("a"), "failed")  # not followed yet when the second trigger comes

    await plane.pipeline("d", triggers=ON_FAILURE)
    await keeper.one_pass()

    assert await runs(plane, "d") == []


async def test_without_triggers_on_events_nobody_follows_the_log(plane: Plane, keeper: Timekeeper) -> None:
    await plane.pipeline("a")
    await plane.pipeline("c", triggers=ON_FAILURE)
    await plane.pipeline("c")

    due = await keeper.control.time_due()

    assert due.events is False


PARAMS = {
    "day": {"type": "date"},
    "rows": {"type": "integer", "minimum": 1, "maximum": 9},
    "mode": {"type": "string", "enum": ["full", "fast"]},
    "note": {"type": "string", "enum": None},
}


async def webhook(plane: Plane) -> None:
    trigger = {"kind": "webhook", "name": "erp", "params": {"day": "2026-01-01"}}
    await plane.pipeline("c", params=PARAMS, triggers=[trigger])
    digest = hashlib.sha256(TOKEN.encode()).hexdigest()
    await plane.db.execute("select ops.set_trigger_token($1, 'c', 'erp', $2, 'ann')", ENVIRONMENT, digest)


async def fire(plane: Plane, token: str = TOKEN, params: Any = None, key: str | None = None) -> asyncpg.Record:
    return await plane.db.fetchrow("select * from ops.fire_webhook_trigger($1, $2, $3)", token, params or {}, key)


async def test_a_webhook_starts_its_pipeline_with_the_parameters_given(plane: Plane) -> None:
    await webhook(plane)

    first = await fire(plane, key="k")
    again = await fire(plane, key="k")
    given = {"day": "2026-02-02", "rows": 9, "mode": "full", "note": "x", "chain": False}
    other = await fire(plane, params=given)

    assert (first["run_id"], first["created"], again["run_id"], again["created"]) == (
        again["run_id"],
        True,
        first["run_id"],
        False,
    )
    assert (await plane.run(first["run_id"]))["params"] == {"day": "2026-01-01"}
    assert (await plane.run(other["run_id"]))["params"] == given


async def test_a_wrong_token_a_stranger_and_no_object_start_nothing(plane: Plane) -> None:
    await webhook(plane)

    for token, params, said in (
        ("guess", {}, "starts nothing"),
        ("", {}, "starts nothing"),
        (TOKEN, {"speed": 1}, "no parameter 'speed'"),
        (TOKEN, ["day"], "not a JSON object"),
        (TOKEN, {"day": "tomorrow"}, "is not a date"),
        (TOKEN, {"day": 7}, "is not a date"),
        (TOKEN, {"rows": 1.5}, "is not an integer"),
        (TOKEN, {"rows": 10}, "is not an integer it allows"),
        (TOKEN, {"mode": "slow"}, 'is not one of \\["full", "fast"\\]'),
        (TOKEN, {"chain": "yes"}, "is not true or false"),
        (TOKEN, {"note": "x" * 10_000_000}, "1000000 are allowed"),
    ):
        with pytest.raises(asyncpg.PostgresError, match=said):
            await fire(plane, token, params)

    assert await runs(plane, "c") == []


async def test_a_new_token_ends_the_old_one_and_an_apply_keeps_it(plane: Plane) -> None:
    await webhook(plane)
    digest = hashlib.sha256(b"new").hexdigest()
    await plane.db.execute("select ops.set_trigger_token($1, 'c', 'erp', $2, 'ann')", ENVIRONMENT, digest)
    await plane.pipeline("c", params={"day": {"type": "date"}}, triggers=[{"kind": "webhook", "name": "erp"}])

    with pytest.raises(asyncpg.PostgresError, match="starts nothing"):
        await fire(plane)

    assert (await fire(plane, "new"))["created"] is True


@pytest.mark.parametrize("role", ["authenticated", "lakehouse_controlroom"])
async def test_no_role_can_read_a_tokens_digest(plane: Plane, role: str) -> None:
    await plane.db.execute(f"set role {role}")

    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await plane.db.fetch("select token_sha256 from ops.triggers")


async def test_pipelines_that_would_start_each_other_for_ever_are_refused_with_the_ring(plane: Plane) -> None:
    await plane.pipeline("x")
    await plane.pipeline("a", after=["c"])
    await plane.pipeline("b", triggers=[{"kind": "fan_in", "name": "both", "pipelines": ["a", "x"]}])

    with pytest.raises(asyncpg.PostgresError, match="for ever: c -> a -> b -> c"):
        await plane.pipeline("c", triggers=[{"kind": "event", "name": "e", "event": "RUN_FAILED", "pipeline": "b"}])

    assert await plane.db.fetchval("select count(*) from ops.pipelines where name = 'c'") == 0


async def test_a_pipeline_after_itself_is_a_ring_of_one(plane: Plane) -> None:
    with pytest.raises(asyncpg.PostgresError, match="for ever: a -> a"):
        await plane.pipeline("a", after=["a"])


async def test_two_halves_of_a_ring_applied_at_once_do_not_both_pass(plane: Plane) -> None:
    for name in ("a", "b"):
        await plane.pipeline(name)
    other = await asyncpg.connect(plane.dsn)
    await set_codecs(other)
    beside = Plane(other, plane.dsn)

    async with plane.db.transaction():
        await plane.pipeline("a", after=["b"])
        waiting = asyncio.create_task(beside.pipeline("b", after=["a"]))
        watcher = await asyncpg.connect(plane.dsn)
        await somebody_waits(watcher)
        await watcher.close()

    with pytest.raises(asyncpg.PostgresError, match="for ever: b -> a -> b"):
        await waiting
    await other.close()


async def test_many_diamonds_are_no_ring_and_take_no_time(plane: Plane) -> None:
    await plane.pipeline("n0")
    for n in range(1, 40, 3):
        await plane.pipeline(f"n{n}", after=[f"n{n - 1}"])
        await plane.pipeline(f"n{n + 1}", after=[f"n{n - 1}"])
        await plane.pipeline(f"n{n + 2}", after=[f"n{n}", f"n{n + 1}"])

    with pytest.raises(asyncpg.PostgresError, match="for ever"):
        await plane.pipeline("n0", after=["n39"])
