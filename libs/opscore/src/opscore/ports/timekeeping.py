"""The control plane as the keeper of time sees it: schedules, triggers on events, backfills."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from opscore.domain.ticks import CatchUpRule, Rhythm


@dataclass(frozen=True, slots=True)
class TimeDue:
    """What asks for attention now. next_in_ms: until the next tick; at most an hour."""

    schedules: bool
    events: bool
    backfills: bool
    next_in_ms: int


@dataclass(frozen=True, slots=True)
class OwedSchedule:
    """A schedule or deadline whose ticks in (ticked_until, now] are owed. version: what it is computed from.

    now: the database's clock.
    """

    id: UUID
    pipeline: str
    name: str
    rhythm: Rhythm
    rule: CatchUpRule
    ticked_until: datetime
    version: int
    now: datetime


class Timekeeping(Protocol):
    """One method per SQL function; each is safe when two dispatchers call it at once."""

    async def time_due(self) -> TimeDue:
        """What there is to do now, and when to look again at the latest."""
        ...

    async def due_schedules(self, limit: int) -> list[OwedSchedule]:
        """Schedules with a tick that is owed, or whose next tick is not known."""
        ...

    async def fire_ticks(
        self, schedule: OwedSchedule, ticks: Sequence[datetime], until: datetime, following: datetime | None
    ) -> int | None:
        """Deal with all ticks up to `until`; how many runs started, None when the schedule changed meanwhile.

        following: the first tick behind `until`, None for never.
        """
        ...

    async def block_schedule(self, schedule: OwedSchedule, fault: str) -> None:
        """Pause a schedule that cannot be computed, unless it changed meanwhile."""
        ...

    async def fire_event_triggers(self, limit: int) -> tuple[int, int]:
        """Follow the event log for triggers: events read, runs started."""
        ...

    async def advance_backfills(self, limit: int) -> int:
        """Settle and start partitions; how many moved."""
        ...
