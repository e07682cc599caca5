"""Everything the house can notice about itself, as a closed list.

Code that sees something builds one of these and hands it to an `Observer`; what line and which number come of it is
decided in `log.py` and `metrics.py`, and a test proves that each kind has both. Durations are in seconds.
Nobody changes one. Those that every run makes (RunStarted, PhaseEnded, RunEnded) are not frozen: that triples a price.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias
from uuid import UUID

# --- services ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ServiceStarted:
    """A process is up. port: where health and metrics are served."""

    version: str
    port: int


@dataclass(frozen=True, slots=True)
class ServiceDraining:
    """A stop was asked for: no new work, running work goes on for a while."""

    cause: str


@dataclass(frozen=True, slots=True)
class ServiceHurried:
    """A second stop was asked for: running work is given back at once."""

    cause: str


@dataclass(frozen=True, slots=True)
class ServiceStopped:
    """A process ends. code: its exit code."""

    code: int


@dataclass(frozen=True, slots=True)
class ServiceCrashed:
    """A service's main ended by an error that nothing in it expects."""

    error: BaseException


@dataclass(frozen=True, slots=True)
class DatabaseUnavailable:
    """An infrastructure call failed and is tried again. tries: how many failed in a row."""

    doing: str
    reason: str
    tries: int
    retry_in: float


@dataclass(frozen=True, slots=True)
class DatabaseBack:
    """The call above succeeded after all."""

    doing: str
    after: float


@dataclass(frozen=True, slots=True)
class ListenerUnproven:
    """The doorbell's last round trip did not come back in time: scanning fast until it does."""


@dataclass(frozen=True, slots=True)
class ListenerProven:
    """The doorbell works (again)."""


@dataclass(frozen=True, slots=True)
class LeadershipTaken:
    """This process acts in a role from now on."""

    role: str
    term: int


@dataclass(frozen=True, slots=True)
class LeadershipLost:
    """This process stands by from now on."""

    role: str


# --- dispatcher ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RunsLeased:
    """Due runs were matched to executors."""

    count: int


@dataclass(frozen=True, slots=True)
class RunsReleased:
    """Held runs went back to the queue."""

    count: int


@dataclass(frozen=True, slots=True)
class RunRescued:
    """A run's lease ran out. state: where the run is now."""

    run_id: UUID
    state: str


@dataclass(frozen=True, slots=True)
class PartitionsMade:
    """Event partitions were made ahead of need."""

    count: int


@dataclass(frozen=True, slots=True)
class PartitionsDropped:
    """Event partitions past retention were dropped."""

    count: int


@dataclass(frozen=True, slots=True)
class RowsPruned:
    """Alerts and ledger rows that nothing reaches any more were deleted."""

    count: int


@dataclass(frozen=True, slots=True)
class EventsSealed:
    """Settled events were sealed. batch: the seal's number."""

    count: int
    batch: int


@dataclass(frozen=True, slots=True)
class ScheduleTicked:
    """A schedule started runs. count: more than one when missed ticks were caught up on."""

    pipeline: str
    name: str
    count: int


@dataclass(frozen=True, slots=True)
class ScheduleBlocked:
    """A schedule was paused because its moments cannot be computed."""

    pipeline: str
    name: str
    fault: str


@dataclass(frozen=True, slots=True)
class EventTriggersFired:
    """Events started runs."""

    count: int


@dataclass(frozen=True, slots=True)
class BackfillsAdvanced:
    """Partitions of backfills were started or settled."""

    count: int


# --- executor ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ArtifactsRemoved:
    """Files of artifacts past retention were deleted."""

    count: int


@dataclass(frozen=True, slots=True)
class ExecutorRegistered:
    """This process may be leased runs."""

    name: str
    executor_id: UUID
    slots: int


@dataclass(frozen=True, slots=True)
class WorkTaken:
    """Runs were handed to this executor. claimed: it helped itself because no dispatcher leased anything."""

    count: int
    claimed: bool = False


@dataclass(slots=True)
class RunStarted:
    """An executor works on a run. waited: since the run was created, None when unknown."""

    run_id: UUID
    pipeline: str
    attempt: int
    waited: float | None = None


@dataclass(slots=True)
class PhaseEnded:
    """A phase's handler returned (code None) or raised."""

    run_id: UUID
    pipeline: str
    phase: str
    seconds: float
    code: str | None = None


@dataclass(slots=True)
class RunEnded:
    """An attempt ended and the control plane took note. state: where the run is now."""

    run_id: UUID
    pipeline: str
    outcome: str
    state: str
    seconds: float


@dataclass(frozen=True, slots=True)
class LeaseDropped:
    """A run's work was thrown away. cause: `refused` by the control plane, `untrusted` without answered beats."""

    run_id: UUID
    cause: str


@dataclass(frozen=True, slots=True)
class WriteRefused:
    """A write of this process was refused because its lease was not current."""

    run_id: UUID
    write: str


@dataclass(frozen=True, slots=True)
class CancelHeard:
    """A beat's answer said that a run is to stop."""

    run_id: UUID


@dataclass(frozen=True, slots=True)
class RunInterrupted:
    """A run is given back because this process stops."""

    run_id: UUID


@dataclass(frozen=True, slots=True)
class WorkerLost:
    """A worker process ended before its work did."""

    run_id: UUID
    reason: str


@dataclass(frozen=True, slots=True)
class HandlerFaulted:
    """A phase's handler raised something nobody foresaw: a fault of ours."""

    run_id: UUID
    phase: str
    error: BaseException


@dataclass(frozen=True, slots=True)
class BeatAnswered:
    """One trip renewed the leases of so many runs."""

    runs: int
    seconds: float


# --- scorer and notifier --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class EventsFollowed:
    """A follower of the log recorded a batch. lag: age of the batch's newest event, in seconds."""

    consumer: str
    count: int
    lag: float


@dataclass(frozen=True, slots=True)
class ScoreRecorded:
    """A run has a score, in [0, 100]; None when no signal carries a weight."""

    run_id: UUID
    score: float | None


@dataclass(frozen=True, slots=True)
class AlertOpened:
    """An event became an alert, or was counted on an open one."""

    rule: str
    severity: str
    dedup_key: str


@dataclass(frozen=True, slots=True)
class AlertResolved:
    """An alert's cause is gone."""

    rule: str
    dedup_key: str


@dataclass(frozen=True, slots=True)
class NotificationSent:
    """A recipient took a notification. attempts: this one included."""

    channel: str
    attempts: int


@dataclass(frozen=True, slots=True)
class NotificationFailed:
    """A send failed. final: it is not tried again."""

    channel: str
    reason: str
    final: bool


Observation: TypeAlias = (
    ServiceStarted
    | ServiceDraining
    | ServiceHurried
    | ServiceStopped
    | ServiceCrashed
    | DatabaseUnavailable
    | DatabaseBack
    | ListenerUnproven
    | ListenerProven
    | LeadershipTaken
    | LeadershipLost
    | RunsLeased
    | RunsReleased
    | RunRescued
    | PartitionsMade
    | PartitionsDropped
    | RowsPruned
    | EventsSealed
    | ArtifactsRemoved
    | ScheduleTicked
    | ScheduleBlocked
    | EventTriggersFired
    | BackfillsAdvanced
    | ExecutorRegistered
    | WorkTaken
    | RunStarted
    | PhaseEnded
    | RunEnded
    | LeaseDropped
    | WriteRefused
    | CancelHeard
    | RunInterrupted
    | WorkerLost
    | HandlerFaulted
    | BeatAnswered
    | EventsFollowed
    | ScoreRecorded
    | AlertOpened
    | AlertResolved
    | NotificationSent
    | NotificationFailed
)
