"""What is kept and what goes: partitions by age, artifacts, old alerts and ledger rows."""

from __future__ import annotations

import uuid
from datetime import timedelta

import asyncpg
import pytest

from lakehouse.client.verifying import Verdict, Verification
from opscore.db.chain_reader import open_chain
from opscore.signing import Verifier
from support.plane import ENVIRONMENT, Plane, staged

DAY = timedelta(days=1)


async def verify(plane: Plane) -> Verdict:
    async with open_chain(plane.dsn, application="test") as chain:
        return await Verification(chain, Verifier({}), {}).run()


async def seal(plane: Plane, limit: int = 1000) -> None:
    while await plane.db.fetchrow("select * from ops.seal_events($1)", limit):
        pass


async def ended(plane: Plane) -> uuid.UUID:
    work = await plane.work()
    assert await plane.finish(work)
    return work.run_id


async def partition_of(plane: Plane, run: uuid.UUID) -> set[str]:
    rows = await plane.db.fetch("select tableoid::regclass::text as name from ops.run_events where run_id = $1", run)
    return {row["name"].removeprefix("ops.") for row in rows}


async def read_all(plane: Plane, consumer: str = "scorer") -> None:
    rows = await plane.db.fetch("select * from ops.read_events($1, 10000)", consumer)
    first, last = rows[0], rows[-1]
    await plane.db.fetchval(
        "select ops.advance_cursor($1, $2, $3, $4, $5)",
        consumer,
        first["from_xid"],
        first["from_seq"],
        last["xid"],
        last["seq"],
    )


async def test_each_day_has_a_partition_of_its_own(plane: Plane) -> None:
    monday = await ended(plane)
    await plane.pass_time(DAY)
    await plane.db.fetchval("select ops.ensure_event_partitions()")
    tuesday = await ended(plane)

    book = await plane.db.fetch(
        "select name, closed_at from ops.event_partitions where opened_at is not null order by from_seq"
    )

    assert await partition_of(plane, monday) != await partition_of(plane, tuesday)
    assert [row["closed_at"] is None for row in book] == [False, True]


async def test_a_day_without_events_makes_no_partition(plane: Plane) -> None:
    run = await ended(plane)
    await plane.db.fetchval("select ops.ensure_event_partitions()")
    for _ in range(5):
        await plane.pass_time(DAY)
        await plane.db.fetchval("select ops.ensure_event_partitions()")

    opened = await plane.db.fetchval("select count(*) from ops.event_partitions where opened_at is not null")

    assert run
    assert opened == 2, "the one with the run, and the one that waits for more"


async def test_a_transaction_that_was_open_at_the_turn_still_writes_to_the_old_partition(plane: Plane) -> None:
    late = await asyncpg.connect(plane.dsn)
    await ended(plane)
    transaction = late.transaction()
    await transaction.start()
    run = await late.fetchval("select run_id from ops.enqueue_run($1, 'query')", ENVIRONMENT)
    await plane.pass_time(DAY)
    await plane.db.fetchval("select ops.ensure_event_partitions()")
    after = await plane.enqueue()
    await transaction.commit()
    await late.close()

    assert await partition_of(plane, run) != await partition_of(plane, after)
    assert {row["run_id"] for row in await plane.db.fetch("select run_id from ops.read_events('f', 100)")} >= {
        run,
        after,
    }


async def test_a_clock_set_back_keeps_no_partition_from_being_closed(plane: Plane) -> None:
    await plane.pass_time(10 * DAY)
    await ended(plane)
    await plane.db.fetchval("select ops.ensure_event_partitions()")
    await plane.pass_time(-5 * DAY)
    end = await plane.db.fetchval("select min(upto_seq) from ops.event_partitions where closed_at is null")
    await plane.db.execute("select setval('ops.run_events_seq', $1)", end + 1)

    made = await plane.db.fetchval("select ops.ensure_event_partitions()")

    closed = await plane.db.fetchrow("select opened_at, closed_at from ops.event_partitions where upto_seq = $1", end)
    assert made == 1
    assert closed["closed_at"] == closed["opened_at"]


async def old_and_new(plane: Plane) -> tuple[uuid.UUID, uuid.UUID]:
    """A run in a partition past retention, and one of today; everything sealed and followed."""
    old = await ended(plane)
    await plane.pass_time(DAY)
    await plane.db.fetchval("select ops.ensure_event_partitions()")
    await plane.pass_time(91 * DAY)
    new = await ended(plane)
    await read_all(plane)
    return old, new


async def test_a_partition_past_retention_is_dropped_and_leaves_its_sealed_head(plane: Plane) -> None:
    old, new = await old_and_new(plane)
    (name,) = await partition_of(plane, old)
    await seal(plane, 2)
    covering = await plane.db.fetchrow(
        "select n, digest from ops.event_seals where parts @> $1 order by n desc limit 1", [{"partition": name}]
    )

    dropped = await plane.db.fetchval("select ops.drop_expired_events()")

    left = await plane.db.fetchrow("select * from ops.event_partitions where name = $1", name)
    assert dropped == 1
    assert (await plane.events(old), await plane.db.fetchval("select to_regclass($1)", f"ops.{name}")) == ([], None)
    assert "RUN_SUCCEEDED" in await plane.events(new)
    assert (left["sealed_n"], left["sealed_digest"]) == (covering["n"], covering["digest"])
    assert left["dropped_at"] is not None


async def test_the_chain_is_whole_after_a_partition_was_dropped(plane: Plane) -> None:
    await old_and_new(plane)
    await seal(plane, 3)  # three does not divide a run's events: one batch reaches over both partitions

    await plane.db.fetchval("select ops.drop_expired_events()")
    await ended(plane)
    await seal(plane, 3)
    verdict = await verify(plane)

    assert verdict.faults == []
    assert verdict.first is not None
    assert verdict.first > 1, "seals without an event left are gone too"
    assert verdict.events == await plane.db.fetchval("select count(*) from ops.run_events")


async def test_a_partition_dropped_behind_retention_s_back_is_found(plane: Plane) -> None:
    old, _ = await old_and_new(plane)
    (name,) = await partition_of(plane, old)
    await seal(plane)

    await plane.db.execute(f"drop table ops.{name}")
    await plane.db.execute(
        "update ops.event_partitions set dropped_at = ops.now(), events = 1, sealed_n = 1 where name = $1", name
    )
    verdict = await verify(plane)

    assert verdict.faults[0].what == f"partition {name} is gone and the chain records no drop of it"


async def test_a_beginning_that_retention_took_is_told_in_the_chain_once(plane: Plane) -> None:
    await old_and_new(plane)
    await seal(plane, 3)
    covered = await plane.db.fetchval("select max(n) from ops.event_seals")

    await plane.db.fetchval("select ops.drop_expired_events()")
    told = await plane.db.fetchrow("select n, parts from ops.event_seals where dropped = 'seals'")
    first = await plane.db.fetchrow("select n, previous from ops.event_seals order by n limit 1")
    await plane.db.fetchval("select ops.drop_expired_events()")

    assert told["n"] == covered + 2, "behind the record of the partition's drop"
    assert told["parts"] == [{"partition": "seals", "events": first["n"] - 1, "digest": first["previous"]}]
    assert await plane.db.fetchval("select max(n) from ops.event_seals") == told["n"], "nothing new is nothing to tell"


async def test_an_unsealed_partition_is_kept_whatever_its_age(plane: Plane) -> None:
    await old_and_new(plane)

    assert await plane.db.fetchval("select ops.drop_expired_events()") == 0


async def test_a_partition_that_a_follower_has_not_read_is_kept(plane: Plane) -> None:
    await old_and_new(plane)
    await seal(plane)
    await plane.db.execute("insert into ops.cursors (consumer) values ('late')")

    assert await plane.db.fetchval("select ops.drop_expired_events()") == 0


async def test_a_drop_gives_way_to_a_long_reader(plane: Plane) -> None:
    await old_and_new(plane)
    await seal(plane)
    reader = await asyncpg.connect(plane.dsn)
    reading = reader.transaction()
    await reading.start()
    await reader.fetch("select count(*) from ops.run_events")

    while_read = await plane.db.fetchval("select ops.drop_expired_events()")
    await reading.rollback()
    afterwards = await plane.db.fetchval("select ops.drop_expired_events()")
    await reader.close()

    assert (while_read, afterwards) == (0, 1)


@pytest.mark.parametrize("change", ["update ops.{} set type = 'X'", "delete from ops.{}", "truncate ops.{}"])
async def test_events_are_never_changed_through_a_partition(plane: Plane, change: str) -> None:
    await plane.pass_time(DAY)
    run = await plane.enqueue()
    await plane.pass_time(DAY)
    await plane.db.fetchval("select ops.ensure_event_partitions()")
    later = await plane.enqueue()

    for name in await partition_of(plane, run) | await partition_of(plane, later):
        with pytest.raises(asyncpg.PostgresError, match="never changed"):
            await plane.db.execute(change.format(name))


async def register(plane: Plane, work: object, name: str, kind: str) -> None:
    offered = [
        {"name": name, "kind": kind, "uri": f"file:///w/{name}", "sha256": "0" * 64, "bytes": 1, "media_type": "x/y"}
    ]
    assert await plane.db.fetchval("select ops.register_artifacts($1, $2, $3)", work.run_id, work.token, offered)  # type: ignore[attr-defined]


async def expired(plane: Plane) -> set[str]:
    return {row["uri"] for row in await plane.db.fetch("select * from ops.take_expired_artifacts()")}


async def test_results_go_before_other_artifacts(plane: Plane) -> None:
    work = await plane.work()
    await register(plane, work, "result.json", "result")
    await register(plane, work, "checks.json", "checks")
    await plane.finish(work)

    await plane.pass_time(15 * DAY)
    after_two_weeks = await expired(plane)
    await plane.pass_time(90 * DAY)
    after_a_quarter = await expired(plane)

    assert after_two_weeks == {"file:///w/result.json"}
    assert after_a_quarter == {"file:///w/result.json", "file:///w/checks.json"}, (
        "what nobody finished is handed over again"
    )


async def test_an_artifact_is_handed_to_one_executor_and_forgotten_once_its_file_is_gone(plane: Plane) -> None:
    work = await plane.work()
    await register(plane, work, "result.json", "result")
    await plane.finish(work)
    await plane.pass_time(15 * DAY)

    first = await plane.db.fetch("select * from ops.take_expired_artifacts()")
    second = await plane.db.fetch("select * from ops.take_expired_artifacts()")
    forgotten = await plane.db.fetchval("select ops.forget_artifacts($1)", [row["id"] for row in first])

    assert (len(first), second, forgotten) == (1, [], 1)
    assert await plane.db.fetchval("select count(*) from ops.artifacts") == 0


async def test_an_artifact_that_nobody_handed_over_cannot_be_forgotten(plane: Plane) -> None:
    work = await plane.work()
    await register(plane, work, "result.json", "result")
    artifact = await plane.db.fetchval("select id from ops.artifacts")

    assert await plane.db.fetchval("select ops.forget_artifacts($1)", [artifact]) == 0


async def test_artifacts_of_the_published_version_and_of_the_one_before_it_are_kept(plane: Plane) -> None:
    await plane.pipeline("p", max_attempts=1)
    for number, base in enumerate([None, "file:///v0", "file:///v1"]):
        work = await plane.work("p")
        await register(plane, work, f"manifest{number}.json", "manifest")
        assert await plane.publish(work, [staged("gold.t", f"file:///v{number}", base)]) == "published"
        await plane.finish(work)
    await plane.pass_time(100 * DAY)

    assert await expired(plane) == {"file:///w/manifest0.json"}


async def test_old_alerts_go_with_their_notifications_and_open_ones_stay(plane: Plane) -> None:
    route = await plane.db.fetchval(
        "select ops.set_route($1, 'r', '{}', 'webhook', '{\"url\": \"x\"}', 1)", ENVIRONMENT
    )
    for key in ("open", "old"):
        alert = await plane.db.fetchval(
            "insert into ops.alerts (environment_id, rule, dedup_key, severity, summary, created_at, updated_at)"
            " values ($1, 'r', $2, 'error', 's', ops.now(), ops.now()) returning id", ENVIRONMENT, key,
        )  # fmt: skip
        await plane.db.execute(
            "insert into ops.notifications (alert_id, route_id, channel, target, body, due_at, created_at)"
            " values ($1, $2, 'webhook', '{}', '{}', ops.now(), ops.now())", alert, route,
        )  # fmt: skip
    await plane.db.execute("select ops.change_alert(id, 'resolved', 'me') from ops.alerts where dedup_key = 'old'")

    await plane.pass_time(89 * DAY)
    early = await plane.db.fetchval("select ops.prune()")
    await plane.pass_time(2 * DAY)
    late = await plane.db.fetchval("select ops.prune()")

    assert (early, late) == (0, 2)
    assert await plane.db.fetchval("select dedup_key from ops.alerts") == "open"


async def test_ledger_rows_behind_their_cap_s_window_are_pruned(plane: Plane) -> None:
    cap = {"name": "c", "kind": "runs", "limit": 100, "window_seconds": 3600}
    await plane.db.fetchval("select ops.set_cap($1, $2)", ENVIRONMENT, cap)
    await plane.work()
    assert await plane.db.fetchval("select count(*) from ops.cap_usage") == 1

    await plane.pass_time(timedelta(hours=2))
    early = await plane.db.fetchval("select ops.prune()")
    await plane.pass_time(DAY)
    late = await plane.db.fetchval("select ops.prune()")

    assert (early, late) == (0, 1)
