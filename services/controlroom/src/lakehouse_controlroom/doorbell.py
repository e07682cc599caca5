"""One bell of the database, heard by many: every stream waits here, and hears here that the service stops."""

from __future__ import annotations

import anyio

from opscore.ports.wakeups import Wakeups

LONGEST_SILENCE_S = 5.0


class Doorbell:
    """Take `next` before you look, then wait on it: a ring in between is not missed."""

    def __init__(self) -> None:
        self._next = anyio.Event()
        self._closed = False

    @property
    def closed(self) -> bool:
        """Whether the service stops: streams end."""
        return self._closed

    @property
    def next(self) -> anyio.Event:
        """Set at the next ring."""
        return self._next

    async def run(self, wakeups: Wakeups) -> None:
        """Pass rings on until cancelled."""
        while True:
            await wakeups.wait(LONGEST_SILENCE_S)
            self._ring()

    def close(self) -> None:
        """Wake everybody for the last time."""
        self._closed = True
        self._ring()

    def _ring(self) -> None:
        rung, self._next = self._next, anyio.Event()
        rung.set()


async def rest(bell: anyio.Event, shortest: float, longest: float) -> None:
    """Until the bell rings, but so many seconds at least and at most."""
    started = anyio.current_time()
    with anyio.move_on_after(longest):
        await bell.wait()
    await anyio.sleep(max(0.0, shortest - (anyio.current_time() - started)))
