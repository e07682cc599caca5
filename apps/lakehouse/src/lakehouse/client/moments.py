"""The moments a schedule names next, by the very rules the dispatcher follows. Used by `schedule show`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from opscore.domain.ticks import Rhythm


def coming(schedule: Mapping[str, Any], count: int) -> list[str]:
    """The next ticks in UTC as ISO 8601, none while it is paused. schedule: as `SchedulesRpc.schedule` answers."""
    if schedule["paused_at"] is not None:
        return []
    rhythm = Rhythm(schedule["cron"], schedule["every_seconds"], schedule["timezone"])
    return [tick.isoformat() for tick in islice(rhythm.after(datetime.now(UTC)), count)]
