"""One step along the event log: read, decide, record. Called over and over by the loop in `app.py`.

Any number of notifiers may step at once: alerts, notifications and the cursor move in one transaction, and only from
where the batch was read, so one of them records and the others find out that nothing changed.
"""

from __future__ import annotations

from dataclasses import dataclass

from lakehouse_notifier.decisions import Decisions, Matrix, decided
from opscore.observe.observation import AlertOpened, AlertResolved, EventsFollowed
from opscore.observe.observer import Observer
from opscore.ports.clock import Clock
from opscore.ports.event_log import Alerting, EventBatch
from opscore.ports.wakeups import Wakeups

CONSUMER = "notifier"
BATCH_EVENTS = 1_000


@dataclass(frozen=True, slots=True)
class Following:
    """What a step needs. sending: rung when there is something to send. link: address of the control room."""

    control: Alerting
    observer: Observer
    clock: Clock
    sending: Wakeups
    link: str | None = None

    async def step(self) -> bool:
        """Decide and record the next batch. False: there was none."""
        batch = await self.control.read_events(CONSUMER, BATCH_EVENTS)
        if batch is None:
            return False
        decisions = decided(batch, Matrix.from_rows(await self.control.alerting(), self.link))
        if await self.control.record_alerts(CONSUMER, batch, decisions.alerts, decisions.resolved):
            self._notice(batch, decisions)
        return True

    def _notice(self, batch: EventBatch, decisions: Decisions) -> None:
        lag = (self.clock.now() - batch.events[-1].event.at).total_seconds()
        self.observer.notice(EventsFollowed(CONSUMER, len(batch.events), max(lag, 0.0)))
        for alert in decisions.alerts:
            self.observer.notice(AlertOpened(alert["rule"], alert["severity"], alert["dedup_key"]))
        for alert in decisions.resolved:
            self.observer.notice(AlertResolved(alert["rule"], alert["dedup_key"]))
        if decisions.alerts:
            self.sending.ring()
