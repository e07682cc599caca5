"""A doorbell inside the process: the loop that follows the log rings it for the loop that sends."""

from __future__ import annotations

import anyio


class Bell:
    """Wakeups without a wire: it cannot be lost, so it is always healthy."""

    def __init__(self) -> None:
        self._rung = anyio.Event()

    @property
    def healthy(self) -> bool:
        """See Wakeups."""
        return True

    def ring(self) -> None:
        """See Wakeups."""
        self._rung.set()

    async def wait(self, timeout: float) -> bool:  # noqa: ASYNC109 - the timeout is the scan interval
        """See Wakeups."""
        with anyio.move_on_after(timeout):
            await self._rung.wait()
        rang = self._rung.is_set()
        if rang:
            self._rung = anyio.Event()
        return rang
