"""What the control plane should do, in dictionaries: runs, executors, caps and the clock. Time is whole milliseconds since `BASE`.

The model says exactly what each write does; where the control plane may choose (which of several runs is leased, to
whom), it judges the choice instead: `leasable` before, `lease` after.
"""

from __future__ import annotations

import uuid
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

BASE = datetime(2026, 6, 1, 12, tzinfo=UTC)
SECOND = 1000
LEASE, START_TIMEOUT, TTL, WINDOW = 60 * SECOND, 20 * SECOND, 40 * SECOND, 60 * SECOND
MAX_ATTEMPTS, MAX_LOSSES = 3, 2
ENDED = frozenset({"succeeded", "failed", "canceled"})
PRIORITY_STEP = 300 * SECOND


@dataclass
class Run:
    """state: `waiting` stands for queued and held. tokens: every one it ever had, newest last. session: it was handed over to."""

    id: uuid.UUID
    pipeline: str
    content: str
    priority: int
    due: int
    state: str = "waiting"
    attempt: int = 0
    token: uuid.UUID | None = None
    ended_token: uuid.UUID | None = None
    tokens: list[uuid.UUID] = field(default_factory=list[uuid.UUID])
    expires: int = 0
    executor: uuid.UUID | None = None
    failures: int = 0
    losses: int = 0
    interruptions: int = 0
    recovering: bool = False
    quarantined: bool = False
    cancel: str | None = None
    cancel_requested: bool = False
    retries: int = 0
    rank: int = 0
    session: uuid.UUID | None = None

    @property
    def leased(self) -> bool:
        return self.state in {"claimed", "running"}


@dataclass
class Executor:
    """pulling_until: the dispatcher leaves it alone until then. session: under which it fetches what is handed over."""

    name: str
    slots: int
    capabilities: frozenset[str]
    last_seen: int
    draining: bool = False
    lost: bool = False
    signed_off: bool = False
    drain_asked: bool = False
    pulling_until: int | None = None
    session: uuid.UUID | None = None


@dataclass
class Cap:
    """kind: concurrency or runs. pipeline: None for the whole environment. ledger: end of the second -> runs that began in it."""

    kind: str
    pipeline: str | None
    limit: int
    raised_to: int = 0
    raised_until: int | None = None
    ledger: dict[int, int] = field(default_factory=dict[int, int])


class Model:
    """needs: what each pipeline requires of an executor. happened: how often what, so that a walk that does nothing is seen."""

    def __init__(self, needs: dict[str, frozenset[str]]) -> None:
        self.needs = needs
        self.happened: Counter[str] = Counter()
        self.now = 0
        self.paused = False
        self.dispatcher_until: int | None = None
        self.stand_in_until: int | None = None
        self.runs: dict[uuid.UUID, Run] = {}
        self.keys: dict[str, uuid.UUID] = {}
        self.executors: dict[uuid.UUID, Executor] = {}
        self.caps: dict[str, Cap] = {}

    # --- caps -------------------------------------------------------------------------------------------------------

    def caps_of(self, run: Run) -> list[Cap]:
        return [cap for cap in self.caps.values() if cap.pipeline in {None, run.pipeline}]

    def ceiling(self, cap: Cap) -> int:
        raised = cap.raised_until is not None and cap.raised_until > self.now
        return cap.raised_to if raised else cap.limit

    def ledger_row(self) -> int:
        return (self.now // SECOND + 1) * SECOND

    def used(self, cap: Cap) -> int:
        if cap.kind == "runs":
            upto = self.ledger_row()
            return sum(amount for at, amount in cap.ledger.items() if self.now - WINDOW < at <= upto)
        return sum(run.leased for run in self.runs.values() if cap.pipeline in {None, run.pipeline})

    def room(self, run: Run) -> bool:
        return all(self.used(cap) < self.ceiling(cap) for cap in self.caps_of(run))

    # --- leasing ----------------------------------------------------------------------------------------------------

    def held_by(self, executor: uuid.UUID) -> list[Run]:
        return [run for run in self.runs.values() if run.leased and run.executor == executor]

    def open_executors(self, only: uuid.UUID | None) -> list[uuid.UUID]:
        """Those that may get work now: one that pulls, or all that nobody needs to leave alone."""
        return [
            key
            for key, each in self.executors.items()
            if not (each.draining or each.lost)
            and each.last_seen > self.now - TTL
            and (key == only or (only is None and (each.pulling_until is None or each.pulling_until < self.now)))
            and len(self.held_by(key)) < each.slots
        ]

    def due(self) -> list[Run]:
        return [run for run in self.runs.values() if run.state == "waiting" and run.due <= self.now]

    def leasable(self, only: uuid.UUID | None) -> list[Run]:
        """Runs of which at least one must be leased when any is asked for."""
        if self.paused:
            self.happened["asked while paused"] += bool(self.due())
            return []
        able = [self.executors[key].capabilities for key in self.open_executors(only)]
        fitting = [run for run in self.due() if any(self.needs[run.pipeline] <= each for each in able)]
        passing = [run for run in fitting if run.recovering or self.room(run)]
        self.happened["kept back by a cap"] += len(fitting) > len(passing)
        return passing

    def lease(self, leased: list[tuple[uuid.UUID, uuid.UUID]], limit: int, only: uuid.UUID | None, state: str) -> None:
        """Judge what was leased to whom, and take it over."""
        possible, before = self.leasable(only), self.due()
        assert len(leased) <= limit
        assert bool(leased) == bool(possible and limit), ("leased", leased, "possible", possible)
        open_before = self.open_executors(only)
        taken = [self.runs[run_id] for run_id, _ in leased]
        assert len({run.id for run in taken}) == len(taken)
        recovering = {run.id for run in taken if run.recovering}
        for run, (_, executor) in zip(taken, leased, strict=True):
            assert run in before, ("was not due", run)
            assert executor in open_before
            assert self.needs[run.pipeline] <= self.executors[executor].capabilities
            self._lease(run, executor, state)
        for executor in {executor for _, executor in leased}:
            assert len(self.held_by(executor)) <= self.executors[executor].slots
        self._charge(taken)
        for run in taken:
            if run.id not in recovering:
                assert all(self.used(cap) <= self.ceiling(cap) for cap in self.caps_of(run)), ("over a cap", run)
        self._in_order(before, [run for run in taken if run.id not in recovering])

    def hand_over(self, handed: list[tuple[uuid.UUID, uuid.UUID]], new: list[uuid.UUID]) -> None:
        """Judge what the transaction that added runs leased: only while nobody else waits and nothing is counted."""
        assert [run for run in self.due() if run.id not in new] == [], "others wait"
        (executor,) = {executor for _, executor in handed}
        self.lease(handed, len(handed), None, "running")
        for run_id, _ in handed:
            run = self.runs[run_id]
            assert self.caps_of(run) == []
            run.session = self.executors[executor].session
            assert run.session is not None
        self.happened["handed over"] += len(handed)

    def handed_over(self, executor: uuid.UUID) -> list[Run]:
        """What its session finds."""
        session = self.executors[executor].session
        return [run for run in self.held_by(executor) if run.state == "running" and session and run.session == session]

    def _lease(self, run: Run, executor: uuid.UUID, state: str) -> None:
        run.state, run.executor, run.token, run.session = state, executor, None, None
        run.attempt += 1
        self.happened["leased recovering" if run.recovering else "leased"] += 1
        run.recovering = False
        run.expires = self.now + (LEASE if state == "running" else START_TIMEOUT)

    def _charge(self, taken: list[Run]) -> None:
        for run in taken:
            for cap in self.caps_of(run):
                if cap.kind == "runs":
                    cap.ledger[self.ledger_row()] = cap.ledger.get(self.ledger_row(), 0) + 1

    def _in_order(self, before: list[Run], taken: list[Run]) -> None:
        """Within a pipeline nothing overtakes; what its executor was lost for goes first and is not asked."""
        for run in taken:
            left = [
                each for each in before if each.pipeline == run.pipeline and not each.leased and not each.recovering
            ]
            assert all(run.rank <= each.rank for each in left), ("overtook", run, left)

    # --- what happens to a lease ------------------------------------------------------------------------------------

    def start(self, run: Run) -> None:
        run.state, run.expires = "running", self.now + LEASE
        self.happened["started"] += 1

    def renew(self, run: Run, *, progressed: bool) -> str:
        run.expires = self.now + LEASE
        if progressed:
            run.losses = 0
        verdict = "cancel" if run.cancel_requested else "go_on"
        self.happened[f"told to {verdict}"] += 1
        return verdict

    def finish(self, run: Run, outcome: str, retry_in: int | None) -> None:
        again = run.failures + 1 < MAX_ATTEMPTS
        if outcome == "succeeded":
            self._end(run, "succeeded")
        elif outcome == "canceled" or run.cancel_requested:
            self._end(run, "canceled", cancel="confirmed")
        elif outcome == "interrupted":
            self._return(run, run.due)
            self.happened["handed back"] += 1
        elif retry_in is not None and again:
            self._return(run, self.now + retry_in)
            self.happened["failed and again"] += 1
        else:
            self._end(run, "failed")
        if outcome == "failed" and retry_in is not None:
            run.due = self.now + retry_in
        run.failures += outcome == "failed"
        run.interruptions += outcome == "interrupted"
        run.ended_token, run.token = run.token, None

    def _end(self, run: Run, state: str, cancel: str | None = None) -> None:
        run.state, run.cancel = state, cancel
        self.happened[" ".join(filter(None, (state, cancel, run.quarantined and "quarantined")))] += 1

    def _return(self, run: Run, due: int) -> None:
        run.state, run.cancel, run.due = "waiting", None, due
        run.rank = due - run.priority * PRIORITY_STEP

    def rescue(self) -> dict[uuid.UUID, str]:
        """Take back every lease that ran out; what became of each run."""
        seen: dict[uuid.UUID, str] = {}
        for run in [run for run in self.runs.values() if run.leased and run.expires < self.now]:
            worked = run.state == "running"
            quarantined = not run.cancel_requested and worked and run.losses + 1 >= MAX_LOSSES
            run.losses += worked
            run.interruptions += not worked
            run.due, run.token, run.quarantined = self.now, None, quarantined
            if run.cancel_requested:
                self._end(run, "canceled", cancel="presumed")
            elif quarantined:
                self._end(run, "failed")
            else:
                self._return(run, self.now)
                run.recovering = run.losses > 0
                self.happened["taken back"] += 1
            assert run.executor is not None
            self.executors[run.executor].lost = True
            seen[run.id] = "queued" if run.state == "waiting" else run.state
        return seen

    # --- people -----------------------------------------------------------------------------------------------------

    def cancel(self, run: Run) -> None:
        if run.state in ENDED:
            return
        run.cancel_requested = True
        if not run.leased:
            self._end(run, "canceled", cancel="confirmed")

    def retry(self, run: Run) -> None:
        run.cancel_requested, run.quarantined = False, False
        run.failures = run.losses = 0
        run.retries += 1
        self.happened["retried"] += 1
        run.recovering = False
        self._return(run, self.now)

    # --- executors --------------------------------------------------------------------------------------------------

    def seen(self, executor: uuid.UUID, *, draining: bool) -> None:
        each = self.executors[executor]
        drained = draining or each.drain_asked
        stale = each.last_seen < self.now - TTL // 8
        if not each.signed_off and (each.draining != drained or each.lost or stale):
            each.last_seen, each.draining, each.lost = self.now, drained, False

    def sign_off(self, executor: uuid.UUID, session: uuid.UUID | None) -> None:
        each = self.executors[executor]
        if session is not None and session != each.session:
            return
        for run in self.handed_over(executor) if session else []:
            self.finish(run, "interrupted", None)
        each.draining = each.lost = each.signed_off = True
        claimed = [run for run in self.held_by(executor) if run.state == "claimed"]
        self.happened["signed off"] += 1
        for run in claimed:
            run.expires = self.now - 1
        if claimed:
            self.rescue()

    def nobody_leads(self) -> bool:
        """Whether an executor that pulls does a dispatcher's rescues first."""
        until = [each for each in (self.dispatcher_until, self.stand_in_until) if each is not None]
        return all(each < self.now for each in until)


def moment(milliseconds: int) -> datetime:
    """A model's time as the database writes it."""
    return BASE + timedelta(milliseconds=milliseconds)
