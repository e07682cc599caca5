"""Steps of the scorer along the log."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from lakehouse_scorer.follow import Following
from opscore.domain.event import Position, RunEvent
from opscore.domain.signal import Signal
from opscore.observe.observation import EventsFollowed, Observation, ScoreRecorded
from opscore.ports.event_log import EventBatch, FollowedEvent, RunFacts

NOW = datetime(2026, 3, 1, tzinfo=UTC)
RUN, OTHER = uuid.UUID(int=1), uuid.UUID(int=2)
ENVIRONMENT = uuid.UUID(int=3)
FACTS = RunFacts(
    run_id=RUN, environment_id=ENVIRONMENT, pipeline="p", comparable=True, state="failed", attempt=1, failures=1, losses=0,
    duration_ms=5, rows_added=0, cost=None, cost_unit=None, gap_ms=None, streak=1, checks_passed=0, checks_warned=0, checks_failed=0,
    tables_known=0, tables_changed=0, durations=[], volumes=[], costs=[], gaps=[],
)  # fmt: skip


class Moment:
    def now(self) -> datetime:
        return NOW

    def monotonic(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        raise AssertionError(f"nothing waits {seconds} s here")


class Seen(list[Observation]):
    def notice(self, observation: Observation) -> None:
        self.append(observation)


class Log:
    """One batch, and what was recorded for it."""

    def __init__(self, *events: tuple[uuid.UUID, str, dict[str, Any]], accepts: bool = True) -> None:
        at = NOW - timedelta(seconds=2)
        followed = [
            FollowedEvent(RunEvent(n, run, 1, kind, at, 1, data), ENVIRONMENT, "p")
            for n, (run, kind, data) in enumerate(events)
        ]
        self.batch = EventBatch(Position(0, 0), Position(9, 9), tuple(followed)) if followed else None
        self.accepts = accepts
        self.asked: list[uuid.UUID] = []
        self.recorded: list[list[tuple[uuid.UUID, Signal]]] = []

    async def read_events(self, consumer: str, limit: int) -> EventBatch | None:
        assert (consumer, limit > 0) == ("scorer", True)
        return self.batch

    async def run_facts(self, runs: list[uuid.UUID]) -> list[RunFacts]:
        self.asked.extend(runs)
        return [replace(FACTS, run_id=run) for run in runs]

    async def record_signals(self, _consumer: str, batch: EventBatch, signals: list[tuple[uuid.UUID, Signal]]) -> bool:
        assert batch is self.batch
        self.recorded.append(signals)
        return self.accepts


def following(log: Log, seen: Seen) -> Following:
    return Following(log, seen, Moment())


async def test_each_run_that_ended_is_judged_once() -> None:
    log = Log((RUN, "RUN_FAILED", {}), (OTHER, "PHASE_STARTED", {}), (RUN, "RUN_FAILED", {}))

    assert await following(log, Seen()).step()

    assert log.asked == [RUN]
    assert [(run, signal.name) for run, signal in log.recorded[0]] == [
        (RUN, "outcome"),
        (RUN, "retries"),
        (RUN, "failure_streak"),
    ]


async def test_a_batch_in_which_no_run_ended_still_moves_the_cursor() -> None:
    log = Log((RUN, "PHASE_STARTED", {}))

    assert await following(log, Seen()).step()

    assert log.asked == []
    assert log.recorded == [[]]


async def test_an_empty_log_leads_to_no_write() -> None:
    log = Log()

    assert not await following(log, Seen()).step()

    assert log.recorded == []


async def test_a_scorer_that_was_overtaken_claims_nothing_and_reads_again() -> None:
    log, seen = Log((RUN, "RUN_SCORED", {"score": 12.5}), accepts=False), Seen()

    assert await following(log, seen).step()

    assert seen == []


async def test_scores_are_seen_when_they_come_back_as_events() -> None:
    log, seen = Log((RUN, "RUN_SCORED", {"score": 12.5})), Seen()

    await following(log, seen).step()

    assert seen == [EventsFollowed("scorer", 1, 2.0), ScoreRecorded(RUN, 12.5)]


async def test_a_missed_deadline_makes_the_result_stale_whatever_else_was_found() -> None:
    missed = {"deadline": "2026-03-01T06:00:00+00:00", "within_seconds": 3600, "pipeline": "p"}
    log = Log((OTHER, "DEADLINE_MISSED", missed))

    await following(log, Seen()).step()

    [(run, signal)] = log.recorded[0]
    assert (run, signal.name, signal.value) == (OTHER, "freshness", 0)
