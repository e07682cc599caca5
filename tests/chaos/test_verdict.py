"""The storm's judge finds every kind of loss and of double effect, planted one at a time after a sound storm of one run."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import asyncpg
import pytest

from opscore.db.pool import set_codecs
from support.plane import Plane, Work, staged
from support.verdict import judge

PIPELINE = "judged"

# What goes wrong in the database (of run $1), and a piece of the judge's words.
HARMS = {
    "a run is gone": ("delete from ops.runs where id = $1", "was accepted and is gone"),
    "a run did not end": ("update ops.runs set state = 'queued', finished_at = null where id = $1", "half-done"),
    "a run failed": (
        """update ops.runs set state = 'failed', error = '{"code": "internal"}' where id = $1""",
        "half-done",
    ),
    "an event is gone": ("delete from ops.run_events where run_id = $1 and run_seq = 1", "half-done"),
    "a run ended twice": (
        """insert into ops.run_events (run_id, run_seq, type, attempt, data, at)
           select run_id, run_seq + 1, type, attempt, data, at from ops.run_events
            where run_id = $1 and type = 'RUN_SUCCEEDED'""",
        "half-done",
    ),
    "a publish is not visible": (
        "delete from iceberg.iceberg_tables where table_name = 'run_' || replace($1::uuid::text, '-', '')",
        "half-done",
    ),
    "another table is visible": (
        """update iceberg.iceberg_tables set metadata_location = metadata_location || '0'
            where table_name = 'run_' || replace($1::uuid::text, '-', '')""",
        "half-done",
    ),
    "a stale attempt published": (
        """with t as (update ops.run_tables set metadata_location = 'storm://x/7' where run_id = $1 returning name)
           update iceberg.iceberg_tables set metadata_location = 'storm://x/7'
             from t where table_namespace || '.' || table_name = t.name""",
        "held the lease",
    ),
}


@dataclass(frozen=True)
class Ended:
    """A run that ended well, and what an outside recorder heard of it."""

    plane: Plane
    work: Work
    heard: list[dict[str, Any]]

    async def harm(self, statement: str) -> None:
        """Past triggers and keys, as only a fault could."""
        async with self.plane.db.transaction():
            await self.plane.db.execute("set local session_replication_role = replica")
            done = await self.plane.db.execute(statement, self.work.run_id)
        assert done.split()[-1] == "1"

    async def verdict(self) -> str:
        return "\n".join(await judge(self.plane.dsn, PIPELINE, self.heard))


@pytest.fixture
async def ended(control_dsn: str) -> AsyncIterator[Ended]:
    connection = await asyncpg.connect(control_dsn)
    await set_codecs(connection)
    plane = Plane(connection, control_dsn)
    await plane.pipeline(PIPELINE)
    work = await plane.work(PIPELINE)
    address = f"storm://{work.run_id}/{work.attempt}"
    await plane.publish(work, [staged(f"gold.run_{work.run_id.hex}", address)])
    await plane.finish(work)
    facts = {"run": str(work.run_id), "attempt": work.attempt, "stalled": False}
    heard = [
        {"what": "enqueued", "run": str(work.run_id)},
        {"what": "started", "run": str(work.run_id), "attempt": work.attempt, "who": "one"},
        {"what": "published", "address": address, **facts},
        {"what": "ended", "state": "succeeded", **facts},
    ]
    yield Ended(plane, work, heard)
    await connection.close()


async def test_a_run_that_ended_once_is_sound(ended: Ended) -> None:
    assert await ended.verdict() == ""


@pytest.mark.parametrize(("statement", "words"), HARMS.values(), ids=HARMS.keys())
async def test_the_judge_finds_what_went_wrong_in_the_database(ended: Ended, statement: str, words: str) -> None:
    await ended.harm(statement)

    assert words in await ended.verdict()


async def test_the_judge_finds_a_run_that_nobody_asked_for(ended: Ended) -> None:
    ended.heard.pop(0)

    assert "was never asked for" in await ended.verdict()


@pytest.mark.parametrize("who", ["one", "two"])
async def test_the_judge_finds_an_attempt_that_was_given_out_twice(ended: Ended, who: str) -> None:
    ended.heard.append(ended.heard[1] | {"who": who})

    assert "was given out 2 times" in await ended.verdict()


@pytest.mark.parametrize(("what", "words"), [("published", "was told that it published"), ("ended", "were told so")])
async def test_the_judge_finds_an_attempt_that_was_told_what_another_did(ended: Ended, what: str, words: str) -> None:
    fact = next(fact for fact in ended.heard if fact["what"] == what)
    ended.heard.append(fact | {"attempt": ended.work.attempt - 1})

    assert words in await ended.verdict()
