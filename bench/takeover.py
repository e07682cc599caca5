"""How soon a killed executor's runs go on elsewhere, in lengths of a lease.

In each round an executor that holds runs is killed with kill -9; the clock stops when each of its runs has started
under its next lease. The database's clock says when.
"""

from __future__ import annotations

import asyncio
import subprocess
import uuid

from bench.report import Result, median, percentile
from bench.services import Services, services
from lakehouse.embedded.throwaway import ThrowawayPostgres

COMMAND = "python -m bench takeover"
LEASE_S, RUNS, ROUNDS, REPEATS = 2.0, 40, 4, 3
TARGET = 1.5


async def takeovers(postgres: ThrowawayPostgres, rounds: int = ROUNDS) -> list[float]:
    """Seconds from the death of its executor to its next start, for each run that was held at a death."""
    async with services(postgres) as house:
        # not how long an idle executor counts as alive: it says so every two seconds only
        await house.db.execute("update ops.settings set lease_ms = $1, start_timeout_ms = $1", int(LEASE_S * 1000))
        house.start(["-m", "lakehouse_dispatcher"])
        await house.dispatcher_leads()
        executors = {name: _executor(house, name) for name in ("standby-0", "standby-1")}
        await house.enqueue(RUNS)
        seen: list[float] = []
        for number in range(rounds):
            await _running(house)
            victim, held, at = await _kill_the_busiest(house, executors)
            executors.pop(victim)
            executors[f"next-{number}"] = _executor(house, f"next-{number}")
            seen += await _taken_over(house, held, at)
        await house.db.execute("select ops.cancel_run(run_id, 'bench') from ops.open_runs")
        return seen


def _executor(house: Services, name: str) -> subprocess.Popen[bytes]:
    slots = {"LAKEHOUSE_EXECUTOR_SLOTS": str(2 * RUNS), "LAKEHOUSE_EXECUTOR_NAME": name}
    return house.start(["-m", "bench.waiting_executor"], **slots)


async def _running(house: Services) -> None:
    """Wait until every run is worked on and another executor stands by: how long one takes to start is not takeover."""
    ready = """
        select (select count(*) from ops.runs where state = 'running') = $1
           and (select count(*) from ops.executors where lost_at is null) >= 2
    """
    while not await house.db.fetchval(ready, RUNS):
        await asyncio.sleep(0.05)


async def _kill_the_busiest(
    house: Services, executors: dict[str, subprocess.Popen[bytes]]
) -> tuple[str, dict[uuid.UUID, int], object]:
    """Its name, its runs with their attempts, and when it died."""
    name = await house.db.fetchval(
        """
        select e.name from ops.executors as e join ops.open_runs as q on q.executor_id = e.id
         group by e.name order by count(*) desc limit 1
        """
    )
    rows = await house.db.fetch(
        """
        select r.id, r.attempt from ops.runs as r join ops.executors as e on e.id = r.executor_id
         where e.name = $1 and r.state = 'running'
        """,
        name,
    )
    process = executors[name]
    house.processes.remove(process)
    process.kill()
    at = await house.db.fetchval("select ops.now()")
    process.wait()
    return name, {row["id"]: row["attempt"] for row in rows}, at


async def _taken_over(house: Services, held: dict[uuid.UUID, int], at: object) -> list[float]:
    """Wait for the next start of each; seconds since the death."""
    starts = """
        select extract(epoch from min(e.at) - $3)::float8 as took
          from unnest($1::uuid[], $2::integer[]) as h (run_id, attempt)
          join ops.run_events as e on e.run_id = h.run_id and e.attempt > h.attempt and e.type = 'PHASE_STARTED'
         group by h.run_id
    """
    while True:
        rows = await house.db.fetch(starts, list(held), list(held.values()), at)
        if len(rows) == len(held):
            return [row["took"] for row in rows]
        await asyncio.sleep(0.05)


async def measure(postgres: ThrowawayPostgres, *, full: bool = False) -> list[Result]:
    """Medians of at least three."""
    rounds = ROUNDS * 5 if full else ROUNDS
    ratios = [percentile(await takeovers(postgres, rounds), 0.99) / LEASE_S for _ in range(REPEATS)]
    value = median(ratios)
    note = f"lease {LEASE_S:g} s; {REPEATS} x {rounds} deaths of an executor that held up to {RUNS} runs"
    return [Result("takeover_p99_ratio", value, "leases", f"<= {TARGET}", value <= TARGET, COMMAND, note=note)]
