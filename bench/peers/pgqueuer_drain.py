"""PgQueuer's no-op drain: enqueue N jobs, start the clock, run its queue managers until the queue is empty.

Usage: python -m bench.peers.pgqueuer_drain DSN N published|tuned. Prints jobs per second. `published` is how its own
benchmark drains: five dequeuers in one process, each with a connection of its own, ten jobs at a time (with uvloop,
and without its handlers in threads, which are slower). `tuned` is the fastest setting found on the machine this was
written on: one queue manager over a pool, a hundred at a time (of 10, 50, 100, 200 and 500).
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta

import asyncpg
from pgqueuer.db import AsyncpgDriver, AsyncpgPoolDriver
from pgqueuer.models import Job
from pgqueuer.qm import QueueManager
from pgqueuer.queries import Queries
from pgqueuer.types import QueueExecutionMode

DEQUEUERS, PUBLISHED_BATCH = 5, 10
TUNED_BATCH = 100


async def drain(dsn: str, jobs: int, setting: str) -> float:
    """Jobs per second from the first dequeue to the last completion."""
    async with managers(dsn, setting) as (working, batch):
        queries = working[0].queries
        if not await queries.has_table("pgqueuer"):
            await queries.install()
        for start in range(0, jobs, 5000):
            count = min(5000, jobs - start)
            await queries.enqueue(["noop"] * count, [None] * count, [0] * count)
        begin = time.perf_counter()
        await asyncio.gather(
            *(
                manager.run(dequeue_timeout=timedelta(seconds=1), batch_size=batch, mode=QueueExecutionMode.drain)
                for manager in working
            )
        )
        return jobs / (time.perf_counter() - begin)


@asynccontextmanager
async def managers(dsn: str, setting: str) -> AsyncGenerator[tuple[list[QueueManager], int]]:
    """Queue managers with a handler that does nothing, and the size of their batches."""
    async with AsyncExitStack() as stack:
        if setting == "tuned":
            pool = await stack.enter_async_context(asyncpg.create_pool(dsn, min_size=4, max_size=8))
            made = [QueueManager(Queries(AsyncpgPoolDriver(pool)))]
        else:
            connections = [await asyncpg.connect(dsn) for _ in range(DEQUEUERS)]
            for connection in connections:
                stack.push_async_callback(connection.close)
            made = [QueueManager(Queries(AsyncpgDriver(connection))) for connection in connections]
        for manager in made:
            manager.entrypoint("noop")(noop)
        yield made, TUNED_BATCH if setting == "tuned" else PUBLISHED_BATCH


async def noop(_job: Job) -> None:
    """Return at once."""


if __name__ == "__main__":
    import uvloop

    print(uvloop.run(drain(sys.argv[1], int(sys.argv[2]), sys.argv[3])))
