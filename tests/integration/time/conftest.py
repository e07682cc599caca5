"""A control plane of the test's own, and a keeper of time as the dispatcher runs it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import asyncpg
import pytest

from lakehouse.embedded.throwaway import ThrowawayPostgres
from lakehouse_dispatcher.timekeeping import Timekeeper
from opscore.db.pool import set_codecs
from support.keeper import keeping_time
from support.plane import Plane


@pytest.fixture
async def plane(control_dsn: str) -> AsyncIterator[Plane]:
    connection = await asyncpg.connect(control_dsn)
    await set_codecs(connection)
    yield Plane(connection, control_dsn)
    await connection.close()


@pytest.fixture
def dispatcher_dsn(control_dsn: str, postgres: ThrowawayPostgres) -> str:
    return postgres.dsn(urlsplit(control_dsn).path.removeprefix("/"), role="lakehouse_dispatcher")


@pytest.fixture
async def keeper(dispatcher_dsn: str) -> AsyncIterator[Timekeeper]:
    async with keeping_time(dispatcher_dsn) as made:
        yield made
