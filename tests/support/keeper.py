"""The dispatcher's keeper of time, on a real control plane, one pass at a time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from lakehouse_dispatcher.timekeeping import Timekeeper
from opscore.db.pool import open_database
from opscore.db.time_rpc import TimeRpc
from opscore.testing.factories import make_service


@asynccontextmanager
async def keeping_time(dsn: str) -> AsyncIterator[Timekeeper]:
    """dsn: as the dispatcher's role, so that its rights are proven too."""
    async with open_database(dsn, application="tests") as database:
        yield Timekeeper(TimeRpc(database), make_service("dispatcher").service)
