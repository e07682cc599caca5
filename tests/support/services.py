"""Services as real processes, on a control plane of the test's own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_OID, UUID, uuid5

import anyio
import asyncpg

from opscore.db.listen import Listener
from support.plane import ENVIRONMENT

ODD_EXECUTOR = Path(__file__).with_name("odd_executor.py")
DEADLINE = 60


class Process:
    """One service."""

    def __init__(self, command: list[str], environment: dict[str, str], log: Path) -> None:
        self.log = log
        self.health_file = Path(environment["LAKEHOUSE_HEALTH_FILE"])
        with log.open("wb") as output:
            self.popen = subprocess.Popen(command, env=os.environ | environment, stdout=output, stderr=output)

    def signal(self, number: int) -> None:
        self.popen.send_signal(number)

    async def started(self) -> Process:
        """Wait for the health endpoint's port."""
        with anyio.fail_after(DEADLINE):
            while not self.health_file.exists():
                assert self.popen.poll() is None, self.log.read_text()
                await anyio.sleep(0.02)
        return self

    async def ended(self) -> int:
        """Wait for the end; the exit code."""
        with anyio.fail_after(DEADLINE):
            return await anyio.to_thread.run_sync(self.popen.wait, abandon_on_cancel=True)

    def end(self) -> None:
        if self.popen.poll() is None:
            self.popen.send_signal(signal.SIGCONT)
            self.popen.kill()
        self.popen.wait()


class Services:
    """Starts services, asks the database what came of it, and leaves no process behind."""

    def __init__(self, folder: Path, dsn_of: Callable[[str | None], str]) -> None:
        """dsn_of: role, or None for the owner -> connection string."""
        self.folder = folder
        self._dsn_of = dsn_of
        self._started: list[Process] = []
        self.bell = Listener(dsn_of(None), ["lakehouse_feed"], "test")

    async def dispatcher(self, **settings: str) -> Process:
        return await self._start("dispatcher", [str(Path(sys.executable).with_name("lakehouse-dispatcher"))], settings)

    async def executor(self, **settings: str) -> Process:
        """An executor whose query phase does what the run's parameters say; see odd_executor.py."""
        return await self._start("executor", [sys.executable, str(ODD_EXECUTOR)], settings)

    async def _start(self, service: str, command: list[str], settings: dict[str, str]) -> Process:
        number = len(self._started)
        environment = {
            "LAKEHOUSE_DATABASE_URL": self._dsn_of(f"lakehouse_{service}"),
            "LAKEHOUSE_WAREHOUSE": f"file://{self.folder}/lake",
            "LAKEHOUSE_HEALTH_FILE": str(self.folder / f"{number}.port"),
            **settings,
        }
        process = Process(command, environment, self.folder / f"{number}-{service}.log")
        self._started.append(process)
        return await process.started()

    def end(self) -> None:
        for process in self._started:
            process.end()

    # --- the database's view ------------------------------------------------------------------------------------------

    async def sql(self, query: str, *args: Any) -> list[asyncpg.Record]:
        connection = await asyncpg.connect(self._dsn_of(None))
        try:
            await connection.set_type_codec(
                "jsonb", schema="pg_catalog", encoder=lambda value: value, decoder=lambda text: text
            )
            return await connection.fetch(query, *args)
        finally:
            await connection.close()

    async def lease_ms(self, lease_ms: int) -> None:
        """Shorten leases, and with them how long a silent executor still counts as alive."""
        await self.sql("update ops.settings set lease_ms = $1, start_timeout_ms = $1, executor_ttl_ms = $1", lease_ms)

    async def enqueue(self, params: str = "{}", pipeline: str = "query") -> UUID:
        """params: JSON text."""
        rows = await self.sql("select run_id from ops.enqueue_run($1, $3, $2::jsonb)", ENVIRONMENT, params, pipeline)
        return rows[0]["run_id"]

    async def apply(self, name: str, **spec: Any) -> None:
        """A pipeline with one phase, the odd one."""
        digest = uuid5(NAMESPACE_OID, name + repr(spec)).hex * 2
        bundle = {"digest": digest, "spec": {"name": name} | spec, "files": {}, "phases": ["query"]}
        await self.sql("select * from ops.apply_pipeline($1, $2::jsonb)", ENVIRONMENT, json.dumps(bundle))

    async def run(self, run_id: UUID) -> asyncpg.Record:
        return (await self.sql("select *, state::text as now from ops.runs where id = $1", run_id))[0]

    async def events(self, run_id: UUID) -> list[str]:
        rows = await self.sql("select type from ops.run_events where run_id = $1 order by run_seq", run_id)
        return [row["type"] for row in rows]

    async def until(self, run_id: UUID, **facts: Any) -> asyncpg.Record:
        """Wait until the run's columns are as given (`now`: its state)."""
        with anyio.fail_after(DEADLINE):
            while True:
                row = await self.run(run_id)
                if all(row[name] == value for name, value in facts.items()):
                    return row
                await self.bell.wait(0.02)


async def file_written(path: Path) -> str:
    """Wait for a file that another process writes at once."""
    with anyio.fail_after(DEADLINE):
        while not path.exists():  # noqa: ASYNC110 - another process writes it
            await anyio.sleep(0.02)
    return path.read_text()
