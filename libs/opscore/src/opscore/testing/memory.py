"""The control plane without a database: the same rules as the SQL functions, on plain rows and a clock tests move.

Implements ControlPlane and Dispatching for tests of logic. `conformance.py` holds it to what Postgres does.
It knows no caps: nothing is ever held here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID, uuid4

from opscore.domain.artifact import Artifact
from opscore.domain.bundle import Bundle
from opscore.domain.check import CheckOutcome
from opscore.domain.errors import Canceled, LeaseLost, NotFound, PublishConflict
from opscore.domain.event import EventType, RunEvent
from opscore.domain.lease import Lease
from opscore.domain.run import ENDED, Outcome, OutcomeKind, RunState, Verdict, WorkOrder
from opscore.domain.table import StagedTable
from opscore.ports.clock import Clock
from opscore.ports.control_plane import Accepted, Beat
from opscore.testing.memory_run import ExecutorRow, RunRow

LEASE_MS, START_TIMEOUT_MS, EXECUTOR_TTL_MS = 30_000, 15_000, 30_000
HOUR_MS = 3_600_000
END_EVENTS = {
    RunState.SUCCEEDED: EventType.RUN_SUCCEEDED,
    RunState.FAILED: EventType.RUN_FAILED,
    RunState.CANCELED: EventType.RUN_CANCELED,
    RunState.QUEUED: EventType.RUN_REQUEUED,
}


class MemoryControlPlane:
    """ControlPlane and Dispatching in memory. before: called with each method's name; what it raises is the fault."""

    def __init__(self, clock: Clock, *, lease_ms: int = LEASE_MS) -> None:
        self.clock = clock
        self.lease_ms = lease_ms
        self.runs: dict[UUID, RunRow] = {}
        self.executors: dict[UUID, ExecutorRow] = {}
        self.events: list[RunEvent] = []
        self.bundles: dict[str, Bundle] = {}
        self.artifacts: dict[tuple[UUID, int, str], Artifact] = {}
        self.checks: dict[tuple[UUID, int], list[CheckOutcome]] = {}
        self.tables: dict[str, StagedTable] = {}
        self.states: dict[tuple[str, str], dict[str, Any]] = {}
        self.calls: list[str] = []
        self.before: Callable[[str], None] = lambda _: None
        self.rings: list[str] = []
        self._leaders: dict[str, tuple[UUID, int, float]] = {}

    # --- people ------------------------------------------------------------------------------------------------------

    def add(self, run: RunRow) -> UUID:
        """Enqueue a run."""
        self.runs[run.id] = run
        self._record(run, EventType.RUN_CREATED, pipeline=run.pipeline)
        return run.id

    def hand_over(self, run_id: UUID, executor_id: UUID) -> UUID:
        """What the transaction that adds a run does for an executor with an open session; returns the session."""
        run, executor = self.runs[run_id], self.executors[executor_id]
        assert executor.session is not None  # noqa: S101 - nothing is handed over without one
        self._lease(run, executor)
        self._start(run)
        run.session = executor.session
        return executor.session

    def cancel_run(self, run_id: UUID) -> None:
        """Ask for a run's end."""
        run = self.runs[run_id]
        if run.state in ENDED:
            return
        run.cancel_requested = True
        self._record(run, EventType.CANCEL_REQUESTED)
        if run.lease is None:
            run.state, run.cancel = RunState.CANCELED, "confirmed"
            self._record(run, EventType.RUN_CANCELED, cancel="confirmed")

    # --- executors ---------------------------------------------------------------------------------------------------

    async def register_executor(self, name: str, capabilities: Sequence[str], slots: int, version: str) -> UUID:  # noqa: ARG002
        """See ControlPlane."""
        self._called("register_executor")
        known = next((row.id for row in self.executors.values() if row.name == name), None)
        row = ExecutorRow(known or uuid4(), name, frozenset(capabilities), slots, self._now)
        self.executors[row.id] = row
        return row.id

    async def take_work(self, executor_id: UUID, limit: int) -> list[WorkOrder]:
        """See ControlPlane."""
        self._called("take_work")
        mine = [run for run in self._leased_to(executor_id) if run.state is RunState.CLAIMED]
        return [self._start(run) for run in mine[:limit]]

    async def claim_work(self, executor_id: UUID, limit: int) -> list[WorkOrder]:
        """See ControlPlane."""
        self._called("claim_work")
        self._lease_due(limit, [self.executors[executor_id]])
        return await self.take_work(executor_id, limit)

    async def open_session(self, executor_id: UUID) -> UUID:
        """See ControlPlane."""
        self._called("open_session")
        session = self.executors[executor_id].session = uuid4()
        return session

    async def handed_over(self, executor_id: UUID, session: UUID) -> list[WorkOrder]:
        """See ControlPlane."""
        self._called("handed_over")
        mine = [run for run in self._leased_to(executor_id) if run.session == session]
        return [
            self._order(run, run.lease)._replace(
                leased_ms_ago=max(round(self.lease_ms - (run.lease_ends_at - self._now) * 1000), 0)
            )
            for run in mine
            if run.lease and run.state is RunState.RUNNING
        ]

    async def beat(self, executor_id: UUID, beats: Sequence[Beat], *, draining: bool = False) -> dict[UUID, Verdict]:
        """See ControlPlane."""
        self._called("beat")
        if executor_id in self.executors:
            self.executors[executor_id].seen_at = self._now
            self.executors[executor_id].draining = draining
        return {beat.lease.run_id: self._take_in(beat) for beat in beats}

    async def finish(self, outcomes: Sequence[Outcome]) -> list[Accepted]:
        """See ControlPlane."""
        self._called("finish")
        return [self._end(outcome) for outcome in outcomes]

    async def sign_off(self, executor_id: UUID, session: UUID | None = None) -> None:
        """See ControlPlane."""
        self._called("sign_off")
        self.executors[executor_id].signed_off = True
        for run in self._leased_to(executor_id):
            if run.state is RunState.CLAIMED:
                self._rescue(run)
            elif run.lease and run.session is not None and run.session == session:
                self._end(Outcome(run.lease, OutcomeKind.INTERRUPTED))

    async def bundle(self, digest: str) -> Bundle:
        """See ControlPlane."""
        self._called("bundle")
        if digest not in self.bundles:
            raise NotFound(kind="bundle", name=digest, noun="pipeline")
        return self.bundles[digest]

    async def table_states(self, lease: Lease) -> dict[str, dict[str, Any]]:
        """See ControlPlane."""
        self._called("table_states")
        run = self._current(lease)
        if run is None:
            return {}
        return {name: state for (pipeline, name), state in self.states.items() if pipeline == run.pipeline}

    async def register_artifacts(self, lease: Lease, artifacts: Sequence[Artifact]) -> None:
        """See ControlPlane."""
        self._called("register_artifacts")
        run = self._fenced(lease, "register_artifacts")
        self.artifacts |= {(run.id, run.attempt, artifact.name): artifact for artifact in artifacts}

    async def record_checks(self, lease: Lease, outcomes: Sequence[CheckOutcome]) -> None:
        """See ControlPlane."""
        self._called("record_checks")
        run = self._fenced(lease, "record_checks")
        self.checks[run.id, run.attempt] = list(outcomes)

    async def publish(
        self, lease: Lease, tables: Sequence[StagedTable], states: Mapping[str, Mapping[str, Any]]
    ) -> bool:
        """See ControlPlane."""
        self._called("publish")
        run = self._fenced(lease, "publish")
        if run.published:
            return True
        if run.cancel_requested:
            raise Canceled(run_id=run.id)
        for table in tables:
            published = self.tables.get(table.name)
            if (published and published.metadata_location) != table.base_location:
                raise PublishConflict(table=table.name)
        self.tables |= {table.name: table for table in tables}
        self.states |= {(run.pipeline, name): dict(state) for name, state in states.items()}
        if tables:
            run.published = True
            self._record(run, EventType.RUN_PUBLISHED, tables=len(tables))
        return True

    # --- dispatcher --------------------------------------------------------------------------------------------------

    async def lease_runs(self, limit: int) -> list[tuple[UUID, UUID]]:
        """See Dispatching."""
        self._called("lease_runs")
        leased = self._lease_due(limit, self.executors.values())
        if leased:
            self.rings.append("lakehouse_executor")
        return leased

    async def release_runs(self, limit: int) -> int:  # noqa: ARG002 - nothing is held here
        """See Dispatching."""
        self._called("release_runs")
        return 0

    async def requeue_stale_runs(self, limit: int) -> list[tuple[UUID, str]]:
        """See Dispatching."""
        self._called("requeue_stale_runs")
        stale = [run for run in self.runs.values() if run.lease and run.lease_ends_at < self._now]
        return [self._rescue(run) for run in stale[:limit]]

    async def take_leadership(self, role: str, holder: UUID, ttl_ms: int) -> int | None:
        """See Dispatching."""
        self._called("take_leadership")
        leader, term, ends_at = self._leaders.get(role, (holder, 1, 0.0))
        if leader != holder:
            if ends_at >= self._now:
                return None
            term += 1
        self._leaders[role] = (holder, term, self._now + ttl_ms / 1000)
        return term

    async def release_leadership(self, role: str, holder: UUID) -> None:
        """See Dispatching."""
        self._called("release_leadership")
        if self._leaders.get(role, (None,))[0] == holder:
            del self._leaders[role]

    async def next_due_in_ms(self) -> int:
        """See Dispatching."""
        self._called("next_due_in_ms")
        queued = [run.due_at for run in self.runs.values() if run.state is RunState.QUEUED and run.due_at > self._now]
        leased = [run.lease_ends_at for run in self.runs.values() if run.lease]
        return int(min([(moment - self._now) * 1000 for moment in (*queued, *leased)], default=HOUR_MS))

    async def ensure_event_partitions(self) -> int:
        """See Dispatching."""
        self._called("ensure_event_partitions")
        return 0

    # --- rules -------------------------------------------------------------------------------------------------------

    @property
    def _now(self) -> float:
        return self.clock.monotonic()

    def _called(self, name: str) -> None:
        self.calls.append(name)
        self.before(name)

    def _record(self, run: RunRow, kind: str, **data: Any) -> None:
        run_seq = 1 + sum(event.run_id == run.id for event in self.events)
        self.events.append(RunEvent(len(self.events) + 1, run.id, run_seq, kind, self.clock.now(), run.attempt, data))

    def _leased_to(self, executor_id: UUID) -> list[RunRow]:
        return [run for run in self.runs.values() if run.lease and run.executor_id == executor_id]

    def _current(self, lease: Lease) -> RunRow | None:
        run = self.runs.get(lease.run_id)
        return run if run and run.lease and run.lease.token == lease.token else None

    def _fenced(self, lease: Lease, write: str) -> RunRow:
        run = self._current(lease)
        if run is None:
            self._record(self.runs[lease.run_id], EventType.WRITE_REFUSED, write=write)
            raise LeaseLost(run_id=lease.run_id, write=write)
        return run

    def _lease_due(self, limit: int, executors: Iterable[ExecutorRow]) -> list[tuple[UUID, UUID]]:
        due = [run for run in self.runs.values() if run.state is RunState.QUEUED and run.due_at <= self._now]
        due.sort(key=lambda run: (-run.priority, run.due_at))
        pool = list(executors)
        leased: list[tuple[UUID, UUID]] = []
        for run in due:
            executor = self._free_executor(run, pool)
            if executor is not None and len(leased) < limit:
                self._lease(run, executor)
                leased.append((run.id, executor.id))
        return leased

    def _free_executor(self, run: RunRow, pool: Iterable[ExecutorRow]) -> ExecutorRow | None:
        able = [
            executor
            for executor in pool
            if not (executor.draining or executor.signed_off)
            and run.requires <= executor.capabilities
            and executor.seen_at > self._now - EXECUTOR_TTL_MS / 1000
            and executor.slots > len(self._leased_to(executor.id))
        ]
        return min(able, key=lambda executor: len(self._leased_to(executor.id)), default=None)

    def _lease(self, run: RunRow, executor: ExecutorRow) -> None:
        run.attempt += 1
        run.state, run.executor_id = RunState.CLAIMED, executor.id
        run.lease = Lease(run.id, run.attempt, uuid4(), self.lease_ms)
        run.lease_ends_at = self._now + START_TIMEOUT_MS / 1000
        self._record(run, EventType.PHASE_CLAIMED, executor=str(executor.id))

    def _start(self, run: RunRow) -> WorkOrder:
        assert run.lease is not None  # noqa: S101 - claimed runs have one
        run.state, run.phase = RunState.RUNNING, run.next_phase
        run.lease_ends_at = self._now + self.lease_ms / 1000
        self._record(run, EventType.PHASE_STARTED, phase=run.phase.value)
        return self._order(run, run.lease)

    def _order(self, run: RunRow, lease: Lease) -> WorkOrder:
        return WorkOrder(
            lease=lease,
            environment_id=run.environment_id,
            pipeline=run.pipeline,
            bundle=run.bundle,
            params=run.params,
            phases=run.phases,
            checkpoint=dict(run.checkpoint),
            failures=run.failures,
            max_attempts=run.max_attempts,
            created_at=self.clock.now(),
        )

    def _take_in(self, beat: Beat) -> Verdict:
        run = self._current(beat.lease)
        if run is None:
            return Verdict.LEASE_LOST
        run.lease_ends_at = self._now + self.lease_ms / 1000
        run.phase = beat.phase or run.phase
        run.progress = beat.progress or run.progress
        if beat.checkpoint is not None:
            run.checkpoint |= beat.checkpoint
            run.losses = 0
        self._take_events(run, beat.events, beat.events_from)
        return Verdict.CANCEL if run.cancel_requested else Verdict.GO_ON

    def _end(self, outcome: Outcome) -> Accepted:
        run = self._current(outcome.lease)
        if run is None:
            return self._repeated_or_refused(self.runs[outcome.lease.run_id], outcome.lease.token)
        self._take_events(run, outcome.events, outcome.events_from)
        run.ended_token = outcome.lease.token
        self._move(run, outcome)
        self._record(run, END_EVENTS[run.state], **self._end_facts(run, outcome))
        self.rings.append("lakehouse_work")
        return Accepted(run.id, accepted=True, state=run.state)

    def _repeated_or_refused(self, run: RunRow, token: UUID) -> Accepted:
        if run.ended_token == token:
            return Accepted(run.id, accepted=True, state=run.state)
        self._record(run, EventType.WRITE_REFUSED, write="finish")
        return Accepted(run.id, accepted=False, state=None)

    def _take_events(self, run: RunRow, events: Sequence[tuple[str, dict[str, Any]]], events_from: int | None) -> None:
        """Those that are not stored yet."""
        known = 0 if events_from is None else max(run.events_taken - events_from, 0)
        for kind, data in events[known:]:
            self._record(run, kind, **data)
            run.events_taken += 1

    def _move(self, run: RunRow, outcome: Outcome) -> None:
        run.state = _state_after(run, outcome)
        run.error = None if outcome.kind is OutcomeKind.SUCCEEDED else (outcome.error or run.error)
        run.cancel = "confirmed" if run.state is RunState.CANCELED else None
        run.failures += outcome.kind is OutcomeKind.FAILED
        run.interruptions += outcome.kind is OutcomeKind.INTERRUPTED
        if outcome.kind is OutcomeKind.FAILED and outcome.retry_in_ms is not None:
            run.due_at = self._now + outcome.retry_in_ms / 1000
        if outcome.clear_checkpoint and not run.published:
            run.checkpoint = {}
        run.manifest_sha256 = outcome.manifest_sha256 or run.manifest_sha256
        run.usage = outcome.usage or run.usage
        run.drop_lease()

    def _end_facts(self, run: RunRow, outcome: Outcome) -> dict[str, Any]:
        code = run.error and run.error.get("code")
        return {"pipeline": run.pipeline, "reason": outcome.kind.value, "code": code, "cancel": run.cancel}

    def _rescue(self, run: RunRow) -> tuple[UUID, str]:
        was_running = run.state is RunState.RUNNING
        run.losses += was_running
        run.interruptions += not was_running
        if run.cancel_requested:
            run.state, run.cancel = RunState.CANCELED, "presumed"
        elif was_running and run.losses >= run.max_losses:
            run.state, run.quarantined, run.error = RunState.FAILED, True, {"code": "RUN_QUARANTINED"}
        else:
            run.state, run.due_at = RunState.QUEUED, self._now
        run.drop_lease()
        self._record(run, END_EVENTS[run.state], pipeline=run.pipeline, reason="lease_expired")
        return run.id, run.state.value


def _state_after(run: RunRow, outcome: Outcome) -> RunState:
    if outcome.kind is OutcomeKind.SUCCEEDED:
        return RunState.SUCCEEDED
    if outcome.kind is OutcomeKind.CANCELED or run.cancel_requested:
        return RunState.CANCELED
    if outcome.kind is OutcomeKind.INTERRUPTED:
        return RunState.QUEUED
    if outcome.retry_in_ms is not None and run.failures + 1 < run.max_attempts:
        return RunState.QUEUED
    return RunState.FAILED
