"""The time-bound right to advance a run."""

from __future__ import annotations

from typing import NamedTuple
from uuid import UUID


class Lease(NamedTuple):
    """Run, attempt and token, as the control plane gave them. The database's clock decides its end.

    ttl_ms: for how long the database grants it from each beat; executors trust it for less (`trusted_ms`).
    """

    run_id: UUID
    attempt: int
    token: UUID
    ttl_ms: int

    @property
    def trusted_ms(self) -> int:
        """How long after the last answered beat the holder may still act: two thirds of what the database grants."""
        return self.ttl_ms * 2 // 3

    @property
    def beat_every_ms(self) -> int:
        """Three beats fit into a lease, so that two may be lost."""
        return max(self.ttl_ms // 4, 50)
