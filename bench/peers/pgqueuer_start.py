"""PgQueuer's enqueue to handler start at a steady rate. Usage: python -m bench.peers.pgqueuer_start DSN COUNT RATE.

Producer and consumer are two tasks of one process, as its own benchmark has them. Prints milliseconds, one a line.
"""

from __future__ import annotations

import asyncio
import sys
import time
from datetime import timedelta

import asyncpg
from pgqueuer.db import AsyncpgDriver, AsyncpgPoolDriver
from pgqueuer.models import Job
from pgqueuer.qm import QueueManager
from pgqueuer.queries import Queries


async def starts(dsn: str, count: int, rate: float) -> list[float]:
    """Milliseconds from just before enqueue to the start of the handler."""
    pool = await asyncpg.create_pool(dsn, min_size=2, max_size=4)
    queries = Queries(AsyncpgPoolDriver(pool))
    if not await queries.has_table("pgqueuer"):
        await queries.install()
    manager = QueueManager(queries)
    seen: list[float] = []
    done = asyncio.Event()

    @manager.entrypoint("stamp")
    async def stamp(job: Job) -> None:
        seen.append((time.time() - float((job.payload or b"0").decode())) * 1000)
        if len(seen) == count:
            done.set()

    consumer = asyncio.create_task(manager.run(dequeue_timeout=timedelta(seconds=5), batch_size=10))
    connection = await asyncpg.connect(dsn)
    producer = Queries(AsyncpgDriver(connection))
    await asyncio.sleep(1)
    begin = time.perf_counter()
    for number in range(count):
        await asyncio.sleep(max(begin + number / rate - time.perf_counter(), 0))
        await producer.enqueue("stamp", f"{time.time():.6f}".encode())
    await asyncio.wait_for(done.wait(), 60)
    manager.shutdown.set()
    await consumer
    await connection.close()
    await pool.close()
    return seen


if __name__ == "__main__":
    print("\n".join(map(str, asyncio.run(starts(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))))))
