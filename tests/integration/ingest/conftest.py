"""Ingests of a small source. Worker calls are made in threads; the tests about processes say so."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import anyio
import asyncpg
import pytest
from anyio import to_thread

from integration.ingest.bench import SOURCE, Bench
from lakehouse_executor.phases import ingest_work
from opscore.lake.catalog import LakeCatalog, lake_for
from opscore.lake.options import LakeOptions
from opscore.lake.storage import init_warehouse


@pytest.fixture
def in_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    async def in_thread(workers: anyio.CapacityLimiter, _: str, work: Callable[..., Any], *args: Any) -> Any:
        return await to_thread.run_sync(lambda: work(*args), limiter=workers)

    monkeypatch.setattr(ingest_work, "in_worker", in_thread)


@pytest.fixture
async def bench(postgres: Any, control_dsn: str, tmp_path: Path, in_threads: None) -> AsyncIterator[Bench]:  # noqa: ARG001 - in_threads takes effect by being there
    source_dsn = await postgres.create_database("odoo")
    options = LakeOptions(dsn=control_dsn, warehouse=f"file://{tmp_path}/warehouse")
    init_warehouse(options)
    catalog, source = await asyncpg.connect(control_dsn), await asyncpg.connect(source_dsn)
    await source.execute(SOURCE)
    lake = LakeCatalog(options)
    try:
        yield Bench(source_dsn, catalog, source, lake)
    finally:
        await catalog.close()
        await source.close()
        for used in (lake, lake_for(options)):
            used._catalog.engine.dispose()
        await postgres.drop_database(source_dsn)
