"""Which moments a schedule names, as pure rules. Called by the dispatcher, and by whatever shows the next ones.

Cron fields mean wall-clock time in a zone. Where clocks change, a fixed time that is skipped ticks at the moment the
clocks jump to, a fixed time that comes twice ticks the first time, and wildcards in minute or hour tick by real time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import takewhile
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from opscore.domain.errors import InvalidInput

ON_TIME = timedelta(seconds=60)


class CatchUp(StrEnum):
    """What becomes of ticks that passed while no dispatcher lived."""

    NONE = "none"
    LATEST = "latest"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class Rhythm:
    """Moments without an end: cron fields in a zone, or every so many seconds counted from 1970-01-01 UTC."""

    cron: str | None
    every_seconds: int | None
    timezone: str = "UTC"

    def after(self, moment: datetime) -> Iterator[datetime]:
        """Ticks later than a moment, in order, in UTC. Raises InvalidInput for what names no moments."""
        ticks = self._crons(moment) if self.cron else self._intervals(moment)
        yield from (tick for tick in ticks if tick > moment)

    def _crons(self, moment: datetime) -> Iterator[datetime]:
        try:
            zone = UTC if self.timezone == "UTC" else ZoneInfo(self.timezone)
            ticks = CronSim(self.cron or "", moment.astimezone(zone))
        except (CronSimError, ZoneInfoNotFoundError, ValueError, OSError) as fault:
            raise InvalidInput(f"{self.cron!r} in {self.timezone} names no moments: {fault}.") from fault
        yield from (tick.astimezone(UTC) for tick in ticks)

    def _intervals(self, moment: datetime) -> Iterator[datetime]:
        length = self.every_seconds or 1
        tick = int(moment.timestamp()) // length * length
        while True:
            yield datetime.fromtimestamp(tick, UTC)
            tick += length


@dataclass(frozen=True, slots=True)
class CatchUpRule:
    """runs: the most that one look starts. window: ticks older than this are let go."""

    kind: CatchUp = CatchUp.LATEST
    runs: int = 24
    window: timedelta = timedelta(days=1)

    def chosen(self, rhythm: Rhythm, since: datetime, now: datetime) -> list[datetime]:
        """The ticks in (since, now] that are still acted on, oldest first."""
        window = min(ON_TIME, self.window) if self.kind is CatchUp.NONE else self.window
        runs = self.runs if self.kind is CatchUp.ALL else 1
        ticks = takewhile(lambda tick: tick <= now, rhythm.after(max(since, now - window)))
        return list(deque(ticks, maxlen=runs))


def next_tick(rhythm: Rhythm, moment: datetime) -> datetime | None:
    """The first tick behind a moment, None when there is none within fifty years."""
    return next(rhythm.after(moment), None)
