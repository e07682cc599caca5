"""A doorbell that only tests and the code under test ring."""

from __future__ import annotations

import anyio

from opscore.ports.clock import Clock


class ManualWakeups:
    """Wakeups whose waits end by `ring` or by the given clock. waits: timeouts asked for, oldest first."""

    def __init__(self, clock: Clock, *, healthy: bool = True) -> None:
        self.healthy = healthy
        self.waits: list[float] = []
        self._clock = clock
        self._bell = anyio.Event()

    def ring(self) -> None:
        """See Wakeups."""
        self._bell.set()

    async def wait(self, timeout: float) -> bool:  # noqa: ASYNC109 - the port's signature
        """See Wakeups."""
        self.waits.append(timeout)
        async with anyio.create_task_group() as group:

            async def end_at_ring() -> None:
                await self._bell.wait()
                group.cancel_scope.cancel()

            group.start_soon(end_at_ring)
            await self._clock.sleep(timeout)
            group.cancel_scope.cancel()
        rang = self._bell.is_set()
        if rang:
            self._bell = anyio.Event()
        return rang
