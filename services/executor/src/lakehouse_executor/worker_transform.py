"""What the computing phases run inside worker processes. A composition root: it puts lake and engine together.

Every function takes and returns plain picklable values and is called through `workforce`. A process keeps its lake
(connections, file system) between calls; an engine lives as long as one call and is locked before any SQL of a spec
or a person runs on it.

pointers: full table name -> metadata location, the state of the lake that the run works on.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from typing import Any

from lakehouse_executor.checks.evaluate import judge
from lakehouse_executor.checks.task import CheckTask
from lakehouse_executor.gold_build import MartTask, build_mart
from lakehouse_executor.made import Made
from lakehouse_executor.silver_build import SilverTask, build_silver, unchanged
from opscore.domain.check import CheckOutcome
from opscore.domain.table import TableVersion
from opscore.engines.duckdb import DuckDBEngine
from opscore.lake.catalog import lake_for
from opscore.lake.options import LakeOptions
from opscore.ports.engine import S3Access


def make_silver(options: LakeOptions, pointers: Mapping[str, str], tasks: tuple[SilverTask, ...]) -> list[Made]:
    """Make the silver tables whose logs have moved, in one engine."""
    lake = lake_for(options).at(pointers)
    logs = [(task, lake.open(task.log, task.location)) for task in tasks]
    moved = [log for task, log in logs if str(log.snapshot_id) != task.seen]
    with engine_over(options, moved) as engine:
        return [
            unchanged(task, log) if str(log.snapshot_id) == task.seen else build_silver(lake, engine, log, task)
            for task, log in logs
        ]


def make_mart(options: LakeOptions, pointers: Mapping[str, str], task: MartTask) -> Made:
    """Make one table from its query."""
    lake = lake_for(options).at(pointers)
    inputs = {name: lake.open(name, pointers[name]) for name in task.mart.inputs}
    with engine_over(options, inputs.values()) as engine:
        return build_mart(lake, engine, inputs, task)


def run_checks(
    options: LakeOptions, pointers: Mapping[str, str], tasks: tuple[CheckTask, ...], parameters: Mapping[str, Any]
) -> list[tuple[int, CheckOutcome]]:
    """Judge datasets by their rules, in one engine; each outcome with its rule's position in the spec."""
    lake = lake_for(options).at(pointers)
    wanted = {name for task in tasks for name in task.reads}
    tables = {name: lake.open(name, pointers[name]) for name in sorted(wanted) if name in pointers}
    with engine_over(options, tables.values()) as engine:
        return [found for task in tasks for found in judge(lake, engine, tables, task, parameters)]


@contextmanager
def engine_over(options: LakeOptions, tables: Iterable[TableVersion]) -> Generator[DuckDBEngine]:
    """A locked engine that sees these tables and nothing else."""
    s3 = S3Access(options.s3_endpoint, options.s3_access_key_id, options.s3_secret_access_key, options.s3_region)
    engine = DuckDBEngine(s3=s3)
    try:
        engine.mount(tables)
        engine.lock()
        yield engine
    finally:
        engine.close()
