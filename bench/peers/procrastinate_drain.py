"""Procrastinate's no-op drain: defer N jobs, start the clock, run its worker until the queue is empty.

Usage: python -m bench.peers.procrastinate_drain DSN N CONCURRENCY (its default is 1). Prints jobs per second.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import time

from procrastinate import App, PsycopgConnector

CONNECTIONS = 20


async def drain(dsn: str, jobs: int, concurrency: int) -> float:
    """Jobs per second from the worker's start to its end."""
    app = App(connector=PsycopgConnector(conninfo=dsn, min_size=4, max_size=CONNECTIONS))

    @app.task(name="noop")
    async def noop() -> None:
        return

    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        await noop.batch_defer_async(*({} for _ in range(jobs)))
        begin = time.perf_counter()
        await app.run_worker_async(wait=False, concurrency=concurrency, install_signal_handlers=False)
        took = time.perf_counter() - begin
        (left,) = (
            await app.connector.execute_query_one_async(
                "select count(*) as left from procrastinate_jobs where status <> 'succeeded'"
            )
        ).values()
        if left:
            raise RuntimeError(f"{left} jobs did not succeed")
        return jobs / took


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)  # a line per job is not what is measured
    print(asyncio.run(drain(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))))
