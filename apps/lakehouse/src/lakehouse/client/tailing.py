"""The event log read forward, each event once: of everything, or of one run. Used by `event tail` and `run show`."""

from __future__ import annotations

from typing import Protocol
from uuid import UUID

from opscore.ports.people import Json
from opscore.ports.people import Runs as RunReads

BATCH = 1000
ENDS = frozenset({"RUN_SUCCEEDED", "RUN_FAILED", "RUN_CANCELED"})


class Tail(Protocol):
    """Where a reader stands. over: nothing more is expected."""

    @property
    def over(self) -> bool:
        """Whether the last event was an end."""
        ...

    async def more(self) -> list[Json]:
        """What came since; empty when nothing did."""
        ...


class TailOfAll:
    """Everything, from the newest `past` events on. Never over."""

    over = False

    def __init__(self, runs: RunReads, past: int) -> None:
        self._runs = runs
        self._past = past
        self._position: str | None = None

    async def more(self) -> list[Json]:
        """See Tail."""
        if self._position is None:
            rows, self._position = await self._runs.latest_events(limit=self._past)
        else:
            rows, self._position = await self._runs.events_after(self._position, limit=BATCH)
        return rows


class TailOfRun:
    """One run, from its first event on; over when the run has ended."""

    def __init__(self, runs: RunReads, run_id: UUID) -> None:
        self._runs = runs
        self._run_id = run_id
        self._last = 0
        self._ended = False

    @property
    def over(self) -> bool:
        """See Tail."""
        return self._ended

    async def more(self) -> list[Json]:
        """See Tail. A retry makes an ended run open again."""
        rows = await self._runs.run_events(self._run_id, after=self._last, limit=BATCH)
        for row in rows:
            self._last = row["run_seq"]
            self._ended = row["type"] in ENDS or (self._ended and row["type"] == "RUN_SCORED")
        return rows


async def everything(log: Tail) -> list[Json]:
    """All there is now."""
    rows: list[Json] = []
    while more := await log.more():
        rows += more
    return rows
