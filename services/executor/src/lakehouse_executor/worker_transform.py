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
from lakehouse_executor.query_run import AsOf, Query, answer, as_of_each, tables_of
from lakehouse_executor.silver_build import SilverTask, build_silver, unchanged
from lakehouse_executor.worker import TALLY, stopping_with
from opscore.domain.check import CheckOutcome
from opscore.domain.errors import NotFound, QueryFailed
from opscore.domain.table import TableVersion
from opscore.engines.duckdb import DuckDBEngine
from opscore.lake.catalog import lake_for
from opscore.lake.options import LakeOptions
from opscore.ports.engine import S3Access
from opscore.ports.lake import Lake


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


def run_query(options: LakeOptions, query: Query) -> tuple[bytes, int]:
    """Answer one statement over published tables: the result document and its number of rows."""
    lake = lake_for(options)
    with engine_of(options) as engine:
        engine.check_readable(query.sql)
        names = tables_of(query.sql, lake.published())
        engine.mount(_versions(lake, as_of_each(query.as_of, names)))
        engine.lock()
        return answer(engine, query)


def _versions(lake: Lake, wanted: Mapping[str, AsOf | None]) -> list[TableVersion]:
    try:
        return [lake.version(name, as_of=as_of) for name, as_of in wanted.items()]
    except NotFound as error:
        raise QueryFailed(error.message) from error


@contextmanager
def engine_over(options: LakeOptions, tables: Iterable[TableVersion]) -> Generator[DuckDBEngine]:
    """A locked engine that sees these tables and nothing else."""
    with engine_of(options) as engine:
        engine.mount(tables)
        engine.lock()
        yield engine


@contextmanager
def engine_of(options: LakeOptions) -> Generator[DuckDBEngine]:
    """An empty engine that can reach the lake's files."""
    s3 = S3Access(options.s3_endpoint, options.s3_access_key_id, options.s3_secret_access_key, options.s3_region)
    engine = DuckDBEngine(s3=s3)
    try:
        with stopping_with(engine.cancel):
            yield engine
    finally:
        TALLY.statements += engine.statements
        engine.close()
