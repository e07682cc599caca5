"""A run, its states and what may follow what. docs/run_lifecycle.md draws the same; a contract test compares them.

What is made once per run is a named tuple: a frozen dataclass of so many fields takes four times as long to make.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any, NamedTuple
from uuid import UUID

from opscore.domain.lease import Lease
from opscore.domain.phase import Phase


class RunState(StrEnum):
    """Where a run stands."""

    QUEUED = "queued"  # due now or later, nobody works on it
    HELD = "held"  # a cap has no room; `wait_reason` says which
    CLAIMED = "claimed"  # leased to an executor that has not started it
    RUNNING = "running"  # an executor works on it
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"


ENDED = frozenset({RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELED})
LEASED = frozenset({RunState.CLAIMED, RunState.RUNNING})

TRANSITIONS: dict[RunState, frozenset[RunState]] = {
    RunState.QUEUED: frozenset({RunState.CLAIMED, RunState.RUNNING, RunState.HELD, RunState.CANCELED}),
    RunState.HELD: frozenset({RunState.QUEUED, RunState.CLAIMED, RunState.RUNNING, RunState.CANCELED}),
    RunState.CLAIMED: frozenset({RunState.RUNNING, RunState.QUEUED, RunState.CANCELED, RunState.FAILED}),
    RunState.RUNNING: frozenset({RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELED, RunState.QUEUED}),
    RunState.SUCCEEDED: frozenset(),
    RunState.FAILED: frozenset({RunState.QUEUED}),  # retry by a person
    RunState.CANCELED: frozenset({RunState.QUEUED}),  # retry by a person
}


class WorkOrder(NamedTuple):
    """All an executor needs to carry one run on: what, with which parameters, from which phase, under which lease."""

    lease: Lease
    environment_id: UUID
    pipeline: str
    bundle: str  # digest of the bundle the run pins
    params: dict[str, Any]
    phases: tuple[Phase, ...]
    checkpoint: Mapping[str, Any] = MappingProxyType({})  # phase -> its result, of phases that are done
    failures: int = 0
    max_attempts: int = 3
    created_at: datetime | None = None
    leased_ms_ago: int = 0  # when the order was asked for, the lease was so old

    @property
    def remaining_phases(self) -> tuple[Phase, ...]:
        """Phases without a checkpoint, in order."""
        if not self.checkpoint:
            return self.phases
        return tuple(phase for phase in self.phases if phase.value not in self.checkpoint)


class Verdict(StrEnum):
    """What a beat's answer tells the leaseholder."""

    GO_ON = "go_on"
    CANCEL = "cancel"
    LEASE_LOST = "lease_lost"


class OutcomeKind(StrEnum):
    """How an attempt ended, as its executor saw it."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"
    INTERRUPTED = "interrupted"  # the executor was asked to stop; burns no attempt


class Outcome(NamedTuple):
    """The end of one attempt. retry_in_ms: wait before the next attempt, None when there is to be none.

    events_from: as in a beat; None when no event went before. usage: what the attempt used, by metered kind, as numbers
    or exact decimal text.
    """

    lease: Lease
    kind: OutcomeKind
    error: dict[str, Any] | None = None
    retry_in_ms: int | None = None
    clear_checkpoint: bool = False  # start over from the first phase (the published base moved)
    events: tuple[tuple[str, dict[str, Any]], ...] = ()
    manifest_sha256: str | None = None
    events_from: int | None = None
    usage: dict[str, Any] | None = None
