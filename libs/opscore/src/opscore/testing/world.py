"""What the conformance suite needs to know and do around a control plane: people, time, and a look inside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol
from uuid import UUID

from opscore.domain.event import RunEvent
from opscore.ports.control_plane import ControlPlane
from opscore.ports.dispatching import Dispatching
from opscore.testing.factories import add_run, make_bundle
from opscore.testing.memory import MemoryControlPlane


@dataclass(frozen=True, slots=True)
class SeenRun:
    """A run as people see it."""

    state: str
    phase: str | None
    attempt: int
    failures: int
    losses: int
    interruptions: int
    cancel: str | None
    quarantined: bool
    error: dict[str, Any] | None
    checkpoint: dict[str, Any]
    progress: dict[str, Any] | None
    manifest_sha256: str | None


@dataclass(frozen=True, slots=True)
class Ask:
    """A run to be enqueued."""

    phases: tuple[str, ...] = ("query",)
    requires: tuple[str, ...] = ()
    max_attempts: int = 3
    max_losses: int = 10
    priority: int = 0
    due_in: float = 0.0
    params: dict[str, Any] = field(default_factory=dict[str, Any])


PLAIN = Ask()


class World(Protocol):
    """A control plane with its surroundings."""

    control: ControlPlane
    dispatching: Dispatching

    async def enqueue(self, ask: Ask = ...) -> UUID:
        """Add a run of the pipeline `sample`."""
        ...

    async def cancel(self, run_id: UUID) -> None:
        """Ask for a run's end, as a person does."""
        ...

    async def pass_time(self, seconds: float) -> None:
        """Move the one clock."""
        ...

    async def run(self, run_id: UUID) -> SeenRun:
        """Look at a run."""
        ...

    async def events(self, run_id: UUID) -> Sequence[RunEvent]:
        """A run's events in order."""
        ...

    async def published(self) -> dict[str, str]:
        """Table -> metadata location that readers see."""
        ...

    async def artifacts(self, run_id: UUID) -> list[str]:
        """Names of a run's artifacts."""
        ...


class MemoryWorld:
    """World around a control plane in memory."""

    def __init__(self, control: MemoryControlPlane, clock: Any) -> None:
        self.control = control
        self.dispatching = control
        self._clock = clock

    async def enqueue(self, ask: Ask = Ask()) -> UUID:
        """See World."""
        return add_run(
            self.control,
            phases=ask.phases,
            due_in=ask.due_in,
            bundle=make_bundle(),
            requires=frozenset(ask.requires),
            max_attempts=ask.max_attempts,
            max_losses=ask.max_losses,
            priority=ask.priority,
            params=ask.params,
        ).id

    async def cancel(self, run_id: UUID) -> None:
        """See World."""
        self.control.cancel_run(run_id)

    async def pass_time(self, seconds: float) -> None:
        """See World."""
        self._clock.jump(seconds)

    async def run(self, run_id: UUID) -> SeenRun:
        """See World."""
        row = self.control.runs[run_id]
        return SeenRun(
            state=row.state.value,
            phase=row.phase and row.phase.value,
            attempt=row.attempt,
            failures=row.failures,
            losses=row.losses,
            interruptions=row.interruptions,
            cancel=row.cancel,
            quarantined=row.quarantined,
            error=row.error,
            checkpoint=row.checkpoint,
            progress=row.progress,
            manifest_sha256=row.manifest_sha256,
        )

    async def events(self, run_id: UUID) -> Sequence[RunEvent]:
        """See World."""
        return [event for event in self.control.events if event.run_id == run_id]

    async def published(self) -> dict[str, str]:
        """See World."""
        return {name: table.metadata_location for name, table in self.control.tables.items()}

    async def artifacts(self, run_id: UUID) -> list[str]:
        """See World."""
        return sorted(name for run, _, name in self.control.artifacts if run == run_id)
