"""Full run lifecycles a second through the real dispatcher and executor, beside the drains of three queues.

Every round measures all of them one after the other on the same server, so that what else the machine does hits all.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Awaitable, Callable

from bench.peers.river_drain import CannotBuild, program
from bench.report import Result, median
from bench.services import all_ended, services
from lakehouse.embedded.throwaway import ThrowawayPostgres

COMMAND = "python -m bench lifecycle"
SLOTS = "1500"
ROUNDS = 3
PROCRASTINATE_JOBS, RIVER_JOBS = 2_000, 100_000  # so many take some seconds each

Prepare = Callable[[ThrowawayPostgres], Awaitable[float]]


async def drain(postgres: ThrowawayPostgres, runs: int, caps: tuple[dict[str, object], ...] = ()) -> float:
    """Runs a second: N runs wait behind the pause while the services start; the clock runs from the first lease.

    Starting a Python process costs as much as thousands of runs, and the peers' clocks leave it out too.
    """
    async with services(postgres) as house:
        await house.pause()
        for cap in caps:
            await house.set_cap(cap)
        await house.enqueue(runs)
        house.start(["-m", "bench.noop_executor"], LAKEHOUSE_EXECUTOR_SLOTS=SLOTS)
        await house.executor_is_known()
        house.start(["-m", "lakehouse_dispatcher"])
        await house.dispatcher_leads()
        await house.resume()
        await all_ended(house)
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


async def peer(postgres: ThrowawayPostgres, module: str, *args: object) -> str:
    """What a peer's program prints, on a database of its own on the same server."""
    dsn = await postgres.create_database("peer")
    argv = [sys.executable, "-m", f"bench.peers.{module}", dsn, *map(str, args)]
    done = await asyncio.to_thread(subprocess.run, argv, stdout=subprocess.PIPE, text=True, check=True)
    await postgres.drop_database(dsn)
    return done.stdout


async def measure(postgres: ThrowawayPostgres, *, full: bool = False) -> list[Result]:
    """Ours and the peers in turn, three times each."""
    runs = 200_000 if full else 40_000
    missing = await asyncio.to_thread(_river_is_missing)
    ours, published, tuned, procrastinate, river = [], [], [], [], []
    for _ in range(ROUNDS):
        ours.append(await drain(postgres, runs))
        published.append(float(await peer(postgres, "pgqueuer_drain", runs, "published")))
        tuned.append(float(await peer(postgres, "pgqueuer_drain", runs, "tuned")))
        procrastinate.append(float(await peer(postgres, "procrastinate_drain", PROCRASTINATE_JOBS)))
        if not missing:
            river.append(float(await peer(postgres, "river_drain", RIVER_JOBS)))
    rate = median(ours)
    return [
        _against("lifecycle_rate", rate, published, 2.5, "PgQueuer's drain at its published settings"),
        _against("lifecycle_rate_vs_pgqueuer_tuned", rate, tuned, 1, "PgQueuer's drain at its best settings here"),
        _against("lifecycle_rate_vs_procrastinate", rate, procrastinate, 60, "Procrastinate's drain"),
        _skipped(rate, missing) if missing else _against(
            "lifecycle_rate_vs_river", rate, river, 1, "River's own benchmark, burn-down", "it keeps no events"
        ),
    ]  # fmt: skip


def _against(name: str, rate: float, theirs: list[float], factor: float, peer: str, note: str = "") -> Result:
    other = median(theirs)
    return Result(name, rate, "runs/s", f">= {factor:g}x peer", rate >= factor * other, COMMAND, peer, other, note)


def _skipped(rate: float, reason: str) -> Result:
    return Result(
        "lifecycle_rate_vs_river", rate, "runs/s", ">= 1x peer", None, COMMAND, "River's own benchmark, burn-down",
        note=f"not measured: {reason}",
    )  # fmt: skip


def _river_is_missing() -> str:
    """Why River cannot be measured; empty when it can. Builds it, so that no round has to."""
    try:
        program()
    except CannotBuild as error:
        return str(error)
    return ""
