"""A clock that stands still until a test moves it."""

from __future__ import annotations

import heapq
import itertools
from datetime import UTC, datetime, timedelta

import anyio

START = datetime(2026, 1, 24, 10, 0, tzinfo=UTC)
TURNS = 60  # of the event loop: enough for every task that can go on to come to rest


async def settle() -> None:
    """Let all tasks go on until they wait for something that only the test can give."""
    for _ in range(TURNS):
        await anyio.lowlevel.checkpoint()


class ManualClock:
    """Clock whose time moves by `advance` alone. Sleepers wake in the order of their moments."""

    def __init__(self, start: datetime = START) -> None:
        self._start = start
        self._elapsed = 0.0
        self._sleepers: list[tuple[float, int, anyio.Event]] = []
        self._numbers = itertools.count()

    def now(self) -> datetime:
        """See Clock."""
        return self._start + timedelta(seconds=self._elapsed)

    def monotonic(self) -> float:
        """See Clock."""
        return self._elapsed

    async def sleep(self, seconds: float) -> None:
        """See Clock."""
        if seconds <= 0:
            await anyio.lowlevel.checkpoint()
            return
        wake = anyio.Event()
        heapq.heappush(self._sleepers, (self._elapsed + seconds, next(self._numbers), wake))
        await wake.wait()

    def jump(self, seconds: float) -> None:
        """Move time without letting anything happen on the way: a process that was stopped sees this."""
        self._elapsed += seconds

    async def advance(self, seconds: float) -> None:
        """Move time moment by moment, waking who is due and letting each settle."""
        await settle()
        until = self._elapsed + seconds
        while self._sleepers and self._sleepers[0][0] <= until:
            moment, _, wake = heapq.heappop(self._sleepers)
            self._elapsed = max(self._elapsed, moment)
            wake.set()
            await settle()
        self._elapsed = max(self._elapsed, until)
        await settle()
