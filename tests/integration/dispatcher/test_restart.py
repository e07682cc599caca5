"""A restart of Postgres delays work and loses none; services stay the processes they were."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from lakehouse.embedded.throwaway import ThrowawayPostgres
from opscore.db import admin
from opscore.db.migrate import migrate
from support.services import Services

PASSWORD = "for-tests-only"


@pytest.fixture
async def server() -> AsyncIterator[ThrowawayPostgres]:
    """A server that this test may stop."""
    started = ThrowawayPostgres(bindir=os.environ.get("LAKEHOUSE_TEST_PG"), role_password=PASSWORD)
    try:
        await started.start()
        await admin.create_database(started.dsn(), "control")
        await migrate(started.dsn("control"))
        roles = [(f"lakehouse_{service}", PASSWORD) for service in ("dispatcher", "executor")]
        await admin.set_role_passwords(started.dsn(), roles)
        yield started
    finally:
        await started.stop()


async def test_services_serve_on_after_a_restart(server: ThrowawayPostgres, tmp_path: Path) -> None:
    services = Services(tmp_path, lambda role: server.dsn("control", role=role))
    try:
        dispatcher, executor = await services.dispatcher(), await services.executor()
        before = await services.enqueue('{"sleep": 4}')
        await services.until(before, now="running")

        await server.embedded.stop()
        await server.embedded.start()

        after = await services.enqueue()
        assert (await services.until(after, now="succeeded"))["attempt"] == 1
        assert (await services.until(before, now="succeeded"))["attempt"] == 1
        assert [process.popen.poll() for process in (dispatcher, executor)] == [None, None]
    finally:
        services.end()
