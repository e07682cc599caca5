"""kill -9 of every service at seeded random moments: every run ends well, nothing doubles, nothing is left half-done."""

from __future__ import annotations

import asyncio
import os
import random
import sys
import time
from collections import Counter
from datetime import date
from pathlib import Path

import pytest

from lakehouse import erp
from opscore.lake.catalog import LakeCatalog
from opscore.lake.options import LakeOptions
from support.house import PIPELINES, SERVICES, House
from support.marts import SQL, at_the_source, in_the_lake

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(600)]

# An executor needs some seconds to get a phase done from a cold start; the others are back at once.
LONGEST_LIFE_S = {"dispatcher": 4.0, "scorer": 4.0, "notifier": 4.0, "executor": 14.0}
KILLS = int(os.environ.get("LAKEHOUSE_CHAOS_KILLS", "60"))


async def killer(house: House, service: str, random_: random.Random, killed: Counter[str]) -> None:
    """Let a service live for a random while, kill it, start it again; now and then do not even let it come up."""
    while True:
        if random_.random() < 0.85:
            await house.ready(service)
        await asyncio.sleep(random_.uniform(0.0, LONGEST_LIFE_S[service]))
        house.kill(service)
        killed[service] += 1
        house.start(service)


async def test_kills_at_random_moments_lose_and_double_nothing(house: House) -> None:
    seed = int(os.environ.get("LAKEHOUSE_CHAOS_SEED", str(int(time.time()))))
    sys.stdout.write(f"LAKEHOUSE_CHAOS_SEED={seed}\n")
    killed, runs = Counter[str](), []
    house.start_all()
    killers = [
        asyncio.create_task(killer(house, service, random.Random(f"{seed}:{service}"), killed)) for service in SERVICES
    ]

    rounds = 0
    while killed.total() < KILLS or rounds == 0:
        runs += [await house.ended(await house.enqueue(pipeline), within=180) for pipeline in PIPELINES]
        rounds += 1
        await erp.mutate(house.source_dsn, seed=seed + rounds)
    for task in killers:
        assert not task.done() or task.exception() is None
        task.cancel()
    await asyncio.gather(*killers, return_exceptions=True)
    runs += await house.through(within=120)

    assert Counter(run["state"] for run in runs) == {"succeeded": len(runs)}, seed
    assert killed.total() >= KILLS
    await nothing_doubled(house)
    await lake_equals_source(house)
    catalog_points_at_what_exists(house)


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
