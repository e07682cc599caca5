"""Drives the real SQL functions beside the model, one step at a time, and compares every row after each step.

Each example is one transaction that is rolled back, the control plane's clock stands still unless a step moves it, and
ids are numbers in order: what happens depends on the steps alone. Hypothesis switches off some rules for the length of
an example, so that some walks never cancel, never finish or never lose a dispatcher.
"""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import asyncpg
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from support.lifecycle_model import (
    BASE,
    ENDED,
    LEASE,
    MAX_ATTEMPTS,
    MAX_LOSSES,
    PRIORITY_STEP,
    SECOND,
    START_TIMEOUT,
    TTL,
    WINDOW,
    Cap,
    Executor,
    Model,
    Run,
    moment,
)
from support.plane import ENVIRONMENT, Plane

Value = TypeVar("Value")

NEEDS = {"plain": frozenset[str](), "other": frozenset[str](), "picky": frozenset({"gpu"})}
EXECUTORS = {
    "e0": (4, frozenset[str]()),
    "e1": (6, frozenset({"gpu"})),
    "e2": (1, frozenset({"gpu"})),
    "e3": (5, frozenset[str]()),
}
DISPATCHER = uuid.UUID(int=1)
DISPATCHER_TTL = 3600 * SECOND
SESSION = "select ops.open_session($1)"
RANDOM_ORDER = "random()"
RANDOM_ID, NEXT_ID = "gen_random_uuid()", "lpad(nextval('ops.model_ids')::text, 32, '0')::uuid"

ROWS = """
    select r.id, r.state::text, r.attempt, r.lease_token, r.lease_expires_at, q.executor_id, r.failures::integer,
           r.losses::integer, r.interruptions::integer, r.quarantined, r.cancel::text,
           r.cancel_requested_at is not null as cancel_requested, r.due_at, coalesce(q.recovering, false) as recovering,
           q.run_id is not null as open, coalesce(q.held, false) as held, q.rank, r.ended_token, r.event_seq,
           e.events, e.last, e.ends
      from ops.runs as r
      left join ops.open_runs as q on q.run_id = r.id
      cross join lateral (
        select count(*) as events, max(e.run_seq) as last,
               count(*) filter (where e.type in ('RUN_SUCCEEDED', 'RUN_FAILED', 'RUN_CANCELED')) as ends
          from ops.run_events as e where e.run_id = r.id) as e
"""
EXECUTOR_ROWS = "select id, draining, lost_at is not null as lost, last_seen_at, pulling_until from ops.executors"

picks = st.integers(0, 29)
limits = st.sampled_from([1, 2, 3, 10])
tokens = st.sampled_from(["right", "right", "right", "right", "right", "stale", "foreign", "told"])
alive = st.sampled_from([True, True, True, False])


@dataclass
class Bench:
    """A control plane on which examples run one after the other. steps: how many there were so far, and what they did."""

    runner: asyncio.Runner
    plane: Plane
    steps: int = 0
    happened: Counter[str] = field(default_factory=Counter[str])

    def do(self, work: Awaitable[Value]) -> Value:
        async def wait() -> Value:
            return await work

        return self.runner.run(wait())


async def prepare(plane: Plane) -> None:
    """Pipelines, short leases, a clock that stands still, and ids in order, by which equal runs and executors are told apart."""
    for name, needs in NEEDS.items():
        retries = {"max_attempts": MAX_ATTEMPTS, "max_losses": MAX_LOSSES}
        await plane.pipeline(name, requires=sorted(needs), retries=retries)
    await plane.db.execute(
        f"""
        update ops.settings
           set lease_ms = {LEASE}, start_timeout_ms = {START_TIMEOUT}, executor_ttl_ms = {TTL};
        create or replace function ops.now() returns timestamptz
        language sql volatile security definer
        set search_path = pg_catalog, pg_temp
        as $$ select '{BASE.isoformat()}'::timestamptz + c.shift from ops.clock as c $$;
        create sequence ops.model_ids;
        alter table ops.executors alter column id set default {NEXT_ID};
        """
    )
    enqueue = await plane.db.fetchval("select pg_get_functiondef('ops.enqueue_runs(jsonb)'::regprocedure)")
    assert enqueue.count(RANDOM_ID) == 1
    await plane.db.execute(enqueue.replace(RANDOM_ID, NEXT_ID))
    hand_over = await plane.db.fetchval("select pg_get_functiondef('ops.hand_over(integer, uuid[])'::regprocedure)")
    assert hand_over.count(RANDOM_ORDER) == 1
    await plane.db.execute(hand_over.replace(RANDOM_ORDER, "f.id"))


def machine(bench: Bench) -> type[RuleBasedStateMachine]:
    """The machine over a bench, as Hypothesis wants it: a class it can make for each example."""

    class OnThisBench(Lifecycle):
        def __init__(self) -> None:
            super().__init__(bench)

    return OnThisBench


class Lifecycle(RuleBasedStateMachine):
    """One method per thing that can happen. Arguments pick by number, so that any step makes sense in any state."""

    def __init__(self, bench: Bench) -> None:
        super().__init__()
        self.bench = bench
        self.plane = bench.plane
        bench.steps -= 1  # the look at the beginning is no step
        self.model = Model(NEEDS)
        self.transaction = self.plane.db.transaction()
        self._do(self.transaction.start())
        self._value("select setval('ops.model_ids', 1)")
        self._do(self.plane.forget_looks())
        self._lead()
        for name in ("e0", "e1"):
            self._register(name)
            self._open_session(name)
        for pipeline, priority in (("plain", 0), ("plain", 5), ("plain", -1), ("other", 0), ("picky", 1), ("picky", 0)):
            self._enqueue(pipeline, "a", None, priority, 0, 1)

    def teardown(self) -> None:
        self.bench.happened += self.model.happened
        self._do(self.transaction.rollback())

    # --- runs -------------------------------------------------------------------------------------------------------

    @rule(
        pipeline=st.sampled_from(sorted(NEEDS)),
        content=st.sampled_from(["a", "a", "a", "b"]),
        key=st.sampled_from([None, None, None, None, None, None, "k0", "k1"]),
        priority=st.sampled_from([-1, 0, 0, 1, 5]),
        delay=st.sampled_from([0, 0, 0, 30 * SECOND]),
        count=st.sampled_from([1, 2, 4]),
    )
    def enqueue(self, pipeline: str, content: str, key: str | None, priority: int, delay: int, count: int) -> None:
        self._enqueue(pipeline, content, key, min(priority, 0) if key else priority, delay, count)

    def _enqueue(self, pipeline: str, content: str, key: str | None, priority: int, delay: int, count: int) -> None:
        due = self.model.now + delay
        offered: list[dict[str, Any]] = [
            {
                "environment_id": ENVIRONMENT, "pipeline": pipeline, "params": {"content": content},
                "idempotency_key": f"{key}-{number}" if key else None, "priority": priority, "due_at": moment(due),
            }
            for number in range(count)
        ]  # fmt: skip
        first = [
            self.model.runs.get(self.model.keys.get(each["idempotency_key"], uuid.UUID(int=0))) for each in offered
        ]
        other = [
            run for run in first if run and (run.pipeline, run.content, run.priority) != (pipeline, content, priority)
        ]
        self._do(self.plane.bell_rests())
        rows = self._refused_or(
            lambda: self.plane.db.fetch("select * from ops.enqueue_runs($1)", offered),
            "IDEMPOTENCY_CONFLICT" if other else None,
        )
        if rows is None:
            self.model.happened["conflict of keys"] += 1
            return
        for row, run, each in zip(rows, first, offered, strict=True):
            assert row["created"] == (run is None), (row, run)
            if run is not None:
                assert row["run_id"] == run.id
                self.model.happened["same again"] += 1
                continue
            new = Run(row["run_id"], pipeline, content, priority, due, rank=due - priority * PRIORITY_STEP)
            self.model.runs[new.id] = new
            if key:
                self.model.keys[each["idempotency_key"]] = new.id
        self._handed_over([row["run_id"] for row in rows if row["created"]])

    @precondition(lambda self: self.model.runs)
    @rule(pick=picks, leased=st.booleans())
    def cancel(self, pick: int, leased: bool) -> None:  # noqa: FBT001 - drawn by Hypothesis
        if run := (leased and self._any_leased(pick)) or self._any_run(pick):
            self._cancel(run)

    @precondition(lambda self: self.model.runs)
    @rule(pick=picks)
    def retry(self, pick: int) -> None:
        if not (run := self._any_run(pick)):
            return
        code = None if run.state in {"failed", "canceled"} else "CONFLICT"
        if self._refused_or(lambda: self.plane.db.fetchval("select ops.retry_run($1, 'model')", run.id), code):
            self.model.retry(run)

    # --- leases -----------------------------------------------------------------------------------------------------

    @precondition(lambda self: sum(run.state == "waiting" for run in self.model.runs.values()) <= 3)
    @rule(then=st.sampled_from(["nothing", "nothing", "a pause", "a cap"]))
    def lull(self, then: str) -> None:
        """Nobody waits any more, and a look sees it; what comes next may be handed over, unless something happened meanwhile."""
        for run in self.model.runs.values():
            if run.state == "waiting":
                self._cancel(run)
        if then == "a cap":
            self._set_cap("c1", "concurrency", None, 4)
        self._lease(10)
        if then == "a pause":
            self._switch(paused=True)
        self._enqueue("plain", "a", None, 0, 0, 2)

    def _cancel(self, run: Run) -> None:
        self.model.cancel(run)
        answer = self._value("select ops.cancel_run($1, 'model')", run.id)
        assert answer == run.state

    @rule(limit=limits)
    def lease(self, limit: int) -> None:
        self._lease(limit)

    def _lease(self, limit: int) -> None:
        rows = self._rows("select * from ops.lease_runs($1)", limit)
        self.model.lease([(row["run_id"], row["executor_id"]) for row in rows], limit, None, "claimed")
        self._learn_tokens()

    @rule(who=picks, limit=limits)
    def claim(self, who: int, limit: int) -> None:
        executor = self._executor(who)
        rows = self._rows("select run_id, token from ops.claim_work($1, $2)", executor, limit)
        self._stand_in()
        taken = [row["run_id"] for row in rows]
        waited = [run_id for run_id in taken if not self.model.runs[run_id].leased]
        handed = [run_id for run_id in taken if self.model.runs[run_id].leased]
        before = [run.id for run in self.model.held_by(executor) if run.state == "claimed"]
        self.model.lease([(run_id, executor) for run_id in waited], limit, executor, "running")
        self._pulled(executor, full=len(waited) == limit)
        self._took(handed, before, limit - len(waited))
        self._learn_tokens()

    @precondition(lambda self: self._any_leased(0))
    @rule(who=picks, limit=limits)
    def take(self, who: int, limit: int) -> None:
        executor = self._executor(who)
        before = [run.id for run in self.model.held_by(executor) if run.state == "claimed"]
        rows = self._rows("select run_id from ops.take_work($1, $2)", executor, limit)
        self._took([row["run_id"] for row in rows], before, limit)

    @precondition(lambda self: any(each.session for each in self.model.executors.values()))
    @rule(who=picks)
    def fetch(self, who: int) -> None:
        executor = self._executor(who)
        session = self.model.executors[executor].session
        rows = self._rows("select run_id, token from ops.handed_over($1, $2)", executor, session)
        found = {(row["run_id"], row["token"]) for row in rows}
        assert found == {(run.id, run.token) for run in self.model.handed_over(executor)}

    @rule(who=picks)
    def claim_from_outside(self, who: int) -> None:
        executor = self._executor(who)
        rows = self._rows("select run_id from ops.claim_run($1)", executor)
        self._stand_in()
        self.model.lease([(row["run_id"], executor) for row in rows], 1, executor, "claimed")
        self._learn_tokens()

    @precondition(lambda self: self._any_token())
    @rule(pick=picks, kind=tokens)
    def start(self, pick: int, kind: str) -> None:
        run, token = self._offer(pick, kind)
        if run is None:
            return
        current = token == run.token
        self.model.happened["stale start"] += not current
        assert self._value("select ops.start_run($1, $2)", run.id, token) is current
        if current and run.state == "claimed":
            self.model.start(run)

    @precondition(lambda self: self._any_token())
    @rule(pick=picks, kind=tokens, progressed=st.booleans())
    def beat(self, pick: int, kind: str, progressed: bool) -> None:  # noqa: FBT001 - drawn by Hypothesis
        run, token = self._offer(pick, kind)
        if run is None:
            return
        offered = {"run_id": run.id, "token": token, "checkpoint": {"transform": {}} if progressed else None}
        verdict = self._value("select verdict from ops.beat(null, $1)", [offered])
        expected = self.model.renew(run, progressed=progressed) if token == run.token else "lease_lost"
        self.model.happened["stale beat"] += expected == "lease_lost"
        assert verdict == expected

    @precondition(lambda self: self._any_token())
    @rule(
        pick=picks,
        kind=tokens,
        outcome=st.sampled_from(["succeeded", "failed", "failed", "canceled", "interrupted"]),
        retry_in=st.sampled_from([0, 25 * SECOND, None]),
    )
    def finish(self, pick: int, kind: str, outcome: str, retry_in: int | None) -> None:
        run, token = self._offer(pick, kind)
        if run is None:
            return
        offered = {"run_id": run.id, "token": token, "outcome": outcome, "retry_in_ms": retry_in}
        (row,) = self._rows("select accepted, state from ops.finish_runs($1)", [offered])
        if token == run.token:
            self.model.finish(run, outcome, retry_in)
        self.model.happened["stale end"] += token != run.ended_token
        assert row["accepted"] == (token == run.ended_token), (row, run)

    @rule()
    def rescue(self) -> None:
        expected = self.model.rescue()
        assert {row["run_id"]: row["state"] for row in self._rows("select * from ops.requeue_stale_runs()")} == expected

    @rule()
    def release(self) -> None:
        self._value("select ops.release_runs()")

    # --- executors and dispatchers ----------------------------------------------------------------------------------

    @rule(name=st.sampled_from(sorted(EXECUTORS)), session=alive)
    def register(self, name: str, session: bool) -> None:  # noqa: FBT001 - drawn by Hypothesis
        self._register(name)
        if session:
            self._open_session(name)

    @rule(who=picks, draining=st.sampled_from([False, False, False, True]))
    def show_life(self, who: int, draining: bool) -> None:  # noqa: FBT001 - drawn by Hypothesis
        executor = self._executor(who)
        self._rows("select * from ops.beat($1, '[]', $2)", executor, draining)
        self.model.seen(executor, draining=draining)

    @precondition(lambda self: sum(not each.draining for each in self.model.executors.values()) > 1)
    @rule(who=picks, whose=st.sampled_from(["nobody's", "its own", "another's"]))
    def sign_off(self, who: int, whose: str) -> None:
        executor = self._executor(who)
        own = self.model.executors[executor].session
        session = {"nobody's": None, "its own": own, "another's": uuid.UUID(int=9)}[whose]
        self._value("select ops.sign_off($1, $2)", executor, session)
        self.model.sign_off(executor, session)

    @rule()
    def dispatcher_leads(self) -> None:
        self._lead()

    @precondition(lambda self: self.model.dispatcher_until is not None)
    @rule()
    def dispatcher_leaves(self) -> None:
        self._value("select ops.release_leadership('dispatcher', $1)", DISPATCHER)
        self.model.dispatcher_until = None

    # --- caps, the switch and the clock -----------------------------------------------------------------------------

    @rule(
        name=st.sampled_from(["c0", "c1"]),
        kind=st.sampled_from(["concurrency", "runs"]),
        pipeline=st.sampled_from([None, *sorted(NEEDS)]),
        limit=st.sampled_from([0, 1, 2, 4]),
    )
    def set_cap(self, name: str, kind: str, pipeline: str | None, limit: int) -> None:
        self._set_cap(name, kind, pipeline, limit)

    def _set_cap(self, name: str, kind: str, pipeline: str | None, limit: int) -> None:
        offered = {
            "name": name, "kind": kind, "scope": "pipeline" if pipeline else "environment", "subject": pipeline,
            "limit": limit, "window_seconds": WINDOW // SECOND if kind == "runs" else None,
        }  # fmt: skip
        self._value("select ops.set_cap($1, $2)", ENVIRONMENT, offered)
        cap = self.model.caps.setdefault(name, Cap(kind, pipeline, limit))
        cap.kind, cap.pipeline, cap.limit = kind, pipeline, limit

    @rule(name=st.sampled_from(["c0", "c1"]), to=st.sampled_from([1, 3, 6]))
    def raise_cap(self, name: str, to: int) -> None:
        cap = self.model.caps.get(name)
        code = "NOT_FOUND" if cap is None else "INVALID_INPUT" if to <= cap.limit else None
        self._refused_or(
            lambda: self.plane.db.fetchval(
                "select ops.raise_cap($1, $2, $3, '45 seconds', 'model', 'why not')", ENVIRONMENT, name, to
            ),
            code,
        )
        if cap is not None and code is None:
            cap.raised_to, cap.raised_until = to, self.model.now + 45 * SECOND

    @precondition(lambda self: self.model.caps)
    @rule(name=st.sampled_from(["c0", "c1"]))
    def remove_cap(self, name: str) -> None:
        there = self.model.caps.pop(name, None) is not None
        assert self._value("select ops.remove_cap($1, $2)", ENVIRONMENT, name) is there

    @rule(paused=st.sampled_from([False, False, False, False, True]))
    def switch(self, paused: bool) -> None:  # noqa: FBT001 - drawn by Hypothesis
        self._switch(paused=paused)

    def _switch(self, *, paused: bool) -> None:
        if paused:
            self._value("select ops.pause('model', 'why not')")
        else:
            assert self._value("select ops.resume()") is self.model.paused
        self.model.paused = paused

    @rule(by=st.sampled_from([300, 3000, 3000, 10_000, START_TIMEOUT, START_TIMEOUT + 1, LEASE + 1]), alive=alive)
    def time_passes(self, by: int, alive: bool) -> None:  # noqa: FBT001 - drawn by Hypothesis
        self._move_clock(by, alive=alive)

    @rule(
        by=st.sampled_from([-100, -100, -5000, -5000, -LEASE, -3600 * SECOND, 600 * SECOND, 7200 * SECOND]), alive=alive
    )
    def clock_jumps(self, by: int, alive: bool) -> None:  # noqa: FBT001 - drawn by Hypothesis
        self.model.happened["clock jumped back" if by < 0 else "clock jumped on"] += 1
        self._move_clock(by, alive=alive)

    # A rule is drawn as often as it has names: most steps move runs along.
    enqueue_2 = enqueue_3 = enqueue_4 = enqueue
    lease_2 = lease_3 = lease_4 = lease
    claim_2 = claim_3 = claim
    start_2 = start_3 = start
    beat_2 = beat
    finish_2 = finish_3 = finish_4 = finish
    time_passes_2 = time_passes_3 = time_passes
    switch_2 = switch_3 = switch

    # --- what must hold after every step ----------------------------------------------------------------------------

    @invariant()
    def every_row_is_as_the_model_says(self) -> None:
        self.bench.steps += 1
        rows = {row["id"]: row for row in self._rows(ROWS)}
        assert rows.keys() == self.model.runs.keys()
        for run_id, run in self.model.runs.items():
            row = rows[run_id]
            assert seen_in(row) == expected_of(run), (dict(row), run)
            assert row["event_seq"] == row["events"] == row["last"], ("a gap in the events", dict(row))
            assert row["ends"] == run.retries + (run.state in ENDED), ("ends", dict(row), run)
        for row in self._rows(EXECUTOR_ROWS):
            each = self.model.executors[row["id"]]
            assert (row["draining"], row["lost"]) == (each.draining, each.lost), (dict(row), each)
            assert row["last_seen_at"] == moment(each.last_seen)

    # --- helpers ----------------------------------------------------------------------------------------------------

    def _do(self, work: Awaitable[Value]) -> Value:
        return self.bench.do(work)

    def _rows(self, query: str, *args: Any) -> list[asyncpg.Record]:
        return self._do(self.plane.db.fetch(query, *args))

    def _value(self, query: str, *args: Any) -> Any:
        return self._do(self.plane.db.fetchval(query, *args))

    def _refused_or(self, call: Callable[[], Awaitable[Value]], code: str | None) -> Value | None:
        """The answer, or None when it was refused with this very code, as it should be."""

        async def attempt() -> tuple[str | None, Value | None]:
            try:
                async with self.plane.db.transaction():
                    return None, await call()
            except asyncpg.PostgresError as error:
                return getattr(error, "detail", None) or str(error), None

        refused, answer = self._do(attempt())
        assert refused == code
        return answer

    def _register(self, name: str) -> None:
        slots, capabilities = EXECUTORS[name]
        key = self._do(self.plane.executor(name, slots, tuple(capabilities)))
        known = self.model.executors.get(key)
        pulling = known.pulling_until if known else None
        self.model.executors[key] = Executor(name, slots, capabilities, self.model.now, pulling_until=pulling)

    def _open_session(self, name: str) -> None:
        executor = next(key for key, each in self.model.executors.items() if each.name == name)
        self.model.executors[executor].session = self._value(SESSION, executor)

    def _handed_over(self, new: list[uuid.UUID]) -> None:
        """What of the new runs has started already."""
        rows = self._rows("select id, executor_id from ops.runs where id = any ($1) and state = 'running'", new)
        if rows:
            self.model.hand_over([(row["id"], row["executor_id"]) for row in rows], new)
            self._learn_tokens()

    def _lead(self) -> None:
        self._value("select ops.take_leadership('dispatcher', $1, $2)", DISPATCHER, DISPATCHER_TTL)
        self.model.dispatcher_until = self.model.now + DISPATCHER_TTL

    def _stand_in(self) -> None:
        """What an executor that pulls does when nobody leads."""
        if self.model.nobody_leads():
            self.model.stand_in_until = self.model.now + 250
            self.model.rescue()

    def _pulled(self, executor: uuid.UUID, *, full: bool) -> None:
        each = self.model.executors[executor]
        if full and (each.pulling_until is None or each.pulling_until < self.model.now + 500):
            each.pulling_until = self.model.now + SECOND

    def _took(self, taken: list[uuid.UUID], before: list[uuid.UUID], limit: int) -> None:
        assert set(taken) <= set(before)
        assert len(taken) == min(len(before), limit)
        for run_id in taken:
            self.model.start(self.model.runs[run_id])

    def _learn_tokens(self) -> None:
        """A lease brings a token that was never there before."""
        waiting = [run for run in self.model.runs.values() if run.leased and run.token is None]
        if not waiting:
            return
        rows = self._rows("select id, lease_token from ops.runs where id = any ($1)", [run.id for run in waiting])
        for row in rows:
            run = self.model.runs[row["id"]]
            assert row["lease_token"] is not None
            assert row["lease_token"] not in {token for each in self.model.runs.values() for token in each.tokens}
            run.token = row["lease_token"]
            run.tokens.append(row["lease_token"])

    def _move_clock(self, by: int, *, alive: bool) -> None:
        """alive: whoever shows life regularly did so in the meantime."""
        self.model.now += by
        self._value("update ops.clock set shift = $1::integer * interval '1 millisecond'", self.model.now)
        for executor, each in self.model.executors.items():
            if alive and not (each.draining or each.signed_off):
                self._rows("select * from ops.beat($1, '[]', false)", executor)
                self.model.seen(executor, draining=False)

    def _any_leased(self, pick: int) -> Run | None:
        runs = [run for run in self.model.runs.values() if run.leased]
        return runs[-1 - pick % len(runs)] if runs else None

    def _any_token(self) -> bool:
        return any(run.tokens for run in self.model.runs.values())

    def _executor(self, pick: int) -> uuid.UUID:
        known = list(self.model.executors)
        return known[pick % len(known)]

    def _any_run(self, pick: int) -> Run | None:
        runs = list(self.model.runs.values())
        return runs[-1 - pick % len(runs)] if runs else None

    def _offer(self, pick: int, kind: str) -> tuple[Run | None, uuid.UUID | None]:
        """A run and a token for it: its own, one it had before, that of another run or that of its last end.

        Rather for a run under a lease: there a wrong token could do harm.
        """
        runs = list(self.model.runs.values())
        told = [run for run in runs if run.ended_token]
        if kind == "told" and told:
            run = told[-1 - pick % len(told)]
            return run, run.ended_token
        leased = [run for run in runs if run.leased]
        again = [run for run in leased if len(run.tokens) > 1]
        runs = (again if kind == "stale" else leased) or leased or runs
        if not runs:
            return None, uuid.UUID(int=0)
        run = runs[-1 - pick % len(runs)]
        old = [token for token in run.tokens if token != run.token]
        if kind == "right" and run.token:
            return run, run.token
        if kind == "stale" and old:
            return run, old[-1 - pick % len(old)]
        others = [each.token for each in self.model.runs.values() if each.token and each is not run]
        return run, others[pick % len(others)] if others else uuid.UUID(int=7)


def seen_in(row: asyncpg.Record) -> dict[str, Any]:
    """A run as it stands in the database, in the model's words."""
    waits = row["state"] in {"queued", "held"}
    assert row["open"] == (row["state"] not in ENDED)
    assert row["held"] == (row["state"] == "held")
    return {
        "state": "waiting" if waits else row["state"],
        "attempt": row["attempt"],
        "token": row["lease_token"],
        "ended_token": row["ended_token"],
        "expires": row["lease_expires_at"],
        "executor": row["executor_id"],
        "counts": (row["failures"], row["losses"], row["interruptions"]),
        "quarantined": row["quarantined"],
        "cancel": row["cancel"],
        "cancel_requested": row["cancel_requested"],
        "due": row["due_at"],
        "recovering": row["recovering"],
        "rank": row["rank"] if waits else None,
    }


def expected_of(run: Run) -> dict[str, Any]:
    """A run as the model has it."""
    waits = run.state == "waiting"
    return {
        "state": run.state,
        "attempt": run.attempt,
        "token": run.token,
        "ended_token": run.ended_token,
        "expires": moment(run.expires) if run.leased else None,
        "executor": run.executor if run.leased else None,
        "counts": (run.failures, run.losses, run.interruptions),
        "quarantined": run.quarantined,
        "cancel": run.cancel,
        "cancel_requested": run.cancel_requested,
        "due": moment(run.due),
        "recovering": run.recovering and waits,
        "rank": moment(run.rank) if waits else None,
    }
