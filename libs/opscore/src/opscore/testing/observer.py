"""An observer that remembers, so that tests can ask what was noticed, or wait for it."""

from __future__ import annotations

from typing import TypeVar

import anyio

from opscore.observe.observation import Observation

Kind = TypeVar("Kind")


class RecordingObserver:
    """Observer over a list."""

    def __init__(self) -> None:
        self.seen: list[Observation] = []
        self._more = anyio.Event()

    def notice(self, observation: Observation) -> None:
        """See Observer."""
        self.seen.append(observation)
        self._more.set()
        self._more = anyio.Event()

    def of(self, kind: type[Kind]) -> list[Kind]:
        """All observations of one kind, oldest first."""
        return [observation for observation in self.seen if isinstance(observation, kind)]

    async def wait_for(self, kind: type[Kind], count: int = 1) -> list[Kind]:
        """Wait until so many of a kind were noticed. Raises TimeoutError after 10 s."""
        with anyio.fail_after(10):
            while len(self.of(kind)) < count:
                await self._more.wait()
        return self.of(kind)
