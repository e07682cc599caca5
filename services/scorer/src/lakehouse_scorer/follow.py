"""One step along the event log: read, judge what ended, record. Called over and over by the loop in `app.py`.

Any number of scorers may step at once: signals, scores and the cursor move in one transaction, and only from where
the batch was read, so one of them records and the others find out that nothing changed. A scorer killed anywhere
leaves the batch to the next read.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from lakehouse_scorer.rules import judged
from opscore.domain.event import EventType
from opscore.domain.signal import Signal, by_deadline
from opscore.observe.observation import EventsFollowed, ScoreRecorded
from opscore.observe.observer import Observer
from opscore.ports.clock import Clock
from opscore.ports.event_log import EventBatch, Scoring

CONSUMER = "scorer"
BATCH_EVENTS = 500
FRESHNESS = "freshness"
DEADLINE_MISSED = EventType.DEADLINE_MISSED
ENDS = frozenset({EventType.RUN_SUCCEEDED, EventType.RUN_FAILED, EventType.RUN_CANCELED})


@dataclass(frozen=True, slots=True)
class Following:
    """What a step needs."""

    control: Scoring
    observer: Observer
    clock: Clock

    async def step(self) -> bool:
        """Judge and record the next batch. False: there was none."""
        batch = await self.control.read_events(CONSUMER, BATCH_EVENTS)
        if batch is None:
            return False
        ended = ended_runs(batch)
        facts = await self.control.run_facts(ended) if ended else []
        signals = {(each.run_id, signal.name): signal for each in facts for signal in judged(each)} | missed(batch)
        found = [(run_id, signal) for (run_id, _), signal in signals.items()]
        if await self.control.record_signals(CONSUMER, batch, found):
            self._notice(batch)
        return True

    def _notice(self, batch: EventBatch) -> None:
        """Scores come back as RUN_SCORED events, a batch later; each passes here once, whoever computed it."""
        lag = (self.clock.now() - batch.events[-1].event.at).total_seconds()
        self.observer.notice(EventsFollowed(CONSUMER, len(batch.events), max(lag, 0.0)))
        for each in batch.events:
            if each.event.type == EventType.RUN_SCORED:
                self.observer.notice(ScoreRecorded(each.event.run_id, each.event.data.get("score")))


def ended_runs(batch: EventBatch) -> list[UUID]:
    """Runs whose end is in the batch, each once, in order."""
    return list(dict.fromkeys(each.event.run_id for each in batch.events if each.event.type in ENDS))


def missed(batch: EventBatch) -> dict[tuple[UUID, str], Signal]:
    """Deadlines that passed without a success make their run's result stale, whatever the run itself was like."""
    return {
        (each.event.run_id, FRESHNESS): Signal(
            FRESHNESS, *by_deadline(each.event.data["deadline"], each.event.data["within_seconds"])
        )
        for each in batch.events
        if each.event.type == DEADLINE_MISSED
    }
