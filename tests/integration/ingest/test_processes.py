"""Real worker processes: their errors arrive whole, and a canceled ingest ends them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import pytest

from integration.ingest.bench import IN_SCOPE, added
from opscore.domain.errors import UnsupportedValue

if TYPE_CHECKING:
    from integration.ingest.bench import Bench


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


async def test_a_canceled_ingest_leaves_the_source_alone(bench: Bench) -> None:
    lock = "select pg_advisory_lock(1)"
    await bench.source.execute(f"{lock}; create or replace function wait() returns int language sql as 'select 1'")
    with anyio.move_on_after(0) as scope:
        await bench.stage()

    assert scope.cancelled_caught
    busy = "select count(*) from pg_stat_activity where application_name = 'lakehouse ingest' and state <> 'idle'"
    assert await bench.source.fetchval(busy) == 0
