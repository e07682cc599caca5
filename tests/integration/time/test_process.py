"""The dispatcher as a process keeps time: what is applied while it runs ticks without another word."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import anyio
import pytest

from lakehouse.embedded.throwaway import ThrowawayPostgres
from support.plane import Plane
from support.services import DEADLINE, Services


@pytest.fixture
async def services(control_dsn: str, postgres: ThrowawayPostgres, tmp_path: Path) -> AsyncIterator[Services]:
    name = urlsplit(control_dsn).path.removeprefix("/")
    started = Services(tmp_path, lambda role: postgres.dsn(name, role=role))
    yield started
    started.end()


async def test_a_schedule_applied_while_the_dispatcher_runs_starts_a_run_that_is_carried_out(
    services: Services, plane: Plane
) -> None:
    await services.dispatcher(LAKEHOUSE_DISPATCHER_SCAN_S="0.1")
    await services.executor()
    await plane.pipeline(
        "p",
        phases=("query",),
        schedule={"every_seconds": 86400},
        backfill={"from": "day"},
        params={"day": {"type": "date"}},
    )
    with anyio.fail_after(DEADLINE):
        while not await plane.db.fetchval("select next_tick_at from ops.schedules"):
            await services.bell.wait(0.02)
        await plane.db.execute(
            "update ops.schedules set next_tick_at = ops.now(), ticked_until = ops.now() - interval '1 day'"
        )
        while not (run := await plane.db.fetchval("select id from ops.runs where trigger = 'schedule'")):
            await services.bell.wait(0.02)

    assert (await services.until(run, now="succeeded"))["attempt"] == 1
