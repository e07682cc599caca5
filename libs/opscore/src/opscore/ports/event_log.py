"""The event log as its followers see it: the scorer and the notifier."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Protocol
from uuid import UUID

from opscore.domain.event import Position, RunEvent
from opscore.domain.signal import Signal


@dataclass(frozen=True, slots=True)
class FollowedEvent:
    """An event with the scope and pipeline of its run."""

    event: RunEvent
    environment_id: UUID
    pipeline: str


@dataclass(frozen=True, slots=True)
class EventBatch:
    """Settled events behind a consumer's cursor. start: where the cursor stood; end: where it stands once recorded."""

    start: Position
    end: Position
    events: tuple[FollowedEvent, ...]


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What an ended run is judged by: its own numbers, and those of the like runs before it, newest first.

    Times in ms. comparable: False for built-in pipelines, whose runs have nothing in common. gap_ms: since the
    pipeline's last success. streak: failures in a row, this run included. tables_known: published tables that were
    published before. cost_unit: `cost` or `compute_seconds`, of cost and of costs.
    """

    run_id: UUID
    environment_id: UUID
    pipeline: str
    comparable: bool
    state: str
    attempt: int
    failures: int
    losses: int
    duration_ms: int | None
    rows_added: int
    cost: Decimal | None
    cost_unit: str | None
    gap_ms: int | None
    streak: int
    checks_passed: int
    checks_warned: int
    checks_failed: int
    tables_known: int
    tables_changed: int
    durations: Sequence[int]
    volumes: Sequence[int]
    costs: Sequence[Decimal]
    gaps: Sequence[int]


@dataclass(frozen=True, slots=True)
class TrainingRun:
    """A judged run and what followed it. signals: name -> value in [0, 1]."""

    run_id: UUID
    pipeline: str
    finished_at: datetime
    signals: Mapping[str, float]
    failed_next: bool
    rolled_back: bool
    incident: bool

    @property
    def trouble(self) -> bool:
        """Whether anything bad followed."""
        return self.failed_next or self.rolled_back or self.incident


@dataclass(frozen=True, slots=True)
class DueNotification:
    """A notification leased for sending. attempts counts this one."""

    id: UUID
    token: UUID
    channel: str
    target: dict[str, Any]
    body: dict[str, Any]
    attempts: int


@dataclass(frozen=True, slots=True)
class SendOutcome:
    """How a send ended: delivered, retry or failed."""

    id: UUID
    token: UUID
    outcome: str
    retry_in_ms: int | None = None
    error: dict[str, Any] | None = None


class EventLog(Protocol):
    """Reading does not advance the cursor; recording does, in one transaction with the follower's effects."""

    async def read_events(self, consumer: str, limit: int) -> EventBatch | None:
        """The next settled events, None when there are none."""
        ...


class Scoring(EventLog, Protocol):
    """The control plane as the scorer sees it."""

    async def run_facts(self, runs: Sequence[UUID]) -> list[RunFacts]:
        """Facts of ended runs; runs that have not ended are left out."""
        ...

    async def record_signals(self, consumer: str, batch: EventBatch, signals: Sequence[tuple[UUID, Signal]]) -> bool:
        """Store signals, compute scores, advance the cursor. False: another scorer was faster, nothing changed."""
        ...


class Learning(Protocol):
    """The control plane as whoever learns from history sees it."""

    async def training_runs(self, environment: UUID, since: timedelta) -> list[TrainingRun]:
        """Judged runs whose future is known, newest first."""
        ...

    async def weights_in_force(self, environment: UUID) -> tuple[int, dict[str, Decimal]]:
        """Version and weights."""
        ...

    async def take_learning_turns(self, every: timedelta, fewest: int) -> list[UUID]:
        """Environments with so many runs that nobody learned from for so long; they are the caller's now."""
        ...

    async def propose_weights(
        self, environment: UUID, base: int, weights: Mapping[str, str], evidence: Mapping[str, Any], *, by: str
    ) -> UUID:
        """Keep a proposal. base: the version it was measured against."""
        ...


class Alerting(EventLog, Protocol):
    """The control plane as the notifier sees it."""

    async def alerting(self) -> dict[str, Any]:
        """{"rules": [...], "routes": [...], "silences": [...]} in force, rows as the tables have them."""
        ...

    async def record_alerts(
        self, consumer: str, batch: EventBatch, alerts: Sequence[dict[str, Any]], resolved: Sequence[dict[str, Any]]
    ) -> bool:
        """Open, count and resolve alerts, write notifications, advance the cursor. False: another was faster.

        alerts: {ordinal, environment_id, rule, dedup_key, run_id, pipeline, severity, summary, details,
        notifications: [{route_id, channel, target, body}]}.
        resolved: {ordinal, resolve: true, environment_id, dedup_key}.
        """
        ...

    async def lease_notifications(self, limit: int, lease_ms: int) -> list[DueNotification]:
        """Due notifications, and those whose sender died."""
        ...

    async def settle_notifications(self, outcomes: Sequence[SendOutcome]) -> dict[UUID, bool]:
        """Record how sends ended; False for one that another sender has taken over."""
        ...
