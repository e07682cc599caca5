"""PgQueuer's no-op drain: enqueue N jobs, start the clock, run its queue manager until the queue is empty.

Usage: python -m bench.peers.pgqueuer_drain DSN N. Prints jobs per second.
"""

from __future__ import annotations

import asyncio
import sys
import time
from datetime import timedelta

import asyncpg
from pgqueuer.db import AsyncpgPoolDriver
from pgqueuer.models import Job
from pgqueuer.qm import QueueManager
from pgqueuer.queries import Queries
from pgqueuer.types import QueueExecutionMode

BATCH = 100  # its best of 10, 50, 100, 200 and 500 on the machine this was written on


async def drain(dsn: str, jobs: int) -> float:
    """Jobs per second from the first dequeue to the last completion."""
    async with asyncpg.create_pool(dsn, min_size=4, max_size=8) as pool:
        driver = AsyncpgPoolDriver(pool)
        queries = Queries(driver)
        if not await queries.has_table("pgqueuer"):
            await queries.install()
        for start in range(0, jobs, 5000):
            count = min(5000, jobs - start)
            await queries.enqueue(["noop"] * count, [None] * count, [0] * count)
        manager = QueueManager(queries)

        @manager.entrypoint("noop")
        async def noop(_job: Job) -> None:
            return

        begin = time.perf_counter()
        await manager.run(dequeue_timeout=timedelta(seconds=1), batch_size=BATCH, mode=QueueExecutionMode.drain)
        return jobs / (time.perf_counter() - begin)


if __name__ == "__main__":
    print(asyncio.run(drain(sys.argv[1], int(sys.argv[2]))))
