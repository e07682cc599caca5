"""Our own services as processes over a durable Postgres, for as long as a block lasts."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg

from lakehouse.embedded.throwaway import ThrowawayPostgres
from opscore.db.migrate import migrate
from opscore.db.pool import set_codecs
from opscore.lake.options import LakeOptions
from opscore.lake.storage import init_warehouse

ENVIRONMENT = uuid.UUID("00000000-0000-4000-8000-000000000003")


@dataclass
class Services:
    """A control plane and the processes started on it. db: a connection as its owner."""

    dsn: str
    folder: Path
    db: asyncpg.Connection
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def warehouse(self) -> str:
        """Local warehouse address."""
        return f"file://{self.folder / 'warehouse'}"

    def start(self, argv: Sequence[str], **env: str) -> subprocess.Popen[bytes]:
        """Start one process; its log is thrown away but for warnings."""
        own = {
            "LAKEHOUSE_DATABASE_URL": self.dsn,
            "LAKEHOUSE_WAREHOUSE": self.warehouse,
            "LAKEHOUSE_LOG_LEVEL": "warning",
            **env,
        }
        process = subprocess.Popen([sys.executable, *argv], env={**os.environ, **own}, stdout=subprocess.DEVNULL)
        self.processes.append(process)
        return process

    async def stop(self) -> None:
        """SIGTERM to all, and wait."""
        for process in self.processes:
            process.send_signal(signal.SIGTERM)
        for process in self.processes:
            await asyncio.to_thread(process.wait, 30)
        self.processes.clear()

    async def executor_is_known(self) -> None:
        """Wait until an executor has registered; one that was stopped is none."""
        while not await self.db.fetchval("select exists (select from ops.executors where signed_off_at is null)"):
            await asyncio.sleep(0.05)

    async def dispatcher_leads(self) -> None:
        """Wait until a dispatcher acts."""
        while not await self.db.fetchval("select exists (select from ops.leaders where role = 'dispatcher')"):
            await asyncio.sleep(0.05)

    async def pause(self) -> None:
        """No run is leased until `resume`."""
        await self.db.execute(
            "update ops.settings set paused_at = ops.now(), paused_by = 'bench', paused_reason = 'start'"
        )

    async def resume(self) -> None:
        """Lease again, and ring for it."""
        await self.db.execute("update ops.settings set paused_at = null, paused_by = null, paused_reason = null")
        await self.db.execute("notify lakehouse_work")

    async def set_cap(self, cap: dict[str, Any]) -> None:
        """Make a cap as `lakehouse cap set` does."""
        await self.db.fetchval("select ops.set_cap($1, $2)", ENVIRONMENT, cap)

    async def enqueue(self, count: int) -> list[uuid.UUID]:
        """Enqueue no-op runs in batches."""
        ids: list[uuid.UUID] = []
        for start in range(0, count, 5000):
            offered: list[dict[str, Any]] = [{"environment_id": ENVIRONMENT, "pipeline": "query"}] * min(
                5000, count - start
            )
            ids += [row["run_id"] for row in await self.db.fetch("select run_id from ops.enqueue_runs($1)", offered)]
        return ids


async def all_ended(house: Services) -> None:
    """The end of the last run, seen without asking so often that the asking counts."""
    deadline = time.monotonic() + 300
    while await house.db.fetchval("select exists (select from ops.open_runs)"):
        if time.monotonic() > deadline:
            raise TimeoutError("the runs did not end within 300 s")
        await asyncio.sleep(0.2)


@asynccontextmanager
async def services(postgres: ThrowawayPostgres) -> AsyncIterator[Services]:
    """A fresh control plane and an empty warehouse."""
    dsn = await postgres.create_database("bench")
    await migrate(dsn)
    with tempfile.TemporaryDirectory(prefix="lakehouse-bench-") as folder:
        init_warehouse(LakeOptions(dsn=dsn, warehouse=f"file://{folder}/warehouse"))
        connection = await asyncpg.connect(dsn)
        await set_codecs(connection)
        running = Services(dsn, Path(folder), connection)
        try:
            yield running
        finally:
            await running.stop()
            await connection.close()
            await postgres.drop_database(dsn)
