"""A service without a process around it, whose observations a test can wait for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from opscore.observe.observation import Observation
from opscore.runtime.clock import SystemClock
from opscore.runtime.health import Health
from opscore.runtime.service import Service
from opscore.runtime.stopping import Stopping

Kind = TypeVar("Kind")


class Seen:
    """An observer that remembers."""

    def __init__(self) -> None:
        self.observations: list[Observation] = []
        self._news = asyncio.Event()

    def notice(self, observation: Observation) -> None:
        self.observations.append(observation)
        self._news.set()

    def of(self, kind: type[Kind]) -> list[Kind]:
        return [each for each in self.observations if isinstance(each, kind)]

    async def until(self, kind: type[Kind], count: int = 1) -> list[Kind]:
        """Wait until so many of a kind were noticed."""
        async with asyncio.timeout(60):
            while len(self.of(kind)) < count:
                self._news.clear()
                await self._news.wait()
        return self.of(kind)


@asynccontextmanager
async def serving(name: str, main: Callable[[Service], Awaitable[None]], seen: Seen) -> AsyncIterator[Service]:
    """Run a service's main for the length of the block, then ask it to stop and wait for its end."""
    service = Service(name, "0", seen, SystemClock(), Health(), Stopping())
    async with asyncio.TaskGroup() as group:

        async def run() -> None:
            await main(service)

        group.create_task(run())
        yield service
        service.stopping.drain()
