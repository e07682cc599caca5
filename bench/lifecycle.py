"""Full run lifecycles a second through the real dispatcher and executor, beside the drains of three queues.

Every round measures all of them one after the other on the same server, so that what else the machine does hits all.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from dataclasses import dataclass

from bench.peers.river_drain import CannotBuild, program
from bench.report import Result, median
from bench.services import all_ended, services
from lakehouse.embedded.throwaway import ThrowawayPostgres

COMMAND = "python -m bench lifecycle"
SLOTS = "3000"
ROUNDS = 3
PROCRASTINATE_JOBS, RIVER_SECONDS, RIVER_JOBS = 1_000, 10, 100_000  # so much takes some seconds each

RIVER = "river_drain"


@dataclass(frozen=True)
class Peer:
    """What ours is held against. args: of its program; RUNS stands for as many as ours. factor: the target, if any."""

    about: str
    module: str
    args: tuple[str | int, ...]
    factor: float | None = None
    note: str = ""


# Each peer as it is published, which the targets are about, and as fast as we could make it (decision 0005).
PEERS = {
    "lifecycle_rate": Peer("PgQueuer's drain at its published settings", "pgqueuer_drain", ("RUNS", "published"), 2.5),
    "lifecycle_rate_vs_pgqueuer_tuned": Peer(
        "PgQueuer's drain at its best settings here", "pgqueuer_drain", ("RUNS", "tuned")
    ),
    "lifecycle_rate_vs_procrastinate": Peer(
        "Procrastinate's drain at its defaults", "procrastinate_drain", (PROCRASTINATE_JOBS, 1), 60
    ),
    "lifecycle_rate_vs_procrastinate_tuned": Peer(
        "Procrastinate's drain, 20 at once", "procrastinate_drain", (3 * PROCRASTINATE_JOBS, 20)
    ),
    "lifecycle_rate_vs_river": Peer(
        "River's own benchmark", RIVER, ("seconds", RIVER_SECONDS), 1, "it inserts meanwhile, and keeps no events"
    ),
    "lifecycle_rate_vs_river_burn_down": Peer(
        "River's own benchmark, burn-down", RIVER, ("jobs", RIVER_JOBS), note="it keeps no events"
    ),
}


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
    ours: list[float] = []
    theirs: dict[str, list[float]] = {name: [] for name in PEERS}
    for _ in range(ROUNDS):
        ours.append(await drain(postgres, runs))
        for name, each in PEERS.items():
            if not (missing and each.module == RIVER):
                args = [runs if arg == "RUNS" else arg for arg in each.args]
                theirs[name].append(float(await peer(postgres, each.module, *args)))
    rate = median(ours)
    return [_row(rate, name, theirs[name], missing) for name in PEERS]


def _row(rate: float, name: str, theirs: list[float], missing: str) -> Result:
    each = PEERS[name]
    target = "none" if each.factor is None else f">= {each.factor:g}x peer"
    if not theirs:
        return Result(name, rate, "runs/s", target, None, COMMAND, each.about, note=f"not measured: {missing}")
    other = median(theirs)
    met = None if each.factor is None else rate >= each.factor * other
    return Result(name, rate, "runs/s", target, met, COMMAND, each.about, other, each.note)


def _river_is_missing() -> str:
    """Why River cannot be measured; empty when it can. Builds it, so that no round has to."""
    try:
        program()
    except CannotBuild as error:
        return str(error)
    return ""
