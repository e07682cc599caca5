"""Full run lifecycles a second through the real dispatcher and executor, and enqueue to start, beside PgQueuer."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time

from bench.report import Result, median, percentile
from bench.services import Services, services
from lakehouse.embedded.throwaway import ThrowawayPostgres

COMMAND = "python -m bench lifecycle"


async def drain(postgres: ThrowawayPostgres, runs: int) -> float:
    """Runs a second: N runs wait behind the pause while the services start; the clock runs from the first lease.

    Starting a Python process costs as much as thousands of runs, and the peer's clock leaves it out too.
    """
    async with services(postgres) as house:
        await house.pause()
        await house.enqueue(runs)
        house.start(["-m", "bench.noop_executor"], LAKEHOUSE_EXECUTOR_SLOTS="1500")
        await house.executor_is_known()
        house.start(["-m", "lakehouse_dispatcher"])
        await house.dispatcher_leads()
        await house.resume()
        await _all_ended(house, runs)
        first, last, events = await house.db.fetchrow(
            """
            select min(at) filter (where type = 'PHASE_CLAIMED'), max(at) filter (where type = 'RUN_SUCCEEDED'),
                   count(*)
              from ops.run_events
            """
        )
        if events < 5 * runs:
            raise AssertionError(f"{events} events for {runs} runs: a full lifecycle leaves at least five")
        return runs / (last - first).total_seconds()


async def _all_ended(house: Services, runs: int) -> None:
    """The end of the last run, seen without asking so often that the asking counts."""
    deadline = time.monotonic() + 300
    while await house.db.fetchval("select exists (select from ops.open_runs)"):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{runs} runs did not end within 300 s")
        await asyncio.sleep(0.2)


async def latencies(postgres: ThrowawayPostgres, count: int, rate: float) -> list[float]:
    """Milliseconds from just before enqueue to the start of the handler, at a steady rate, dispatcher included."""
    async with services(postgres) as house:
        stamps = house.folder / "stamps"
        house.start(["-m", "bench.noop_executor", str(stamps)], LAKEHOUSE_EXECUTOR_SLOTS="100")
        await house.executor_is_known()
        house.start(["-m", "lakehouse_dispatcher"])
        await house.enqueue(20)
        await _all_ended(house, 20)
        await asyncio.sleep(
            2
        )  # both doorbells are connected and proven by then: a service's first second is not its life
        asked: dict[str, float] = {}
        begin = time.perf_counter()
        for number in range(count):
            await asyncio.sleep(max(begin + number / rate - time.perf_counter(), 0))
            before = time.time()
            (run_id,) = await house.enqueue(1)
            asked[str(run_id)] = before
        await _all_ended(house, count)
        await house.stop()
        started = dict(line.split() for line in stamps.read_text().splitlines())
        return [(float(started[run_id]) - at) * 1000 for run_id, at in asked.items()]


async def peer_drain(postgres: ThrowawayPostgres, jobs: int) -> float:
    """PgQueuer's no-op drain on the same server."""
    return float(await _peer(postgres, "bench.peers.pgqueuer_drain", str(jobs)))


async def peer_latencies(postgres: ThrowawayPostgres, count: int, rate: float) -> list[float]:
    """PgQueuer's enqueue to handler start on the same server, at the same rate."""
    return [
        float(line) for line in (await _peer(postgres, "bench.peers.pgqueuer_start", str(count), str(rate))).split()
    ]


async def _peer(postgres: ThrowawayPostgres, module: str, *args: str) -> str:
    dsn = await postgres.create_database("peer")
    done = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-m", module, dsn, *args], capture_output=True, text=True, check=True
    )
    await postgres.drop_database(dsn)
    return done.stdout


async def measure(postgres: ThrowawayPostgres, *, full: bool = False) -> list[Result]:
    """Ours and the peer in turn, three times each."""
    runs = 200_000 if full else 40_000
    ours, theirs, our_ms, their_ms = [], [], [], []
    for _ in range(3):
        ours.append(await drain(postgres, runs))
        theirs.append(await peer_drain(postgres, runs))
        our_ms.append(await latencies(postgres, 500, 50))
        their_ms.append(await peer_latencies(postgres, 500, 50))
    rate, peer_rate = median(ours), median(theirs)
    p50 = median(percentile(sample, 0.5) for sample in our_ms)
    p99 = median(percentile(sample, 0.99) for sample in our_ms)
    peer_p50 = median(percentile(sample, 0.5) for sample in their_ms)
    peer_p99 = median(percentile(sample, 0.99) for sample in their_ms)
    return [
        Result(
            "lifecycle_rate",
            rate,
            "runs/s",
            ">= 1x peer",
            rate >= peer_rate,
            COMMAND,
            "PgQueuer no-op drain",
            peer_rate,
        ),
        Result("start_p50_ms", p50, "ms", "<= peer", p50 <= peer_p50, COMMAND, "PgQueuer at 50/s", peer_p50),
        Result("start_p99_ms", p99, "ms", "<= 20", p99 <= 20, COMMAND, "PgQueuer at 50/s", peer_p99),
    ]
