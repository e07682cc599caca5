"""Rows a client CPU second, and peak memory, of taking one 40-column table into the lake; dlt beside it."""

from __future__ import annotations

import json
import sys
import tempfile

import asyncpg

from bench.measure import Measured, run_measured
from bench.report import Result, median
from bench.services import services
from lakehouse import erp
from lakehouse.embedded.throwaway import ThrowawayPostgres

COMMAND = "python -m bench ingest"
TABLE = "account_move_line"
LINES_PER_SCALE = 6_548  # measured on the generated ERP
QUIET = {"RUNTIME__DLTHUB_TELEMETRY": "false", "RUNTIME__LOG_LEVEL": "ERROR"}


async def source(postgres: ThrowawayPostgres, lines: int) -> tuple[str, int]:
    """A generated ERP with at least so many journal items; its address and how many there are."""
    dsn = await postgres.create_database("source")
    await erp.generate(dsn, scale=lines / LINES_PER_SCALE * 1.01)
    connection = await asyncpg.connect(dsn)
    await connection.execute("vacuum analyze account_move_line")
    rows = await connection.fetchval(f"select count(*) from {TABLE}")
    await connection.close()
    return dsn, rows


async def ours(postgres: ThrowawayPostgres, dsn: str, workers: int) -> Measured:
    """The real ingest phase and publish of that one table, worker processes included."""
    async with services(postgres) as house:
        argv = [sys.executable, "-m", "bench.ingest_once", house.dsn, house.warehouse, dsn, TABLE, str(workers)]
        return run_measured(argv)


def theirs(dsn: str, backend: str) -> Measured:
    """Dlt to Parquet."""
    with tempfile.TemporaryDirectory(prefix="lakehouse-bench-dlt-") as folder:
        return run_measured([sys.executable, "-m", "bench.peers.dlt_ingest", dsn, TABLE, folder, backend], QUIET)


async def measure(postgres: ThrowawayPostgres, *, full: bool = False) -> list[Result]:
    """Ours and dlt's two fastest backends in turn, three times each."""
    dsn, rows = await source(postgres, 30_000_000 if full else 3_000_000)
    mine: list[Measured] = []
    peers: dict[str, list[Measured]] = {"connectorx": [], "pyarrow": []}
    for _ in range(3):
        mine.append(await ours(postgres, dsn, 2))
        for backend, measured in peers.items():
            measured.append(theirs(dsn, backend))
    for run in mine:
        if json.loads(run.output)["rows"] != rows:
            raise AssertionError(f"{run.output} rows arrived of {rows}")
    await postgres.drop_database(dsn)
    rate = median(rows / run.cpu_s for run in mine)
    peak = median(run.peak_mib for run in mine)
    by_backend = {backend: median(rows / run.cpu_s for run in runs) for backend, runs in peers.items()}
    best = max(by_backend, key=lambda backend: by_backend[backend])
    peer_peak = median(run.peak_mib for run in peers[best])
    note = (
        f"{rows} rows; wall {median(run.wall_s for run in mine)} s; dlt writes plain Parquet, ours stages and publishes"
    )
    peer = f"dlt ({best})"
    return [
        Result(
            "ingest_rows_per_core_s",
            rate,
            "rows/cpu-s",
            ">= 60000",
            rate >= 60_000,
            COMMAND,
            peer,
            by_backend[best],
            note,
        ),
        Result("ingest_peak_mib", peak, "MiB", "<= 1024", peak <= 1024, COMMAND, peer, peer_peak, note),
    ]
