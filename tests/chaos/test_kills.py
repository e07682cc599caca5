"""kill -9 of every service at seeded random moments: every run ends well, nothing doubles, nothing is left half-done."""

from __future__ import annotations

import asyncio
import os
import random
import sys
import time
from collections import Counter
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from lakehouse import erp
from opscore.lake.catalog import LakeCatalog
from opscore.lake.options import LakeOptions
from support.house import ALL_SERVICES, PIPELINES, House
from support.marts import SQL, at_the_source, in_the_lake

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(600)]

KILLS = int(os.environ.get("LAKEHOUSE_CHAOS_KILLS", "30"))


@dataclass
class Killer:
    """Lets one service live for a random while, kills it, starts it again; now and then it is not even let come up.

    The longest life of an executor doubles while its deaths are fruitless (no phase ended in between): on a slow machine
    a run needs longer than on a fast one to get anything done, and the test is about deaths, not about speed.
    """

    house: House
    service: str
    random: random.Random
    killed: Counter[str]
    longest_life_s: float = 4.0

    async def run(self) -> None:
        watching = await asyncpg.connect(self.house.control_dsn)
        try:
            await self._kill_for_ever(watching)
        finally:
            await watching.close()

    async def _kill_for_ever(self, watching: asyncpg.Connection) -> None:
        seen, longest = 0, self.longest_life_s
        while True:
            if self.random.random() < 0.85:
                await self.house.ready(self.service)
            await asyncio.sleep(self.random.uniform(0.0, longest))
            self.house.kill(self.service)
            self.killed[self.service] += 1
            self.house.start(self.service)
            done = await watching.fetchval("select count(*) from ops.run_events where type = 'PHASE_SUCCEEDED'")
            fruitless = self.service == "executor" and done == seen
            seen, longest = done, longest * 2 if fruitless else self.longest_life_s


async def test_kills_at_random_moments_lose_and_double_nothing(house: House) -> None:
    seed = int(os.environ.get("LAKEHOUSE_CHAOS_SEED", str(int(time.time()))))
    sys.stdout.write(f"LAKEHOUSE_CHAOS_SEED={seed}\n")
    killed, runs = Counter[str](), []
    house.start_all(ALL_SERVICES)
    killers = [
        asyncio.create_task(Killer(house, service, random.Random(f"{seed}:{service}"), killed).run())
        for service in ALL_SERVICES
    ]
    try:
        runs += await rounds_under_fire(house, killed, seed)
    finally:
        await stopped(killers)

    runs += await house.through(within=120)

    assert Counter(run["state"] for run in runs) == {"succeeded": len(runs)}, seed
    assert killed.total() >= KILLS
    await nothing_doubled(house)
    await lake_equals_source(house)
    catalog_points_at_what_exists(house)


async def rounds_under_fire(house: House, killed: Counter[str], seed: int) -> list[dict[str, Any]]:
    """Whole rounds of the three pipelines, the source changing in between, until enough services have died."""
    runs: list[dict[str, Any]] = []
    while killed.total() < KILLS:
        runs += [await house.ended(await house.enqueue(pipeline), within=300) for pipeline in PIPELINES]
        await erp.mutate(house.source_dsn, seed=seed + len(runs))
    return runs


async def stopped(killers: list[asyncio.Task[None]]) -> None:
    """End the killers; one that failed by itself fails the test."""
    for killer in killers:
        killer.cancel()
    ends = await asyncio.gather(*killers, return_exceptions=True)
    assert [end for end in ends if not isinstance(end, asyncio.CancelledError)] == []


async def nothing_doubled(house: House) -> None:
    """Each run published at most once, each table version was made by one run, run_seq has no gap, one end per run."""
    publishes = await house.db.fetch(
        "select run_id from ops.run_events where type = 'RUN_PUBLISHED' group by 1 having count(*) > 1"
    )
    ends = await house.db.fetch(
        "select run_id from ops.run_events where type in ('RUN_SUCCEEDED', 'RUN_FAILED', 'RUN_CANCELED') group by 1 having count(*) <> 1"
    )
    gaps = await house.db.fetch("select run_id from ops.run_events group by 1 having count(*) <> max(run_seq)")
    versions = await house.db.fetch("select metadata_location from ops.run_tables group by 1 having count(*) > 1")

    assert (publishes, ends, gaps, versions) == ([], [], [], [])


async def lake_equals_source(house: House) -> None:
    lake, truth = LakeCatalog(options(house)), await at_the_source(house.source_dsn, date(2026, 6, 30))
    for name in SQL:
        assert in_the_lake(lake, name) == truth[name], name


def catalog_points_at_what_exists(house: House) -> None:
    """Every published table opens and every file it names is there, once."""
    lake = LakeCatalog(options(house))
    for name in lake.published():
        files = lake.version(name).files
        assert len(files) == len(set(files)), name
        assert all(Path(path.removeprefix("file://")).exists() for path in files), name


def options(house: House) -> LakeOptions:
    return LakeOptions(dsn=house.control_dsn, warehouse=f"file://{house.warehouse}")
