"""An executor that slept through the end of its lease wakes up, publishes, and is refused."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from support.house import House

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(600)]


async def zombie_publishes(house: House) -> tuple[str, list[str]]:
    """Stall an executor before its publish, let another finish the run, wake the first: its answer, and what was refused."""
    mark, answer = house.folder / "mark", house.folder / "answer"
    house.start("dispatcher")
    stalled = {"STALL_MARK": str(mark), "STALL_ANSWER": str(answer)}
    house.start("executor", name="zombie", module="support.stalling_executor", **stalled)
    run_id = await house.enqueue("odoo_ingest_bronze")
    await house.until(exists(mark), bool, within=200, waiting_for="the stall")

    house.start("executor", name="winner")
    run = await house.ended(run_id)
    assert run["state"] == "succeeded"
    assert run["attempt"] > 1
    house.thaw("zombie")
    await house.until(exists(answer), bool, waiting_for="the zombie's answer")

    refused = [event["data"]["write"] for event in await house.events(run_id, "WRITE_REFUSED")]
    return answer.read_text(), refused


def exists(path: Path):
    async def look() -> bool:
        return await asyncio.to_thread(path.exists) and bool(path.read_text())

    return look


async def test_a_stopped_executor_cannot_publish_after_its_lease_was_taken(house: House) -> None:
    answer, refused = await zombie_publishes(house)

    assert answer == "LeaseLost"
    assert "publish" in refused


async def test_the_test_above_fails_when_the_token_check_is_removed(house: House) -> None:
    body = await house.db.fetchval("select pg_get_functiondef('ops.publish_run'::regproc)")
    assert body.count("and r.lease_token = p_token for update") == 1
    await house.db.execute(body.replace("and r.lease_token = p_token for update", "for update"))

    answer, refused = await zombie_publishes(house)

    assert answer == "True"
    assert refused == []
