"""Kills, crashes, cut connections and zombies at once: nothing is lost, nothing takes effect twice, and an outside recorder says so.

LAKEHOUSE_CHAOS_SHARE chooses the dose: 1 is 10,000 runs under 1,000 kills (`make chaos`); LAKEHOUSE_CHAOS_SEED repeats a storm.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest

from lakehouse.embedded.throwaway import ThrowawayPostgres
from opscore.db.pool import open_database, set_codecs
from opscore.lake.options import LakeOptions
from opscore.lake.storage import init_warehouse
from support.house import House
from support.plane import Plane
from support.recorder import Recorder
from support.storm import PIPELINE, SERVICES, Dose, Storm
from support.verdict import judge

SHARE = float(os.environ.get("LAKEHOUSE_CHAOS_SHARE", "0.03"))
SEED = int(os.environ.get("LAKEHOUSE_CHAOS_SEED", str(int(time.time()))))

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(7200)]

WITHOUT_TOKEN_CHECK = {
    "ops.publish_run(uuid, uuid, jsonb, jsonb)": ("and r.lease_token = p_token for update", "for update"),
    "ops.finish_runs(jsonb)": ("and r.lease_token = o.token", "and r.state = 'running'"),
}
LOST_LEASES = "select count(*) from ops.run_events where type = 'RUN_REQUEUED' and data ->> 'reason' = 'lease_expired'"


@asynccontextmanager
async def storm_over(postgres: ThrowawayPostgres, dsn: str, folder: Path, dose: Dose) -> AsyncGenerator[Storm]:
    """A control plane with short leases, a recorder outside; whatever comes of the storm, its seed, dose and tally are told."""
    sys.stdout.write(f"LAKEHOUSE_CHAOS_SEED={SEED} {dose}\n")
    house = House(postgres, dsn, dsn, folder)
    init_warehouse(LakeOptions(dsn=dsn, warehouse=f"file://{house.warehouse}"))
    connection = await asyncpg.connect(dsn)
    await set_codecs(connection)
    await Plane(connection, dsn).pipeline(
        PIPELINE, retries={"max_attempts": 100, "first_seconds": 1, "longest_seconds": 1, "max_losses": 1000}
    )
    await connection.execute("update ops.settings set lease_ms = 2000, start_timeout_ms = 2000, executor_ttl_ms = 2000")
    await connection.close()
    with tempfile.TemporaryDirectory(prefix="storm-") as place:
        recorder = Recorder(Path(place))
        try:
            async with open_database(dsn, application="storm") as database:
                storm = Storm(house, database, recorder, await recorder.listens(), dose, SEED)
                try:
                    yield storm
                finally:
                    storm.mouth.close()
                    recorder.heard()
                    sys.stdout.write(f"{storm}\n")
        finally:
            house.stop_all()
            recorder.close()


def assert_sound(storm: Storm, faults: list[str]) -> None:
    assert not faults, f"{storm}\n{len(faults)} faults:\n" + "\n".join(faults[:50])


async def test_a_storm_loses_and_doubles_nothing(postgres: ThrowawayPostgres, control_dsn: str, tmp_path: Path) -> None:
    dose = Dose.share(SHARE)
    async with storm_over(postgres, control_dsn, tmp_path, dose) as storm:
        begin = time.monotonic()
        await storm.blow()
        took = time.monotonic() - begin
        storm.house.stop_all()
        heard = storm.recorder.finish(storm.mouth)

        lost_leases = await storm.database.fetchval(LOST_LEASES)
        refused = storm.recorder.counts["refused"]
        sys.stdout.write(f"{took:.0f} s; {lost_leases} leases lost, {refused} stale writes refused\n")
        assert_sound(storm, await judge(control_dsn, PIPELINE, heard))
        assert storm.offered >= dose.runs
        assert storm.killed.total() >= dose.kills
        assert set(storm.killed) == set(SERVICES)
        assert (storm.crashed, storm.cut) == (dose.crashes, dose.terminations)
        assert storm.zombies >= dose.zombies
        assert refused >= dose.zombies
        assert lost_leases > 0
        assert storm.fallen.total() == 0, storm.fallen


@pytest.mark.parametrize("unchecked", [1, 2], ids=["publish", "publish and finish"])
async def test_the_storm_finds_a_control_plane_without_token_checks(
    postgres: ThrowawayPostgres, control_dsn: str, tmp_path: Path, unchecked: int
) -> None:
    connection = await asyncpg.connect(control_dsn)
    for function, (right, wrong) in list(WITHOUT_TOKEN_CHECK.items())[:unchecked]:
        body = await connection.fetchval("select pg_get_functiondef($1::text::regprocedure)", function)
        assert body.count(right) == 1
        await connection.execute(body.replace(right, wrong))
    await connection.close()

    async with storm_over(postgres, control_dsn, tmp_path, Dose(40, 0, 0, 0, 3)) as storm:
        await storm.blow()
        storm.house.stop_all()
        heard = storm.recorder.finish(storm.mouth)

        faults = await judge(control_dsn, PIPELINE, heard)
        sys.stdout.write(f"the judge found {len(faults)} faults: {faults[:1]}\n")
        assert faults
