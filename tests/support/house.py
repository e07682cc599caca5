"""The services as real processes over a control plane of the test's own: start, kill, stop, continue, look.

Each service connects as its own role, as in a deployment. Nothing restarts by itself here: tests decide who lives.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import psutil

from lakehouse.embedded.throwaway import ThrowawayPostgres
from opscore import specs
from opscore.domain.bundle import Bundle
from opscore.domain.pipeline import PipelineSpec, phases
from support.plane import ENVIRONMENT

ROOT = Path(__file__).parents[2]
PIPELINES = ("odoo_ingest_bronze", "bronze_to_silver", "silver_to_gold")
SERVICES = ("dispatcher", "executor", "scorer", "notifier")
ALL_SERVICES = (*SERVICES, "controlroom")
ENDED = {"succeeded", "failed", "canceled"}


class House:
    """One control plane, one warehouse, one source, and whatever services the test starts."""

    def __init__(self, postgres: ThrowawayPostgres, control_dsn: str, source_dsn: str, folder: Path) -> None:
        self.postgres = postgres
        self.control_dsn = control_dsn
        self.source_dsn = source_dsn
        self.folder = folder
        self.warehouse = folder / "warehouse"
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.db: asyncpg.Connection = None  # type: ignore[assignment] - set by `opened`

    # --- services ---------------------------------------------------------------------------------------------------

    def environment(self, service: str, **extra: str) -> dict[str, str]:
        database = self.control_dsn.rsplit("/", 1)[1]
        return {
            **{key: value for key, value in os.environ.items() if not key.startswith(("LAKEHOUSE_", "ODOO_"))},
            "LAKEHOUSE_DATABASE_URL": self.postgres.dsn(database, role=f"lakehouse_{service}"),
            "LAKEHOUSE_WAREHOUSE": f"file://{self.warehouse}",
            "ODOO_DATABASE_URL": self.source_dsn,
            "LAKEHOUSE_WEBHOOK_ALLOW": "127.0.0.1",
            "LAKEHOUSE_PORT": "0",
            "LAKEHOUSE_HEALTH_FILE": str(self.folder / f"{service}.health"),
            **extra,
        }

    def start(self, service: str, *, name: str | None = None, module: str | None = None, **extra: str) -> int:
        """Start a service (or a program of ours in its place) and return its pid; its log is in the folder."""
        name = name or service
        (self.folder / f"{service}.health").unlink(missing_ok=True)
        argv = [sys.executable, "-m", module or f"lakehouse_{service}"]
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                argv, env=self.environment(service, **extra), stdout=log, stderr=log, start_new_session=True,
                cwd=ROOT / "tests",
            )  # fmt: skip
        return self.processes[name].pid

    def start_all(self, services: Iterable[str] = SERVICES) -> None:
        for service in services:
            self.start(service)

    def kill(self, name: str) -> None:
        """kill -9 of the service's own process, as the kernel's out-of-memory killer would: its workers find out."""
        process = self.processes.pop(name)
        process.kill()
        process.wait()

    async def ready(self, service: str) -> None:
        """Wait until a service has come up far enough to answer about its health."""
        while not (self.folder / f"{service}.health").exists():  # noqa: ASYNC110 - another process writes it
            await asyncio.sleep(0.05)

    def freeze(self, name: str) -> None:
        self.processes[name].send_signal(signal.SIGSTOP)

    def thaw(self, name: str) -> None:
        self.processes[name].send_signal(signal.SIGCONT)

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def stop_all(self) -> None:
        for process in self.processes.values():
            process.send_signal(signal.SIGCONT)
            process.terminate()
        deadline = time.monotonic() + 10
        for process in self.processes.values():
            try:
                process.wait(max(deadline - time.monotonic(), 0.1))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.processes.clear()

    def leftovers(self) -> list[int]:
        """Pids of worker processes that outlived their executor."""
        mine = f"file://{self.warehouse}"
        alive = psutil.process_iter(["pid", "environ"])
        return [process.pid for process in alive if (process.info["environ"] or {}).get("LAKEHOUSE_WAREHOUSE") == mine]

    # --- pipelines --------------------------------------------------------------------------------------------------

    async def apply(self, names: Iterable[str] = PIPELINES, **changes: Any) -> None:
        """Apply reference pipelines. changes: top-level keys of the spec to replace, for all of them."""
        for name in names:
            bundle = specs.bundle(ROOT / "pipelines" / f"{name}.yaml")
            await self.apply_bundle(bundle, **changes)

    async def apply_bundle(self, bundle: Bundle, **changes: Any) -> None:
        changes = {"schedule": None} | changes  # only the test starts runs, whatever the clock says meanwhile
        spec = PipelineSpec.model_validate({**bundle.spec, **changes})
        digest = uuid.uuid5(uuid.NAMESPACE_OID, bundle.digest + json.dumps(changes, sort_keys=True)).hex * 2
        offered = {
            "digest": digest,
            "spec": spec.as_json(),
            "files": bundle.files,
            "phases": [phase.value for phase in phases(spec)],
        }
        await self.db.fetch("select * from ops.apply_pipeline($1, $2)", ENVIRONMENT, offered)

    async def enqueue(self, pipeline: str, **params: Any) -> uuid.UUID:
        offered = {"mode": "incremental", "group": None} if pipeline == "odoo_ingest_bronze" else {}
        offered |= {"as_of": "2026-06-30"} if pipeline == "silver_to_gold" else {}
        given = {"chain": False} | offered | params
        return await self.db.fetchval("select run_id from ops.enqueue_run($1, $2, $3)", ENVIRONMENT, pipeline, given)

    async def run(self, run_id: uuid.UUID) -> dict[str, Any]:
        return dict(await self.db.fetchrow("select * from api.runs where id = $1", run_id))

    async def ended(self, run_id: uuid.UUID, *, within: float = 120) -> dict[str, Any]:
        """Wait for the end of a run; fails with the state and the executor's log when it does not come."""
        return await self.until(
            lambda: self.run(run_id),
            lambda run: run["state"] in ENDED,
            within=within,
            waiting_for=f"the end of {run_id}",
        )

    async def until(self, look: Any, happy: Any, *, within: float = 60, waiting_for: str = "a state") -> Any:
        """Look again at every doorbell of the feed (and each quarter second) until it is as wanted."""
        deadline = time.monotonic() + within
        while True:
            seen = await look()
            if happy(seen):
                return seen
            if time.monotonic() > deadline:
                logs = "\n".join(f"--- {name}\n{self.log(name)[-3000:]}" for name in self.processes)
                raise AssertionError(f"waited {within} s for {waiting_for}; saw {seen}\n{logs}")
            self._bell.clear()
            try:
                await asyncio.wait_for(self._bell.wait(), 0.25)
            except TimeoutError:
                continue

    async def through(self, *pipelines: str, within: float = 120, **params: Any) -> list[dict[str, Any]]:
        """Run pipelines one after the other to success."""
        runs = []
        for pipeline in pipelines or PIPELINES:
            run = await self.ended(await self.enqueue(pipeline, **params), within=within)
            assert run["state"] == "succeeded", (run, self.log("executor")[-3000:])
            runs.append(run)
        return runs

    async def events(self, run_id: uuid.UUID, kind: str | None = None) -> list[dict[str, Any]]:
        rows = await self.db.fetch(
            "select type, run_seq, attempt, data from ops.run_events where run_id = $1 and ($2::text is null or type = $2) order by run_seq",
            run_id, kind,
        )  # fmt: skip
        return [dict(row) for row in rows]

    async def open(self) -> None:
        from opscore.db.pool import set_codecs

        self._bell = asyncio.Event()
        self.db = await asyncpg.connect(self.control_dsn)
        await set_codecs(self.db)
        await self.db.add_listener("lakehouse_feed", lambda *_: self._bell.set())

    async def close(self) -> None:
        await self.db.close()


@asynccontextmanager
async def opened(postgres: ThrowawayPostgres, control_dsn: str, source_dsn: str, folder: Path) -> AsyncIterator[House]:
    """A house with an empty warehouse and no services yet; all that was started is stopped at the end."""
    from opscore.lake.options import LakeOptions
    from opscore.lake.storage import init_warehouse

    house = House(postgres, control_dsn, source_dsn, folder)
    init_warehouse(LakeOptions(dsn=control_dsn, warehouse=f"file://{house.warehouse}"))
    await house.open()
    try:
        yield house
    finally:
        house.stop_all()
        await house.close()
