"""Takes one table of an Odoo-shaped source into the lake through the real executor service, and ends.

Usage: python -m bench.ingest_once CONTROL_DSN WAREHOUSE SOURCE_DSN TABLE WORKERS. Prints {"rows", "state"} as JSON.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import uuid
from pathlib import Path

import asyncpg

from bench.services import ENVIRONMENT
from opscore import specs
from opscore.db.pool import set_codecs
from opscore.domain.pipeline import PipelineSpec, phases

SPEC = Path(__file__).parents[1] / "pipelines" / "odoo_ingest_bronze.yaml"


async def ingest(dsn: str, warehouse: str, source: str, table: str, workers: str) -> dict[str, object]:
    """Apply a spec that takes this table alone, run it, and say what was published."""
    db = await asyncpg.connect(dsn)
    await set_codecs(db)
    await db.fetch("select * from ops.apply_pipeline($1, $2)", ENVIRONMENT, one_table_bundle(table))
    params = {"mode": "incremental", "group": None, "chain": False}
    run_id = await db.fetchval("select run_id from ops.enqueue_run($1, 'odoo_ingest_bronze', $2)", ENVIRONMENT, params)
    env = {
        **os.environ,
        "LAKEHOUSE_DATABASE_URL": dsn,
        "LAKEHOUSE_WAREHOUSE": warehouse,
        "ODOO_DATABASE_URL": source,
        "LAKEHOUSE_EXECUTOR_WORKERS": workers,
        "LAKEHOUSE_EXECUTOR_CLAIM_AFTER_S": "0.2",
        "LAKEHOUSE_LOG_LEVEL": "warning",
    }
    executor = subprocess.Popen([sys.executable, "-m", "lakehouse_executor"], env=env, stdout=subprocess.DEVNULL)
    try:
        state = await ended(db, run_id)
    finally:
        executor.send_signal(signal.SIGTERM)
        await asyncio.to_thread(executor.wait, 60)
    rows = await db.fetchval("select rows from ops.tables where name = $1", f"bronze.{table}")
    await db.close()
    return {"rows": rows, "state": state}


def one_table_bundle(table: str) -> dict[str, object]:
    """The reference pipeline, narrowed to one table and without checks."""
    bundle = specs.bundle(SPEC)
    changed = {**bundle.spec, "validations": []}
    changed["sources"] = [{**changed["sources"][0], "include": [table]}]
    spec = PipelineSpec.model_validate(changed)
    return {
        "digest": uuid.uuid5(uuid.NAMESPACE_OID, table).hex * 2,
        "spec": spec.as_json(),
        "files": bundle.files,
        "phases": [phase.value for phase in phases(spec)],
    }


async def ended(db: asyncpg.Connection, run_id: uuid.UUID) -> str:
    """The run's last state; an error is raised when it is not success."""
    while True:
        row = await db.fetchrow("select state::text, error from ops.runs where id = $1", run_id)
        if row["state"] == "succeeded":
            return row["state"]
        if row["state"] in {"failed", "canceled"}:
            raise RuntimeError(f"the run ended {row['state']}: {row['error']}")
        await asyncio.sleep(0.25)


if __name__ == "__main__":
    print(json.dumps(asyncio.run(ingest(*sys.argv[1:6]))))
