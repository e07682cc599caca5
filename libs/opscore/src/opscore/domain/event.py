"""Facts about runs. Appended by the control plane, never changed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID


class EventType(StrEnum):
    """Every kind of fact the log can hold."""

    RUN_CREATED = "RUN_CREATED"
    RUN_HELD = "RUN_HELD"
    RUN_RELEASED = "RUN_RELEASED"
    RUN_REQUEUED = "RUN_REQUEUED"
    RUN_PUBLISHED = "RUN_PUBLISHED"
    RUN_SUCCEEDED = "RUN_SUCCEEDED"
    RUN_FAILED = "RUN_FAILED"
    RUN_CANCELED = "RUN_CANCELED"
    RUN_RETRIED = "RUN_RETRIED"
    RUN_ROLLED_BACK = "RUN_ROLLED_BACK"
    RUN_SCORED = "RUN_SCORED"
    CANCEL_REQUESTED = "CANCEL_REQUESTED"
    PHASE_CLAIMED = "PHASE_CLAIMED"
    PHASE_STARTED = "PHASE_STARTED"
    PHASE_PROGRESS = "PHASE_PROGRESS"
    PHASE_SUCCEEDED = "PHASE_SUCCEEDED"
    PHASE_FAILED = "PHASE_FAILED"
    CHECKS_RECORDED = "CHECKS_RECORDED"
    DEADLINE_MISSED = "DEADLINE_MISSED"  # no run of the pipeline succeeded in time; on its latest run
    TRIGGER_REFUSED = "TRIGGER_REFUSED"  # what a publish would have started met a full cap
    WRITE_REFUSED = "WRITE_REFUSED"  # a stale leaseholder tried to write


@dataclass(frozen=True, slots=True)
class RunEvent:
    """One line of the log. `seq` orders all events of the database, `run_seq` those of one run without a gap."""

    seq: int
    run_id: UUID
    run_seq: int
    type: str
    at: datetime
    attempt: int
    data: dict[str, Any]


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A follower's place in the log: transaction id first, so that a late commit is never behind it."""

    xid: int
    seq: int
