"""A lake over a real catalog and a warehouse on disk, with a way to publish."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import asyncpg
import pytest

from opscore.domain.table import StagedTable
from opscore.lake.catalog import LakeCatalog
from opscore.lake.options import LakeOptions
from opscore.lake.storage import init_warehouse

SWAP = """
    insert into iceberg.iceberg_tables (catalog_name, table_namespace, table_name, metadata_location, iceberg_type)
    values ('lakehouse', $1, $2, $3, 'TABLE')
    on conflict (catalog_name, table_namespace, table_name) do update set metadata_location = excluded.metadata_location
"""

Publish = Callable[[StagedTable], Awaitable[None]]


@pytest.fixture
def options(control_dsn: str, tmp_path: Path) -> LakeOptions:
    options = LakeOptions(dsn=control_dsn, warehouse=f"file://{tmp_path}/warehouse")
    init_warehouse(options)
    return options


@pytest.fixture
def lake(options: LakeOptions):
    lake = LakeCatalog(options)
    yield lake
    lake._catalog.engine.dispose()


@pytest.fixture
def publish(control_dsn: str) -> Publish:
    async def swap(staged: StagedTable) -> None:
        connection = await asyncpg.connect(control_dsn)
        try:
            await connection.execute(SWAP, *staged.name.split("."), staged.metadata_location)
        finally:
            await connection.close()

    return swap
