"""How a process is told to stop: drain first, then hurry. Both may be said again without harm.

Set by the supervisor's signal handling; awaited by every loop.
"""

from __future__ import annotations

import anyio

from opscore.ports.clock import Clock


class Stopping:
    """Two one-way switches. draining: take no new work. hurrying: give running work back at once."""

    def __init__(self) -> None:
        self._drain = anyio.Event()
        self._hurry = anyio.Event()

    @property
    def draining(self) -> bool:
        """Whether a stop was asked for."""
        return self._drain.is_set()

    @property
    def hurrying(self) -> bool:
        """Whether a stop was asked for twice."""
        return self._hurry.is_set()

    def drain(self) -> None:
        """Ask for a stop."""
        self._drain.set()

    def hurry(self) -> None:
        """Ask for a stop that does not wait for running work."""
        self._drain.set()
        self._hurry.set()

    async def asked(self) -> None:
        """Wait until a stop is asked for."""
        await self._drain.wait()

    async def hurried(self) -> None:
        """Wait until a stop is asked for twice."""
        await self._hurry.wait()

    async def pause(self, seconds: float, clock: Clock) -> None:
        """Sleep, but no longer than until a stop is asked for."""
        await sleep_unless(self._drain, seconds, clock)


async def sleep_unless(event: anyio.Event, seconds: float, clock: Clock) -> bool:
    """Sleep on the clock until `event` is set; whether it is."""
    if event.is_set() or seconds <= 0:
        return event.is_set()
    async with anyio.create_task_group() as group:

        async def end_early() -> None:
            await event.wait()
            group.cancel_scope.cancel()

        group.start_soon(end_early)
        await clock.sleep(seconds)
        group.cancel_scope.cancel()
    return event.is_set()
