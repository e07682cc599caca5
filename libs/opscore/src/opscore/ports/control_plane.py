"""The control plane as leaseholders see it: one method per SQL function, typed. Implemented by Postgres and by memory.

Every write of a leaseholder carries its lease and is refused when the token is stale.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol
from uuid import UUID

from opscore.domain.artifact import Artifact
from opscore.domain.bundle import Bundle
from opscore.domain.check import CheckOutcome
from opscore.domain.lease import Lease
from opscore.domain.phase import Phase
from opscore.domain.run import Outcome, Verdict, WorkOrder
from opscore.domain.table import StagedTable


@dataclass(frozen=True, slots=True)
class Beat:
    """What a leaseholder reports for one run: buffered events, progress, and the result of a phase that just ended.

    events_from: how many events of this lease came before these. A beat whose answer was lost is made again, and the
    control plane stores no event twice.
    """

    lease: Lease
    phase: Phase | None = None
    progress: dict[str, Any] | None = None
    checkpoint: dict[str, Any] | None = None  # {phase: result}, merged into what is stored
    events: tuple[tuple[str, dict[str, Any]], ...] = ()
    events_from: int = 0


class Accepted(NamedTuple):
    """Answer to one offered outcome; the same one offered again is answered again.

    accepted False: the lease was lost, nothing changed.
    """

    run_id: UUID
    accepted: bool
    state: str | None


class ControlPlane(Protocol):
    """What executors call."""

    async def register_executor(self, name: str, capabilities: Sequence[str], slots: int, version: str) -> UUID:
        """Make the executor known (again) and return its id; one id per name and environment."""
        ...

    async def take_work(self, executor_id: UUID, limit: int) -> list[WorkOrder]:
        """Start runs that were leased to this executor. Each is handed over exactly once."""
        ...

    async def claim_work(self, executor_id: UUID, limit: int) -> list[WorkOrder]:
        """Lease and start due runs for this executor without a dispatcher."""
        ...

    async def open_session(self, executor_id: UUID) -> UUID:
        """This process fetches from now on what is handed over to its executor, and no other process does."""
        ...

    async def handed_over(self, executor_id: UUID, session: UUID) -> list[WorkOrder]:
        """The started runs that were handed over to this session, those that it fetched before among them."""
        ...

    async def beat(self, executor_id: UUID, beats: Sequence[Beat], *, draining: bool = False) -> dict[UUID, Verdict]:
        """Renew leases, append events, store progress; the answer is the command channel, per run."""
        ...

    async def finish(self, outcomes: Sequence[Outcome]) -> list[Accepted]:
        """End attempts in a batch."""
        ...

    async def sign_off(self, executor_id: UUID, session: UUID | None = None) -> None:
        """The executor's process ends: it is gone at once, and what it had not begun goes back. session: its own."""
        ...

    async def bundle(self, digest: str) -> Bundle:
        """The bundle a run pins. Raises NotFound."""
        ...

    async def table_states(self, lease: Lease) -> dict[str, dict[str, Any]]:
        """What earlier published runs of this pipeline remembered per table (watermarks, input snapshots)."""
        ...

    async def register_artifacts(self, lease: Lease, artifacts: Sequence[Artifact]) -> None:
        """Record artifacts. Raises LeaseLost."""
        ...

    async def record_checks(self, lease: Lease, outcomes: Sequence[CheckOutcome]) -> None:
        """Record check results of this attempt. Raises LeaseLost."""
        ...

    async def publish(
        self, lease: Lease, tables: Sequence[StagedTable], states: Mapping[str, Mapping[str, Any]]
    ) -> bool:
        """Swap all table pointers, remember states and write the ledger in one transaction.

        True: visible now (or already, by an earlier attempt of this run). Raises LeaseLost (recorded as
        WRITE_REFUSED) and PublishConflict (a table moved since it was staged); both change nothing readers see.
        """
        ...
