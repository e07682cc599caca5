"""A check that fails keeps everything readers see as it was, says what it found, and tells one person once."""

from __future__ import annotations

import pytest

from support.house import House
from support.plane import ENVIRONMENT
from support.receiver import Receiver

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(600)]

IMPOSSIBLE = {
    "check": "accepted_values",
    "name": "states_we_dream_of",
    "dataset": "silver.account_move",
    "column": "state",
    "values": ["posted"],
    "action": "fail",
}


async def test_a_blocked_gate_changes_nothing_scores_lower_and_notifies_once(house: House) -> None:
    await house.apply()
    house.start_all()
    house.start("notifier", name="second notifier")
    good = await house.through()
    before = await house.db.fetch("select table_name, metadata_location from iceberg.iceberg_tables order by 1")
    with Receiver() as receiver:
        await house.db.fetchval(
            "select ops.set_route($1, 'hook', '{}'::jsonb, 'webhook', $2)", ENVIRONMENT, {"url": receiver.url}
        )
        await house.apply(["bronze_to_silver"], validations=[IMPOSSIBLE], description="a rule too strict")
        await touch_a_draft_move(house)
        await house.through("odoo_ingest_bronze")

        run = await house.ended(await house.enqueue("bronze_to_silver"))
        await house.until(lambda: notified(house), lambda states: states == ["delivered"], waiting_for="one delivery")
        scored = await house.until(
            lambda: house.run(run["id"]), lambda seen: seen["score"] is not None, waiting_for="the score"
        )

    (check,) = [check for check in run["checks"] if check["result"] == "fail"]
    after = await house.db.fetch("select table_name, metadata_location from iceberg.iceberg_tables order by 1")
    assert (run["state"], run["error"]["code"]) == ("failed", "GATE_BLOCKED")
    assert (check["name"], check["dataset"], check["column"]) == ("states_we_dream_of", "silver.account_move", "state")
    assert int(check["value"]) > 0
    assert 0 < len(check["sample_keys"]) <= 5
    assert silver_and_gold(after, before) == silver_and_gold(before, before)
    assert scored["score"] < (await house.run(good[1]["id"]))["score"]
    assert len(receiver.received) == 1
    headers, body = receiver.received[0]
    assert headers["webhook-id"]
    assert body["data"]["run_id"] == str(run["id"])


def silver_and_gold(rows: list, known: list) -> set[tuple[str, str]]:
    """Pointers that bronze's own publish in between did not move: silver and gold addresses."""
    names = {row["table_name"] for row in known}
    return {
        (row["table_name"], row["metadata_location"])
        for row in rows
        if row["table_name"] in names and "/bronze/" not in row["metadata_location"]
    }


async def touch_a_draft_move(house: House) -> None:
    import asyncpg

    connection = await asyncpg.connect(house.source_dsn)
    await connection.execute("update account_move set ref = 'touched' where state <> 'posted'")
    await connection.close()


async def notified(house: House) -> list[str]:
    rows = await house.db.fetch("select state from ops.notifications")
    return [row["state"] for row in rows]
