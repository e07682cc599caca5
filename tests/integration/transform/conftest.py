"""A real lake (catalog in Postgres, Parquet files) and phases run over it, with worker calls made in threads."""

from __future__ import annotations

import asyncio
import json
import pickle
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import anyio
import asyncpg
import pyarrow as pa
import pytest
from anyio import to_thread

from lakehouse.embedded.throwaway import ThrowawayPostgres
from lakehouse_executor import workforce
from lakehouse_executor.context import PhaseContext, PhaseResult
from lakehouse_executor.phases.query import query
from lakehouse_executor.phases.transform import transform
from lakehouse_executor.phases.validate import validate
from lakehouse_executor.worker import Answer
from opscore.domain.artifact import Artifact
from opscore.domain.check import CheckOutcome
from opscore.domain.lease import Lease
from opscore.domain.run import WorkOrder
from opscore.lake.artifacts import WarehouseArtifacts
from opscore.lake.catalog import LakeCatalog
from opscore.lake.options import LakeOptions
from opscore.lake.storage import init_warehouse

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
LOG = (
    pa.field("_op", pa.string()),
    pa.field("_lsn", pa.int64()),
    pa.field("_seq", pa.int64()),
    pa.field("_run_id", pa.string()),
    pa.field("_extracted_at", pa.timestamp("us", "UTC")),
)
SWAP = """
    insert into iceberg.iceberg_tables (catalog_name, table_namespace, table_name, metadata_location, iceberg_type)
    values ('lakehouse', $1, $2, $3, 'TABLE')
    on conflict (catalog_name, table_namespace, table_name) do update set metadata_location = excluded.metadata_location
"""


class Memory:
    """The part of the control plane that phases call, kept in memory."""

    def __init__(self) -> None:
        self.states: dict[str, dict[str, Any]] = {}
        self.checks: list[CheckOutcome] = []
        self.artifacts: list[Artifact] = []

    async def table_states(self, _: Lease) -> dict[str, dict[str, Any]]:
        return self.states

    async def record_checks(self, _: Lease, outcomes: Sequence[CheckOutcome]) -> None:
        self.checks = list(outcomes)

    async def register_artifacts(self, _: Lease, artifacts: Sequence[Artifact]) -> None:
        self.artifacts += artifacts


class Clock:
    def now(self) -> datetime:
        return NOW


class LakeBench:
    """Tables to read, phases to run, results to look at."""

    def __init__(self, options: LakeOptions) -> None:
        self.options = options
        self.lake = LakeCatalog(options)
        self.artifacts = WarehouseArtifacts(options)
        self.memory = Memory()
        self.workers = anyio.CapacityLimiter(2)
        self.files: dict[str, str] = {}
        self.progress: list[dict[str, Any]] = []

    async def log(
        self,
        name: str,
        columns: pa.Schema,
        entries: Sequence[tuple[Any, ...]],
        *,
        key: str = "id",
        facts: Mapping[str, Mapping[str, Any]] | None = None,
        run: str = "first",
    ) -> dict[str, Any]:
        """Append entries to a bronze log: (op, seq, *values). Publishes it; returns the staged table."""
        schema = pa.schema([*columns, *LOG])
        rows = [(*values, op, 1, seq, run, NOW) for op, seq, *values in entries]
        table = pa.table(
            [pa.array([row[at] for row in rows], field.type) for at, field in enumerate(schema)], schema=schema
        )
        properties = {
            "lakehouse.key": json.dumps([name for name in key.split(",") if name]),
            "lakehouse.source.columns": json.dumps(facts or {}),
        }
        return await self._stage(self.lake.stage_append, f"bronze.{name}", table, properties)

    async def table(self, name: str, schema: pa.Schema, rows: Sequence[tuple[Any, ...]], *, key: str = "id") -> Any:
        """Publish a table that holds exactly these rows."""
        table = pa.table(
            [pa.array([row[at] for row in rows], field.type) for at, field in enumerate(schema)], schema=schema
        )
        return await self._stage(
            self.lake.stage_replace,
            name,
            table,
            {"lakehouse.key": json.dumps([name for name in key.split(",") if name])},
        )

    async def _stage(self, stage: Callable[..., Any], name: str, table: pa.Table, properties: dict[str, str]) -> Any:
        writer = self.lake.writer(name, table.schema, run_id="setup", part="0")
        writer.write(table)
        staged = stage(name, table.schema, writer.close(), run_id="setup", properties=properties).as_json()
        await self.publish({"tables": [staged]})
        return staged

    async def publish(self, result: Mapping[str, Any]) -> None:
        """Move the pointers, as the publish phase does with the ledger."""
        connection = await asyncpg.connect(self.options.dsn)
        try:
            for table in result["tables"]:
                await connection.execute(SWAP, *table["name"].split("."), table["metadata_location"])
        finally:
            await connection.close()
        self.memory.states.update(result.get("states", {}))

    def context(self, spec: Mapping[str, Any], params: Mapping[str, Any], results: Mapping[str, Any]) -> PhaseContext:
        whole = {"version": 1, "name": "p", "owner": "o@example.com", "layer": "gold"}
        order = WorkOrder(
            lease=Lease(uuid4(), 1, uuid4(), 30_000),
            environment_id=uuid4(),
            pipeline="p",
            bundle="b",
            params=dict(params),
            phases=(),
            created_at=NOW,
        )
        return PhaseContext(
            order=order,
            spec={**whole, "destinations": [{"namespace": "gold"}], **spec},
            files=self.files,
            results=dict(results),
            control=self.memory,  # type: ignore[arg-type]
            lake=self.lake,
            artifacts=self.artifacts,
            lake_options=self.options,
            workers=self.workers,
            clock=Clock(),  # type: ignore[arg-type]
            progress=self.progress.append,
            secret=str,
        )

    async def silver(self, language: str = "en_US") -> PhaseResult:
        step = {"kind": "current_state", "from": "bronze", "into": "silver", "language": language}
        return await transform(self.context({"transforms": [step]}, {}, {}))

    async def gold(self, *marts: Mapping[str, Any], params: Mapping[str, Any] | None = None) -> PhaseResult:
        declared = {"as_of": {"type": "date"}}
        steps = [{"kind": "sql", **mart} for mart in marts]
        return await transform(self.context({"transforms": steps, "params": declared}, params or {}, {}))

    async def validate(self, *rules: Mapping[str, Any], staged: Mapping[str, Any]) -> PhaseResult:
        return await validate(self.context({"validations": list(rules)}, {}, {"transform": staged}))

    async def query(self, sql: str, **params: Any) -> dict[str, Any]:
        """The document that a query run leaves behind."""
        await query(self.context({}, {"sql": sql, **params}, {}))
        return json.loads(self.artifacts.get(self.memory.artifacts[-1].uri))

    def rows(self, name: str, location: str | None = None) -> list[dict[str, Any]]:
        """A table's rows: at a metadata file, else as published."""
        version = self.lake.open(name, location) if location else self.lake.version(name)
        return self.lake.dataset(version).to_table().to_pylist() if version.files else []

    def staged_rows(self, result: PhaseResult, name: str) -> list[dict[str, Any]]:
        return self.rows(name, next(table["metadata_location"] for table in result["tables"] if table["name"] == name))


class Thread:
    """Stands for a worker process: the same calls in a thread, arguments and results pickled all the same."""

    idle_since = 0.0

    def __init__(self) -> None:
        self.process = self

    @classmethod
    def start(cls) -> Thread:
        return cls()

    def is_alive(self) -> bool:
        return True

    async def call(self, function: Callable[..., Any], args: tuple[Any, ...]) -> Answer:
        sent = pickle.dumps((function, args))

        def work() -> bytes:
            called, given = pickle.loads(sent)
            try:
                return pickle.dumps(Answer(called(*given), raised=False, cpu_seconds=0.0, statements=0))
            except Exception as error:  # noqa: BLE001 - as a worker does
                return pickle.dumps(Answer(error, raised=True, cpu_seconds=0.0, statements=0))

        return pickle.loads(await to_thread.run_sync(work))

    async def end(self, _: float) -> None:
        return


@pytest.fixture
def _in_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workforce, "Worker", Thread)


@pytest.fixture(scope="session")
def lake_dsn(postgres: ThrowawayPostgres, control_template: str) -> str:
    """One catalog for all these tests; each starts with it empty and with a warehouse of its own."""

    def make() -> str:
        return asyncio.run(postgres.create_database("transform", template=control_template))

    with ThreadPoolExecutor(max_workers=1) as thread:  # a loop of its own: the tests' loops come and go
        return thread.submit(make).result()


@pytest.fixture
async def bench(lake_dsn: str, tmp_path: Path, _in_threads: None) -> LakeBench:
    """An empty lake, and phases over it."""
    connection = await asyncpg.connect(lake_dsn)
    await connection.execute("delete from iceberg.iceberg_tables")
    await connection.close()
    options = LakeOptions(dsn=lake_dsn, warehouse=f"file://{tmp_path}/warehouse")
    init_warehouse(options)
    return LakeBench(options)


@pytest.fixture
def pipelines() -> Path:
    """The repository's own pipelines."""
    return Path(__file__).parents[3] / "pipelines"
