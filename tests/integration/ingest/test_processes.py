"""Real worker processes: their errors arrive whole, and a canceled ingest ends them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import asyncpg
import pytest

from integration.ingest.bench import IN_SCOPE, added
from opscore.domain.errors import UnsupportedValue

if TYPE_CHECKING:
    from integration.ingest.bench import Bench

SESSIONS = "select count(*) from pg_stat_activity where application_name = 'lakehouse ingest'"


@pytest.fixture
def in_threads() -> None:
    """Not here: these tests are about processes."""


async def test_worker_processes_load_and_merge(bench: Bench) -> None:
    first = await bench.run()
    await bench.source.execute("update res_partner set name = 'New' where id = 1")

    second = await bench.run()

    assert set(added(first)) == IN_SCOPE
    assert added(second) == {"bronze.res_partner": 1}


async def test_an_error_of_a_worker_process_arrives_with_its_facts(bench: Bench) -> None:
    await bench.source.execute("update res_partner set credit_limit = 'NaN' where id = 2")

    with pytest.raises(UnsupportedValue, match="row id=2"):
        await bench.stage()


async def test_a_canceled_ingest_ends_its_sessions(bench: Bench) -> None:
    blocker = await asyncpg.connect(bench.dsn)
    await blocker.execute("begin; lock table sale_order in access exclusive mode")

    async with anyio.create_task_group() as group:
        group.start_soon(bench.stage)
        assert await settled(bench, f"{SESSIONS} and wait_event_type = 'Lock'", 1) == 1
        group.cancel_scope.cancel()

    assert await settled(bench, SESSIONS, 0) == 0
    await blocker.close()


async def settled(bench: Bench, question: str, wanted: int) -> int:
    """The server's answer, asked for until it is the wanted one; the last one when that takes longer than a minute."""
    found = await bench.source.fetchval(question)
    with anyio.move_on_after(60):
        while found != wanted:
            await anyio.sleep(0.02)  # the workers want the cores
            found = await bench.source.fetchval(question)
    return found
