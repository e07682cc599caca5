"""The rows of the control plane in memory. Used by `memory.py`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from opscore.domain.lease import Lease
from opscore.domain.phase import Phase
from opscore.domain.run import RunState


@dataclass(slots=True)
class ExecutorRow:
    """An executor. seen_at: seconds on the clock."""

    id: UUID
    name: str
    capabilities: frozenset[str]
    slots: int
    seen_at: float
    draining: bool = False
    signed_off: bool = False
    session: UUID | None = None


@dataclass(slots=True)
class RunRow:
    """A run, columns named as in `ops.runs`; moments in seconds on the clock."""

    id: UUID
    environment_id: UUID
    pipeline: str
    bundle: str
    phases: tuple[Phase, ...]
    due_at: float
    params: dict[str, Any] = field(default_factory=dict[str, Any])
    requires: frozenset[str] = frozenset()
    priority: int = 0
    max_attempts: int = 3
    max_losses: int = 10
    state: RunState = RunState.QUEUED
    phase: Phase | None = None
    attempt: int = 0
    failures: int = 0
    losses: int = 0
    interruptions: int = 0
    executor_id: UUID | None = None
    lease: Lease | None = None
    session: UUID | None = None
    lease_ends_at: float = 0.0
    cancel_requested: bool = False
    cancel: str | None = None
    quarantined: bool = False
    published: bool = False
    error: dict[str, Any] | None = None
    progress: dict[str, Any] | None = None
    checkpoint: dict[str, Any] = field(default_factory=dict[str, Any])
    manifest_sha256: str | None = None
    events_taken: int = 0
    ended_token: UUID | None = None
    usage: dict[str, Any] | None = None

    @property
    def next_phase(self) -> Phase:
        """The first phase without a checkpoint; the last one when all have theirs."""
        return next((phase for phase in self.phases if phase.value not in self.checkpoint), self.phases[-1])

    def drop_lease(self) -> None:
        """Nobody works on it any more."""
        self.lease = self.session = None
        self.events_taken = 0
