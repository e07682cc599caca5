"""Run changes for everyone who looks: one look at the database serves all viewers, and none is made without a viewer.

Progress rings no bell, so open runs are looked at once a second; a ring brings news within a quarter of a second.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from uuid import UUID

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from lakehouse_controlroom.doorbell import Doorbell, rest
from opscore.ports.people import Json, Runs

NEWEST = 100
BACKLOG = 500
SHORTEST_REST_S, LONGEST_REST_S = 0.25, 1.0
OPEN = ("queued", "held", "claimed", "running")


class Feed:
    """Tells subscribers of every run that changed, whole. One too slow to keep up is dropped and comes back."""

    def __init__(self, runs: Runs, environment: UUID, doorbell: Doorbell) -> None:
        self._runs = runs
        self._environment = environment
        self._doorbell = doorbell
        self._subscribers: set[MemoryObjectSendStream[Json]] = set()
        self._wanted = anyio.Event()
        self._begun = anyio.Event()
        self._pulse: dict[UUID, str] | None = None

    @contextmanager
    def subscribed(self) -> Generator[MemoryObjectReceiveStream[Json]]:
        """Changes from `begun` on. Whoever wants to know how things stand reads that after it."""
        send, receive = anyio.create_memory_object_stream[Json](BACKLOG)
        self._subscribers.add(send)
        self._wanted.set()
        try:
            yield receive
        finally:
            self._drop(send)
            receive.close()

    async def begun(self) -> None:
        """Wait until there was a look to tell changes from: what changes before it is told to nobody."""
        await self._begun.wait()

    async def look(self) -> None:
        """Look once and tell what changed since the last look; sleep first while nobody wants to know."""
        if not self._subscribers:
            self._pulse, self._wanted, self._begun = None, anyio.Event(), anyio.Event()
            await self._wanted.wait()
        bell = self._doorbell.next
        before = self._pulse
        still_open = [run_id for run_id, pulse in (before or {}).items() if pulse.startswith(OPEN)]
        self._pulse = await self._runs.pulse(self._environment, newest=NEWEST, known=still_open)
        self._begun.set()
        changed = [run_id for run_id, pulse in self._pulse.items() if before is None or before.get(run_id) != pulse]
        if before is not None and changed:
            for run in reversed(await self._runs.runs_by_id(changed)):
                self._tell(run)
        await rest(bell, SHORTEST_REST_S, LONGEST_REST_S)

    def close(self) -> None:
        """End every subscription."""
        self._begun.set()
        for subscriber in list(self._subscribers):
            self._drop(subscriber)

    def _tell(self, run: Json) -> None:
        for subscriber in list(self._subscribers):
            try:
                subscriber.send_nowait(run)
            except (anyio.WouldBlock, anyio.BrokenResourceError):
                self._drop(subscriber)

    def _drop(self, subscriber: MemoryObjectSendStream[Json]) -> None:
        self._subscribers.discard(subscriber)
        subscriber.close()
