"""From the end of a run to its score: real Postgres as the scorer's own role."""

from __future__ import annotations

import uuid
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from datetime import timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

import pytest

from lakehouse.embedded.throwaway import ThrowawayPostgres
from lakehouse_scorer.app import main
from lakehouse_scorer.settings import ScorerSettings
from opscore.observe.observation import EventsFollowed, ScoreRecorded
from opscore.runtime.service import Service
from support.plane import Plane
from support.seen import Seen, serving


class Scorers:
    """Starts scorers on a control plane, logged in as their own role."""

    def __init__(self, postgres: ThrowawayPostgres, plane: Plane) -> None:
        self.plane = plane
        dsn = postgres.dsn(urlsplit(plane.dsn).path.removeprefix("/"), role="lakehouse_scorer")
        self._settings = ScorerSettings.load(database_url=dsn)

    def running(self, seen: Seen) -> AbstractAsyncContextManager[Service]:
        return serving("scorer", lambda service: main(service, self._settings), seen)

    async def run(
        self,
        outcome: str = "succeeded",
        *,
        pipeline: str = "query",
        results: tuple[str, ...] = (),
        took: timedelta = timedelta(seconds=1),
    ) -> uuid.UUID:
        """One run with check results, so long, to its end."""
        work = await self.plane.work(pipeline)
        checks = [
            {"name": f"c{n}", "dataset": "gold.x", "action": "fail", "result": result, "sample_keys": []}
            for n, result in enumerate(results)
        ]
        await self.plane.db.fetch("select ops.record_checks($1, $2, $3)", work.run_id, work.token, checks)
        await self.plane.pass_time(took)
        await self.plane.finish(work, outcome, error={"code": "GATE_BLOCKED", "message": "blocked"})
        return work.run_id

    async def score(self, run: uuid.UUID) -> Decimal:
        return await self.plane.db.fetchval("select score from ops.run_scores where run_id = $1", run)

    async def signals(self, run: uuid.UUID) -> dict[str, Decimal]:
        rows: list[Any] = await self.plane.db.fetch("select name, value from ops.signals where run_id = $1", run)
        return {row["name"]: row["value"] for row in rows}


@pytest.fixture
def scorers(postgres: ThrowawayPostgres, plane: Plane) -> Scorers:
    return Scorers(postgres, plane)


async def test_a_blocked_gate_scores_clearly_lower_than_a_good_run(scorers: Scorers) -> None:
    seen = Seen()
    async with scorers.running(seen):
        good = await scorers.run(results=("pass", "pass", "pass", "pass"))
        blocked = await scorers.run("failed", results=("pass", "pass", "pass", "fail"))
        await seen.until(ScoreRecorded, 2)

    assert await scorers.score(good) == Decimal("100.00")
    assert await scorers.score(blocked) == Decimal("34.38")  # (40 * 0 + 30 * 0.75 + 10 * 0.5) / 80
    assert await scorers.signals(blocked) == {
        "outcome": Decimal(0),
        "quality": Decimal("0.75"),
        "retries": Decimal("0.5"),
    }


async def test_every_run_is_scored_once_with_two_scorers_running(scorers: Scorers) -> None:
    seen = Seen()
    async with AsyncExitStack() as both:
        for _ in range(2):
            await both.enter_async_context(scorers.running(seen))

        runs = [await scorers.run() for _ in range(10)]

        await seen.until(ScoreRecorded, 10)

    assert sorted(each.run_id for each in seen.of(ScoreRecorded)) == sorted(runs)
    for run in runs:
        assert (await scorers.plane.events(run)).count("RUN_SCORED") == 1


async def test_a_run_that_takes_longer_than_usual_is_marked_down_once_something_is_usual(scorers: Scorers) -> None:
    seen = Seen()
    async with scorers.running(seen):
        await scorers.plane.pipeline("books")
        usual = [await scorers.run(pipeline="books", took=timedelta(minutes=1)) for _ in range(5)]
        slow = await scorers.run(pipeline="books", took=timedelta(minutes=10))
        await seen.until(ScoreRecorded, 6)

    assert "duration" not in await scorers.signals(usual[4])
    assert (await scorers.signals(slow))["duration"] == 0
    assert await scorers.score(slow) == Decimal("85.71")  # (40 + 10 + 10 + 0 * 10) / 70


async def test_a_scorer_that_starts_late_finds_what_ended_before(scorers: Scorers) -> None:
    run = await scorers.run()
    seen = Seen()

    async with scorers.running(seen):
        await seen.until(ScoreRecorded)

    assert await scorers.score(run) == Decimal("100.00")


async def test_events_without_an_end_move_the_cursor(scorers: Scorers) -> None:
    await scorers.plane.enqueue()
    seen = Seen()

    async with scorers.running(seen):
        await seen.until(EventsFollowed)

    assert await scorers.plane.db.fetch("select * from ops.read_events('scorer', 10)") == []


async def test_a_run_that_was_retried_before_its_failure_was_read_is_judged_by_its_end(scorers: Scorers) -> None:
    run = await scorers.run("failed")
    await scorers.plane.db.fetch("select ops.retry_run($1, 'ann')", run)
    seen = Seen()

    async with scorers.running(seen):
        await seen.until(EventsFollowed)
        assert await scorers.signals(run) == {}
        (work,) = await scorers.plane.claim(await scorers.plane.executor())
        await scorers.plane.finish(work)
        await seen.until(ScoreRecorded)

    assert (await scorers.signals(run))["outcome"] == 1
