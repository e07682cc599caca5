"""Time as Python code sees it. Leases are decided by the database's clock, never by this one."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    """Wall time, monotonic time and waiting; tests move all three."""

    def now(self) -> datetime:
        """The present, UTC with zone."""
        ...

    def monotonic(self) -> float:
        """Seconds since some fixed moment."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait; cancellable."""
        ...
