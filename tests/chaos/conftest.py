"""The same house as in acceptance, and a lease short enough that death is noticed within a test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from lakehouse import erp
from lakehouse.embedded.throwaway import ThrowawayPostgres
from support.house import House, opened


@pytest.fixture
async def house(postgres: ThrowawayPostgres, control_dsn: str, tmp_path: Path) -> AsyncIterator[House]:
    source = await postgres.create_database("erp")
    await erp.generate(source, scale=0.2)
    async with opened(postgres, control_dsn, source, tmp_path) as house:
        await house.db.execute(
            "update ops.settings set lease_ms = 1500, start_timeout_ms = 1500, executor_ttl_ms = 1500"
        )
        await house.apply(retries={"max_attempts": 5, "first_seconds": 1, "max_losses": 100})
        yield house
    await postgres.drop_database(source)
