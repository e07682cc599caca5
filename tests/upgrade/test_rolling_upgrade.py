"""Release 0.1's code and the present one side by side on the present schema, work flowing all the time."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from lakehouse.embedded.throwaway import ThrowawayPostgres
from opscore.db import admin
from opscore.db.migrate import migrate
from opscore.db.pool import set_codecs
from opscore.lake.options import LakeOptions
from opscore.lake.storage import init_warehouse
from support.house import House
from support.plane import ENVIRONMENT, Plane
from support.recorder import Mouth, Recorder
from support.release import Release, check_out
from support.verdict import judge

ROLES = tuple(f"lakehouse_{name}" for name in ("dispatcher", "executor", "scorer", "notifier", "controlroom"))
PASSWORD = "for-tests-only"
FOLLOWERS = ("scorer", "notifier")
PIPELINE, LATER = "flow", "later"
WAITING = 50_000
AHEAD = 300
LONGEST_GAP_S = 1.0

ALL_ENDED = (
    "select not exists (select from ops.runs where pipeline = $1 and state not in ('succeeded', 'failed', 'canceled'))"
)
ALL_SCORED = """
    select not exists (select from ops.runs as r where r.pipeline = $1 and not exists (select from ops.run_scores as s where s.run_id = r.id))
"""

pytestmark = pytest.mark.timeout(240)


@dataclass
class Flow:
    """A control plane on the release's schema, its recorder, and a feeder that never stops."""

    house: House
    release: Release
    db: asyncpg.Connection
    feeding: asyncpg.Connection
    recorder: Recorder
    mouth: Mouth
    fed: int = 0
    feeder: asyncio.Task[None] | None = None
    stopped: asyncio.Event = field(default_factory=asyncio.Event)

    def start_old(self, service: str, name: str) -> None:
        self._start(service, name, PYTHONPATH=self.release.path)

    def start_new(self, service: str, name: str) -> None:
        self._start(service, name)

    def _start(self, service: str, name: str, **extra: str) -> None:
        module = None
        extra |= {"LAKEHOUSE_HEALTH_FILE": str(self.house.folder / f"{name}.health")}
        if service == "executor":
            module = "support.storm_executor"
            extra |= {
                "STORM_RECORDER": self.recorder.address, "LAKEHOUSE_EXECUTOR_NAME": name, "LAKEHOUSE_EXECUTOR_SLOTS": "20",
            }  # fmt: skip
        self.house.start(service, name=name, module=module, **extra)

    def start_feeding(self) -> None:
        self.feeder = asyncio.create_task(self._feed())

    async def stop_feeding(self) -> None:
        self.stopped.set()
        if self.feeder is not None:
            await self.feeder

    async def _feed(self) -> None:
        """A hundred runs a second, in small batches, through the function that both releases call; fewer when they do not keep up."""
        offered = [{"environment_id": ENVIRONMENT, "pipeline": PIPELINE}] * 5
        while not self.stopped.is_set():
            self.recorder.heard()
            if self.fed - self.recorder.counts["started"] < AHEAD:
                for row in await self.feeding.fetch("select run_id from ops.enqueue_runs($1)", offered):
                    self.mouth.say("enqueued", run=row["run_id"])
                self.fed += len(offered)
            await asyncio.sleep(0.05)

    def started(self, who: str | None = None) -> list[dict[str, Any]]:
        return [fact for fact in self.recorder.heard() if fact["what"] == "started" and who in {None, fact["who"]}]

    async def until_started(self, who: str, count: int) -> None:
        """Until an executor was given so many more runs."""
        before = len(self.started(who))
        async with asyncio.timeout(60):
            while len(self.started(who)) < before + count:  # noqa: ASYNC110 - another process says it
                await asyncio.sleep(0.05)

    async def usual_gap(self) -> float:
        """The longest in a few hundred starts: what this machine takes from the services without any migration."""
        clock = asyncio.get_running_loop().time
        begin = clock()
        await self.until_started("old-0", 300)
        return round(self.longest_gap(begin, clock()), 3)

    def longest_gap(self, begin: float, end: float) -> float:
        """Seconds between two starts of runs, at most, of the gaps that reach into the time between two moments."""
        moments = [fact["at"] for fact in self.started()]
        return max(later - earlier for earlier, later in pairwise(moments) if later > begin and earlier < end)


@asynccontextmanager
async def flowing(postgres: ThrowawayPostgres, release: Release, folder: Path) -> AsyncIterator[Flow]:
    dsn = await postgres.create_database("upgrade")
    await migrate(dsn, folder=release.migrations)
    await admin.set_role_passwords(postgres.dsn(), [(role, PASSWORD) for role in ROLES])
    house = House(postgres, dsn, dsn, folder)
    init_warehouse(LakeOptions(dsn=dsn, warehouse=f"file://{house.warehouse}"))
    db, feeding = await asyncpg.connect(dsn), await asyncpg.connect(dsn)
    await set_codecs(db)
    await set_codecs(feeding)
    plane = Plane(db, dsn)
    for pipeline in (PIPELINE, LATER):
        await plane.pipeline(pipeline, retries={"max_attempts": 100, "first_seconds": 1, "max_losses": 1000})
    await db.execute("update ops.settings set lease_ms = 3000, start_timeout_ms = 3000, executor_ttl_ms = 3000")
    with tempfile.TemporaryDirectory(prefix="upgrade-") as place:
        recorder = Recorder(Path(place))
        flow = Flow(house, release, db, feeding, recorder, await recorder.listens())
        try:
            yield flow
        finally:
            await flow.stop_feeding()
            house.stop_all()
            flow.mouth.close()
            recorder.close()
            await db.close()
            await feeding.close()
            await postgres.drop_database(dsn)


@pytest.fixture
def release(tmp_path: Path) -> Release:
    return check_out("v0.1.0", tmp_path / "release")


async def test_release_0_1_and_this_code_work_side_by_side_and_migrating_blocks_nobody(
    postgres: ThrowawayPostgres, release: Release, tmp_path: Path
) -> None:
    async with flowing(postgres, release, tmp_path) as flow:
        await leave_waiting(flow)
        for service in ("dispatcher", *FOLLOWERS):
            flow.start_old(service, f"old-{service}")
        for number in range(2):
            flow.start_old("executor", f"old-{number}")
        flow.start_feeding()
        await flow.until_started("old-0", 50)
        usual = await flow.usual_gap()

        gaps = await migrated(flow)
        sys.stdout.write(f"longest time without a start, in seconds: usually {usual}, while migrating {gaps}\n")

        last = await flow.db.fetchval("select max(seq) from ops.run_events")
        await flow.until_started("old-0", 50)  # the old code alone on the new schema
        await until(
            flow.db, "select count(*) = 2 from ops.cursors where consumer = any ($1) and seq > $2", FOLLOWERS, last
        )
        for service in ("dispatcher", *FOLLOWERS):
            flow.start_new(service, f"new-{service}")
        flow.start_new("executor", "new-0")
        await flow.until_started("new-0", 200)
        await flow.until_started("old-1", 50)
        flow.house.kill("old-1")  # what it held goes on elsewhere
        await flow.until_started("new-0", 100)
        survivors = {name for name, process in flow.house.processes.items() if process.poll() is None}
        for name in ("old-0", "old-dispatcher"):
            flow.house.processes[name].terminate()
        await flow.until_started("new-0", 200)
        await flow.stop_feeding()
        await until(flow.db, ALL_ENDED, PIPELINE)
        await until(flow.db, ALL_SCORED, PIPELINE)
        flow.house.stop_all()
        heard = flow.recorder.finish(flow.mouth)

        assert await judge(flow.house.control_dsn, PIPELINE, heard) == []
        assert survivors == {f"{age}-{name}" for age in ("old", "new") for name in ("0", "dispatcher", *FOLLOWERS)}
        assert await waiting(flow) == WAITING
        assert max(gaps.values()) <= usual + LONGEST_GAP_S, (usual, gaps)


async def test_what_release_0_1_reads_can_be_read(
    postgres: ThrowawayPostgres, control_dsn: str, release: Release
) -> None:
    """Every query file of the old control room, in its own role, on the present schema."""
    connection = await asyncpg.connect(postgres.dsn(control_dsn.rsplit("/", 1)[1], role="lakehouse_controlroom"))
    read: list[str] = []
    try:
        for query in release.queries:
            statement = await connection.prepare(query.read_text())
            await statement.fetch(*(None for _ in statement.get_parameters()))
            read.append(query.stem)
    finally:
        await connection.close()

    assert {"caps", "events_after", "runs_page"} <= set(read)


async def leave_waiting(flow: Flow) -> None:
    """A long queue that is not due yet: what a migration has to carry along."""
    due = await flow.db.fetchval("select ops.now() + interval '1 day'")
    offered = [{"environment_id": ENVIRONMENT, "pipeline": LATER, "due_at": due}] * 5000
    for _ in range(WAITING // 5000):
        await flow.db.fetch("select * from ops.enqueue_runs($1)", offered)


async def waiting(flow: Flow) -> int:
    return await flow.db.fetchval(
        "select count(*) from ops.open_runs as q join ops.runs as r on r.id = q.run_id where r.pipeline = $1 and r.state = 'queued'",
        LATER,
    )


async def migrated(flow: Flow) -> dict[str, float]:
    """Apply what is new under load; the longest gap between two starts while each file was applied."""
    begins: list[tuple[str, float]] = []
    clock = asyncio.get_running_loop().time
    await migrate(flow.house.control_dsn, lambda name: begins.append((name, clock())))
    end = clock()
    await flow.until_started("old-0", 20)
    ends = [*(moment for _, moment in begins[1:]), end]
    return {name: round(flow.longest_gap(begin, until), 3) for (name, begin), until in zip(begins, ends, strict=True)}


async def until(db: asyncpg.Connection, question: str, *args: Any) -> None:
    """Until the services have made it true."""
    async with asyncio.timeout(120):
        while not await db.fetchval(question, *args):  # noqa: ASYNC110 - others make it true
            await asyncio.sleep(0.1)
