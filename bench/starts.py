"""Enqueue to the start of the handler at a steady rate through the real services, beside PgQueuer's."""

from __future__ import annotations

import asyncio
import time

from bench.lifecycle import peer
from bench.report import Result, median, percentile
from bench.services import Services, all_ended, services
from lakehouse.embedded.throwaway import ThrowawayPostgres

COMMAND = "python -m bench starts"
COUNT, RATE = 500, 50.0


async def latencies(house: Services, count: int = COUNT, rate: float = RATE) -> list[float]:
    """Milliseconds from just before enqueue to the start of the handler; dispatcher and executor live just as long."""
    stamps = house.folder / "stamps"
    house.start(["-m", "bench.noop_executor", str(stamps)], LAKEHOUSE_EXECUTOR_SLOTS="100")
    await house.executor_is_known()
    house.start(["-m", "lakehouse_dispatcher"])
    await house.dispatcher_leads()
    await house.enqueue(20)
    await all_ended(house)
    await asyncio.sleep(2)  # both doorbells are proven by then: a service's first second is not its life
    asked: dict[str, float] = {}
    begin = time.perf_counter()
    for number in range(count):
        await asyncio.sleep(max(begin + number / rate - time.perf_counter(), 0))
        before = time.time()
        (run_id,) = await house.enqueue(1)
        asked[str(run_id)] = before
    await all_ended(house)
    await house.stop()
    started = dict(line.split() for line in stamps.read_text().splitlines())
    return [(float(started[run_id]) - at) * 1000 for run_id, at in asked.items()]


async def measure(postgres: ThrowawayPostgres, *, full: bool = False) -> list[Result]:
    """Ours and the peer in turn, three times each."""
    count = COUNT * 4 if full else COUNT
    ours: list[list[float]] = []
    theirs: list[list[float]] = []
    for _ in range(3):
        async with services(postgres) as house:
            ours.append(await latencies(house, count))
        theirs.append([float(line) for line in (await peer(postgres, "pgqueuer_start", count, RATE)).split()])
    p50, p99 = (median(percentile(sample, share) for sample in ours) for share in (0.5, 0.99))
    peer_p50, peer_p99 = (median(percentile(sample, share) for sample in theirs) for share in (0.5, 0.99))
    name = "PgQueuer at 50/s"
    return [
        Result("start_p50_ms", p50, "ms", "<= peer", p50 <= peer_p50, COMMAND, name, peer_p50),
        Result("start_p99_ms", p99, "ms", "<= 20", p99 <= 20, COMMAND, name, peer_p99),
    ]
