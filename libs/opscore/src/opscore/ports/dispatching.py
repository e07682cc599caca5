"""The control plane as the dispatcher sees it."""

from __future__ import annotations

from typing import Protocol
from uuid import UUID


class Dispatching(Protocol):
    """Time, leases and loss; one method per SQL function."""

    async def lease_runs(self, limit: int) -> list[tuple[UUID, UUID]]:
        """Lease due runs to executors with free slots: (run, executor) pairs."""
        ...

    async def release_runs(self, limit: int) -> int:
        """Return held runs to the queue where their caps have room; how many."""
        ...

    async def requeue_stale_runs(self, limit: int) -> list[tuple[UUID, str]]:
        """Take back runs whose lease ran out: (run, state it is in now)."""
        ...

    async def take_leadership(self, role: str, holder: UUID, ttl_ms: int) -> int | None:
        """Take or renew a role: its term while `holder` leads, None while another does."""
        ...

    async def release_leadership(self, role: str, holder: UUID) -> None:
        """Hand a role on at once."""
        ...

    async def next_due_in_ms(self) -> int:
        """Milliseconds until a run falls due, a lease ends or work may have come without a ring; at most an hour."""
        ...

    async def ensure_event_partitions(self) -> int:
        """Make event partitions ahead of need; how many were made."""
        ...
