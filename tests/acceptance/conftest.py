"""Houses to run the main job in: on a generated ERP, and on the real Odoo database when it is at hand."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from lakehouse import erp
from lakehouse.embedded.throwaway import ThrowawayPostgres
from support.house import House, opened
from support.marts import restore


@pytest.fixture
async def erp_dsn(postgres: ThrowawayPostgres) -> AsyncIterator[str]:
    """A small generated ERP."""
    dsn = await postgres.create_database("erp")
    await erp.generate(dsn, scale=0.2)
    yield dsn
    await postgres.drop_database(dsn)


@pytest.fixture
async def house(postgres: ThrowawayPostgres, control_dsn: str, erp_dsn: str, tmp_path: Path) -> AsyncIterator[House]:
    """All services but the control room may be started in it; the source is the generated ERP."""
    async with opened(postgres, control_dsn, erp_dsn, tmp_path) as house:
        yield house


@pytest.fixture
async def odoo_dsn(postgres: ThrowawayPostgres) -> AsyncIterator[str]:
    """The real Odoo 17 database."""
    dump = os.environ.get("LAKEHOUSE_TEST_ODOO_DUMP")
    if not dump:
        pytest.skip(
            "no real Odoo database: set LAKEHOUSE_TEST_ODOO_DUMP to a gzipped SQL dump (pg_dump of an Odoo 17 database)"
        )
    dsn = await postgres.create_database("odoo")
    restore(postgres.embedded.binaries.tool("psql"), Path(dump), dsn)
    yield dsn
    await postgres.drop_database(dsn)


@pytest.fixture
async def odoo_house(
    postgres: ThrowawayPostgres, control_dsn: str, odoo_dsn: str, tmp_path: Path
) -> AsyncIterator[House]:
    """The same house with the real Odoo as its source."""
    async with opened(postgres, control_dsn, odoo_dsn, tmp_path) as house:
        yield house
