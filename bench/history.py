"""What a long history and many dead rows cost: enqueue to start at 50/s on a full control plane, beside an empty one.

The history is written by plain SQL into the tables themselves and sealed before the clock runs, as it would be in life.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from bench.report import Result, median, percentile
from bench.services import Services, services
from bench.starts import latencies
from lakehouse.embedded.throwaway import ThrowawayPostgres

COMMAND = "python -m bench history"
EVENTS_EACH, SLICE, DEAD = 5, 100_000, 25_000
ROUNDS = 3
TARGET = 1.2

RUNS = """
    insert into ops.runs (
      environment_id, pipeline, bundle, phases, requires, state, attempt, max_attempts, max_losses, event_seq,
      due_at, created_at, started_at, finished_at, executor_id, lane_id
    )
    select p.environment_id, p.name, p.bundle, p.phases, p.requires, 'succeeded', 1, p.max_attempts, p.max_losses, 5,
           t.at, t.at, t.at, t.at + interval '1 second', gen_random_uuid(), l.id
      from ops.pipelines as p
      join ops.lanes as l on l.environment_id = p.environment_id and l.pipeline = p.name
      cross join lateral (
        select ops.now() - interval '1 day' - n * interval '1 second' as at
          from generate_series($1::integer, $1 + $2::integer - 1) as n
      ) as t
     where p.name = $3
    returning id
"""
EVENTS = """
    insert into ops.run_events (run_id, run_seq, attempt, type, at, data)
    select r.id, k.n, least(k.n - 1, 1), k.type, r.created_at, jsonb_build_object('pipeline', r.pipeline)
      from unnest($1::uuid[]) as x (id)
      join ops.runs as r on r.id = x.id
      cross join unnest(
        '{RUN_CREATED,PHASE_CLAIMED,PHASE_STARTED,PHASE_SUCCEEDED,RUN_SUCCEEDED}'::text[]
      ) with ordinality as k (type, n)
"""
CAUGHT_UP = """
    update ops.cursors as c set xid = e.xid, seq = e.seq
      from (select xid, seq from ops.run_events order by xid desc, seq desc limit 1) as e
"""


async def fill(db: asyncpg.Connection, runs: int, pipeline: str = "query") -> None:
    """A history of so many finished runs of a pipeline with five events each, sealed, and the tables analysed."""
    for start in range(0, runs, SLICE):
        await db.fetchval("select ops.ensure_event_partitions()")
        async with db.transaction():
            await db.execute("set local session_replication_role = replica")  # references are known to hold
            ids = [row["id"] for row in await db.fetch(RUNS, start, min(SLICE, runs - start), pipeline)]
            await db.execute(EVENTS, ids)
    await db.fetchval("select ops.ensure_event_partitions()")
    await seal(db)
    for table in ("ops.runs", "ops.run_events", "ops.open_runs"):
        await db.execute(f"vacuum (analyze) {table}")
    await db.execute("checkpoint")


async def seal(db: asyncpg.Connection) -> None:
    """Seal all events there are, and let the readers stand at the last."""
    while await db.fetch("select * from ops.seal_events(20000)"):
        pass
    await db.execute(CAUGHT_UP)


@asynccontextmanager
async def dead_rows(house: Services) -> AsyncIterator[None]:
    """As many dead rows in the queue, which nobody may clean while the block lasts: an old snapshot is open."""
    looker = await asyncpg.connect(house.dsn)
    try:
        await looker.execute("begin isolation level repeatable read")
        await looker.fetchval("select count(*) from ops.open_runs")
        await house.enqueue(DEAD)
        await house.db.execute("select ops.cancel_run(q.run_id, 'bench') from ops.open_runs as q")
        await house.db.execute("analyze ops.open_runs")
        await seal(house.db)
        yield
    finally:
        await looker.close()


async def measure(postgres: ThrowawayPostgres, *, full: bool = False) -> list[Result]:
    """Empty, full, and with dead rows in turn, three times each."""
    runs = 10_000_000 if full else 1_000_000
    empty: list[float] = []
    filled: list[float] = []
    dead: list[float] = []
    async with services(postgres) as long, services(postgres) as dirty:
        await fill(long.db, runs)
        for _ in range(ROUNDS):
            async with services(postgres) as house:
                empty.append(percentile(await latencies(house), 0.99))
            filled.append(percentile(await latencies(long), 0.99))
            async with dead_rows(dirty):
                dead.append(percentile(await latencies(dirty), 0.99))
    return [
        _ratio("history_p99_ratio", filled, empty, f"{runs:,} finished runs and {runs * EVENTS_EACH:,} events"),
        _ratio("dead_rows_p99_ratio", dead, empty, f"{DEAD:,} dead rows in the queue, kept by an open snapshot"),
    ]


def _ratio(name: str, slow: list[float], fast: list[float], what: str) -> Result:
    ratio = float(f"{median(slow) / median(fast):.3g}")
    note = f"{what}: p99 {median(slow)} ms, without {median(fast)} ms at 50/s"
    return Result(name, ratio, "x", f"<= {TARGET}", ratio <= TARGET, COMMAND, note=note)
