"""A control plane of the test's own, as its owner sees it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest

from opscore.db.pool import set_codecs
from support.plane import Plane


@pytest.fixture
async def plane(control_dsn: str) -> AsyncIterator[Plane]:
    connection = await asyncpg.connect(control_dsn)
    await set_codecs(connection)
    # ad-hoc statements are the shortest runs there are, and raise no alert by default
    await connection.execute("update ops.alert_rules set condition = '{}' where name = 'run_failed'")
    yield Plane(connection, control_dsn)
    await connection.close()
