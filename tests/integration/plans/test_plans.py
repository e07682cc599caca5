"""Each hot statement stays on its index, however long the history: 200,000 finished runs, a million events, no sequential scan."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from importlib import resources
from typing import Any

import asyncpg
import pytest
from bench.history import fill

from lakehouse.embedded.throwaway import ThrowawayPostgres
from opscore.db.pool import set_codecs
from support.aside import aside
from support.plane import ENVIRONMENT, Plane, staged
from support.plans import Scan, reporting

HISTORY, QUEUED, BATCH = 200_000, 400, 50

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def history(postgres: ThrowawayPostgres, control_template: str) -> Iterator[str]:
    """A control plane with a long history, two lanes of runs that wait, and fresh statistics."""

    async def make() -> str | None:
        dsn = await postgres.create_database("history", template=control_template)
        db = await asyncpg.connect(dsn)
        try:
            await db.execute("load 'auto_explain'")
        except asyncpg.UndefinedFileError:
            await db.close()
            return None
        await set_codecs(db)
        plane = Plane(db, dsn)
        await plane.pipeline("other")
        await fill(db, HISTORY, "other")
        for pipeline in ("query", "other"):
            offered = [{"environment_id": ENVIRONMENT, "pipeline": pipeline}] * QUEUED
            await db.fetch("select * from ops.enqueue_runs($1)", offered)
        await db.execute("vacuum (analyze) ops.open_runs")
        await db.close()
        return dsn

    dsn = aside(make)
    if dsn is None:
        pytest.skip("this Postgres comes without auto_explain, which reports the plans")
    yield dsn
    aside(lambda: postgres.drop_database(dsn))


@dataclass
class Hot:
    """One transaction over the history, with an executor that has room. What happens in it is rolled back."""

    db: asyncpg.Connection
    executor: uuid.UUID

    async def one_lane(self) -> None:
        await self.db.execute(
            "delete from ops.open_runs as q using ops.runs as r where r.id = q.run_id and r.pipeline <> 'query'"
        )

    async def hold(self) -> list[dict[str, Any]]:
        """Runs under lease, as their executor names them."""
        rows = await self.db.fetch("select run_id, token from ops.claim_work($1, $2)", self.executor, BATCH)
        return [dict(row) for row in rows]


@pytest.fixture
async def hot(history: str) -> AsyncIterator[Hot]:
    db = await asyncpg.connect(history)
    await set_codecs(db)
    transaction = db.transaction()
    await transaction.start()
    plane = Plane(db, history)
    await plane.forget_looks()
    yield Hot(db, await plane.executor("hot", slots=1000))
    await transaction.rollback()
    await db.close()


Call = Callable[[], Awaitable[Any]]


async def claim_from_one_lane(hot: Hot) -> Call:
    await hot.one_lane()
    return lambda: hot.db.fetch("select * from ops.claim_work($1, $2)", hot.executor, BATCH)


async def claim_from_two_lanes(hot: Hot) -> Call:
    return lambda: hot.db.fetch("select * from ops.claim_work($1, $2)", hot.executor, BATCH)


async def lease_from_one_lane(hot: Hot) -> Call:
    await hot.one_lane()
    return lambda: hot.db.fetch("select * from ops.lease_runs($1)", BATCH)


async def lease_under_caps(hot: Hot) -> Call:
    for cap in (
        {"name": "c", "kind": "concurrency", "limit": 500},
        {"name": "r", "kind": "runs", "limit": 500, "window_seconds": 60},
    ):
        await hot.db.fetchval("select ops.set_cap($1, $2)", ENVIRONMENT, cap)
    return lambda: hot.db.fetch("select * from ops.lease_runs($1)", BATCH)


async def take(hot: Hot) -> Call:
    await hot.db.fetch("select * from ops.lease_runs($1)", BATCH)
    return lambda: hot.db.fetch("select * from ops.take_work($1, $2)", hot.executor, BATCH)


async def beat(hot: Hot) -> Call:
    beats = [{**held, "checkpoint": {"query": {}}, "events": [{"type": "PHASE_PROGRESS"}]} for held in await hot.hold()]
    return lambda: hot.db.fetch("select * from ops.beat($1, $2)", hot.executor, beats)


async def finish(hot: Hot) -> Call:
    ends = [{**held, "outcome": "succeeded", "events": [{"type": "PHASE_SUCCEEDED"}]} for held in await hot.hold()]
    return lambda: hot.db.fetch("select * from ops.finish_runs($1)", ends)


async def rescue(hot: Hot) -> Call:
    await hot.hold()
    await hot.db.execute("update ops.clock set shift = shift + interval '1 hour'")
    return lambda: hot.db.fetch("select * from ops.requeue_stale_runs()")


async def next_due(hot: Hot) -> Call:
    await hot.hold()
    return lambda: hot.db.fetchval("select ops.next_due_in_ms()")


async def look_for_lanes(hot: Hot) -> Call:
    return lambda: hot.db.fetchval("select ops.waiting_lanes()")


async def look_where_none_waits(hot: Hot) -> Call:
    await hot.db.execute("update ops.open_runs set due_at = due_at + interval '1 day'")
    await hot.db.fetch("select * from ops.lease_runs($1)", BATCH)
    return lambda: hot.db.fetch("select * from ops.lease_runs($1)", BATCH)


async def enqueue(hot: Hot) -> Call:
    offered = [
        {"environment_id": ENVIRONMENT, "pipeline": "query", "idempotency_key": f"key-{n}"} for n in range(BATCH)
    ]
    await hot.db.fetch("select * from ops.enqueue_runs($1)", offered[1:])  # one is new; the others are looked up
    return lambda: hot.db.fetch("select * from ops.enqueue_runs($1)", offered)


async def hand_over(hot: Hot) -> Call:
    """A free executor with a session, a look that found no work, a bell that rang long ago."""
    await hot.db.execute("delete from ops.open_runs")
    await hot.db.fetchval("select ops.open_session($1)", hot.executor)
    await hot.db.fetch("select * from ops.lease_runs(1)")
    await Plane(hot.db, "").bell_rests()

    async def enqueue_one() -> None:
        offered = [{"environment_id": ENVIRONMENT, "pipeline": "query"}]
        run = await hot.db.fetchval("select run_id from ops.enqueue_runs($1)", offered)
        assert await hot.db.fetchval("select state from ops.runs where id = $1", run) == "running"

    return enqueue_one


async def fetch_handed_over(hot: Hot) -> Call:
    await (await hand_over(hot))()
    session = await hot.db.fetchval("select session from ops.executors where id = $1", hot.executor)
    return lambda: hot.db.fetch("select * from ops.handed_over($1, $2)", hot.executor, session)


async def release(hot: Hot) -> Call:
    cap = {"name": "c", "kind": "concurrency", "limit": 0}
    await hot.db.fetchval("select ops.set_cap($1, $2)", ENVIRONMENT, cap)
    await hot.db.fetch("select * from ops.lease_runs($1)", BATCH)
    return lambda: hot.db.fetchval("select ops.release_runs()")


async def publish(hot: Hot) -> Call:
    (held, *_) = await hot.hold()
    return lambda: hot.db.fetchval(
        "select ops.publish_run($1, $2, $3, $4)", held["run_id"], held["token"], [staged("gold.t", "s3://t/1")], {}
    )


async def seal(hot: Hot) -> Call:
    return lambda: hot.db.fetch("select * from ops.seal_events(1000)")


async def cancel(hot: Hot) -> Call:
    run = (await hot.hold())[0]["run_id"]
    return lambda: hot.db.fetchval("select ops.cancel_run($1, 'test')", run)


async def follow_events(hot: Hot) -> Call:
    await hot.db.fetch("select * from ops.read_events('test', 1)")
    await hot.db.execute(
        "update ops.cursors as c set xid = e.xid, seq = e.seq from (select xid, seq from ops.run_events order by seq desc limit 1) as e"
    )
    return lambda: hot.db.fetch("select * from ops.read_events('test', 1000)")


async def page_events(hot: Hot) -> Call:
    return lambda: hot.db.fetch(query("events_after"), "0", 0, 100)


async def page_runs(hot: Hot) -> Call:
    return lambda: hot.db.fetch(query("runs_page"), ENVIRONMENT, None, None, None, None, 50)


async def page_runs_behind_a_cursor(hot: Hot) -> Call:
    last = await hot.db.fetchrow(
        "select created_at, id from ops.runs order by created_at desc, id desc offset 1000 limit 1"
    )
    return lambda: hot.db.fetch(query("runs_page"), ENVIRONMENT, None, None, *last, 50)


async def page_runs_of_a_pipeline(hot: Hot) -> Call:
    return lambda: hot.db.fetch(query("runs_page"), ENVIRONMENT, None, "query", None, None, 50)


def query(name: str) -> str:
    return (resources.files("opscore.db") / "queries" / f"{name}.sql").read_text()


CALLS: dict[str, tuple[Callable[[Hot], Awaitable[Call]], set[str]]] = {
    "claim from one lane": (
        claim_from_one_lane,
        {"open_runs by open_runs_waiting", "runs by runs_pkey", "open_runs by open_runs_pkey"},
    ),
    "claim from two lanes": (
        claim_from_two_lanes,
        {"open_runs by open_runs_waiting", "runs by runs_pkey", "open_runs by open_runs_pkey"},
    ),
    "lease from one lane": (
        lease_from_one_lane,
        {"open_runs by open_runs_waiting", "runs by runs_pkey", "open_runs by open_runs_pkey"},
    ),
    "lease under caps": (
        lease_under_caps,
        {"open_runs by open_runs_waiting", "runs by runs_pkey", "open_runs by open_runs_pkey"},
    ),
    "take": (take, {"open_runs by open_runs_by_holder", "runs by runs_pkey"}),
    "beat": (beat, {"runs by runs_pkey"}),
    "finish": (finish, {"open_runs by open_runs_pkey", "runs by runs_pkey"}),
    "rescue": (rescue, {"open_runs by open_runs_pkey", "runs by runs_pkey"}),
    "next due": (next_due, {"open_runs by open_runs_by_due_time", "runs by runs_pkey"}),
    "look where none waits": (look_where_none_waits, {"open_runs by open_runs_by_due_time"}),
    "waiting lanes": (look_for_lanes, {"open_runs by open_runs_waiting"}),
    "enqueue": (enqueue, {"runs by runs_by_idempotency_key"}),
    "hand over": (
        hand_over,
        {"open_runs by open_runs_by_holder", "runs by runs_pkey", "open_runs by open_runs_pkey"},
    ),
    "fetch what was handed over": (fetch_handed_over, {"open_runs by open_runs_by_session", "runs by runs_pkey"}),
    "release": (release, {"open_runs by open_runs_held", "runs by runs_pkey"}),
    "publish": (publish, {"runs by runs_pkey"}),
    "seal": (seal, {"run_events by run_events_pkey"}),
    "cancel": (cancel, {"open_runs by open_runs_pkey", "runs by runs_pkey"}),
    "follow events": (follow_events, {"run_events by run_events_pkey"}),
    "page events": (page_events, {"run_events by run_events_pkey"}),
    "page runs": (page_runs, {"runs by runs_newest_first, from end to end"}),
    "page runs behind a cursor": (page_runs_behind_a_cursor, {"runs by runs_newest_first"}),
    "page runs of a pipeline": (page_runs_of_a_pipeline, {"runs by runs_of_a_pipeline_newest_first"}),
}

# These indexes hold only what is leased, held or being recovered, or are read from the front for as long as a page is.
SHORT = {
    "open_runs by open_runs_by_holder, from end to end",
    "open_runs by open_runs_by_time_limit, from end to end",
    "open_runs by open_runs_held, from end to end",
    "open_runs by open_runs_recovering, from end to end",
    "open_runs by open_runs_waiting, from end to end",  # the first lane that waits
    "runs by runs_newest_first, from end to end",
}


def faults(name: str, scans: list[Scan]) -> list[str]:
    """Indexes that a call should have used and did not, and reads that grow with the history."""
    used = {str(scan) for scan in scans}
    endless = {str(scan) for scan in scans if scan.index is None or not scan.bounded} - SHORT
    return [f"not used: {index}" for index in sorted(CALLS[name][1] - used)] + [
        f"read: {scan}" for scan in sorted(endless)
    ]


async def run(hot: Hot, name: str, mode: str) -> list[Scan]:
    """What a call reads of the tables that grow, and by which index."""
    call = await CALLS[name][0](hot)
    async with reporting(hot.db, mode) as scans:
        await call()
    return scans


# Postgres takes the limit of a page, a parameter, for a tenth of the table: it never finds one plan for all pages cheap.
MODES = {
    name: ["force_custom_plan"] if name.startswith("page runs") else ["force_generic_plan", "force_custom_plan"]
    for name in CALLS
}


@pytest.mark.parametrize(("name", "mode"), [(name, mode) for name in sorted(CALLS) for mode in MODES[name]])
async def test_a_hot_call_reads_by_its_indexes_alone(hot: Hot, name: str, mode: str) -> None:
    assert faults(name, await run(hot, name, mode)) == []


LOST = {
    "open_runs_waiting": "claim from one lane",
    "open_runs_by_holder": "take",
    "open_runs_by_due_time": "next due",
    "runs_newest_first": "page runs",
    "runs_of_a_pipeline_newest_first": "page runs of a pipeline",
}


@pytest.mark.parametrize("index", sorted(LOST))
async def test_a_lost_index_is_noticed(hot: Hot, index: str) -> None:
    await hot.db.execute(f"drop index ops.{index}")

    found = faults(LOST[index], await run(hot, LOST[index], "force_custom_plan"))

    assert any(fault.startswith("not used: ") and f" by {index}" in fault for fault in found)


async def test_a_statement_that_walks_the_history_is_noticed(hot: Hot) -> None:
    body = await hot.db.fetchval("select pg_get_functiondef('ops.finish_runs(jsonb)'::regprocedure)")
    narrow = "and r.id = any (array(select x.run_id from offered as x))"
    assert body.count(narrow) == 1
    await hot.db.execute(
        body.replace(narrow, "").replace("SET enable_seqscan TO 'off'", "SET enable_nestloop TO 'off'")
    )

    assert "read: runs by all of it" in [
        fault.split(", from")[0] for fault in faults("finish", await run(hot, "finish", "force_generic_plan"))
    ]
