"""The moments a schedule names next, by the very rules the dispatcher follows. Used by `schedule list` and `show`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from opscore.domain.ticks import Rhythm


def with_next(schedule: Mapping[str, Any]) -> dict[str, Any]:
    """A schedule with its next tick, though the dispatcher has not worked it out yet; none while it is paused."""
    ticks = coming(schedule, 1)
    return {**schedule, "next_tick_at": (schedule["next_tick_at"] or ticks[0]) if ticks else None}


def coming(schedule: Mapping[str, Any], count: int) -> list[str]:
    """The next ticks in UTC as ISO 8601, none while it is paused. schedule: as `SchedulesRpc.schedule` answers."""
    if schedule["paused_at"] is not None:
        return []
    rhythm = Rhythm(schedule["cron"], schedule["every_seconds"], schedule["timezone"])
    return [tick.isoformat() for tick in islice(rhythm.after(datetime.now(UTC)), count)]
