"""A control plane of the test's own, with words for caps."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest

from opscore.db.pool import set_codecs
from support.caps import CapPlane


@pytest.fixture
async def plane(control_dsn: str) -> AsyncIterator[CapPlane]:
    connection = await asyncpg.connect(control_dsn)
    await set_codecs(connection)
    yield CapPlane(connection, control_dsn)
    await connection.close()
