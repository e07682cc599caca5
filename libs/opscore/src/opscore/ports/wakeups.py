"""Hints that there may be work. Lossy and forgeable by assumption: every listener also scans."""

from __future__ import annotations

from typing import Protocol


class Wakeups(Protocol):
    """A doorbell with a bounded wait."""

    @property
    def healthy(self) -> bool:
        """Whether the last round trip through the channel came back in time; scan often while it did not."""
        ...

    async def wait(self, timeout: float) -> bool:  # noqa: ASYNC109 - the timeout is the scan interval
        """True when the bell rang, False after `timeout` seconds. Rings during work are kept, coalesced into one."""
        ...

    def ring(self) -> None:
        """Ring it from inside the process."""
        ...
