"""The executor at work: orders are carried, ends reported, stops heeded, outages outlived."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from uuid import UUID

import anyio
import pytest

from lakehouse_executor.bundles import Bundles
from lakehouse_executor.context import PhaseContext, PhaseResult
from lakehouse_executor.metering import METER
from lakehouse_executor.registry import Registry
from lakehouse_executor.run import Tools
from lakehouse_executor.work import Executor
from opscore.domain.errors import (
    ControlPlaneUnavailable,
    GateBlocked,
    InvalidInput,
    LeaseLost,
    PublishConflict,
    SourceUnavailable,
)
from opscore.domain.phase import Phase
from opscore.domain.run import Outcome, RunState
from opscore.observe.observation import (
    CancelHeard,
    HandlerFaulted,
    LeaseDropped,
    PhaseEnded,
    RunEnded,
    RunInterrupted,
    RunStarted,
    WorkTaken,
    WriteRefused,
)
from opscore.ports.control_plane import Accepted
from opscore.runtime.rings import Heard
from opscore.testing.clock import settle
from opscore.testing.factories import add_run, make_bundle, make_service
from opscore.testing.memory import MemoryControlPlane
from opscore.testing.memory_run import RunRow
from opscore.testing.wakeups import ManualWakeups

Handle = Callable[[PhaseContext], Awaitable[PhaseResult]]


class Shop:
    """An executor at work on a control plane in memory; handlers are set per test."""

    def __init__(self, *, slots: int = 4, light: frozenset[Phase] = frozenset()) -> None:
        self.test = make_service("executor")
        self.clock, self.observer, self.stopping = self.test.clock, self.test.observer, self.test.service.stopping
        self.control = MemoryControlPlane(self.clock)
        self.wakeups = ManualWakeups(self.clock)
        self.handlers: dict[Phase, Handle] = {}
        self.seen: list[tuple[str, dict[str, Any]]] = []
        self.registry = Registry(dict.fromkeys(Phase, self._handle), light)
        self.slots = slots
        self.heard = Heard()
        self.executor_id: UUID | None = None
        self.task: asyncio.Task[None] | None = None

    async def _handle(self, context: PhaseContext) -> PhaseResult:
        run = self.control.runs[context.order.lease.run_id]
        phase = run.phase or Phase.QUERY
        self.seen.append((phase.value, dict(context.results)))
        handler = self.handlers.get(phase)
        return await handler(context) if handler else {"rows": 1}

    async def open(self) -> None:
        executor_id = self.executor_id = await self.control.register_executor("one", [], self.slots, "0")
        session = await self.control.open_session(executor_id)
        tools = Tools(
            registry=self.registry,
            bundles=Bundles(self.control),
            control=self.control,
            lake=None,  # type: ignore[arg-type] # these handlers have no lake
            artifacts=None,  # type: ignore[arg-type]
            lake_options=None,
            workers=anyio.CapacityLimiter(1),
            secret=lambda name: name,
        )
        executor = Executor(
            executor_id,
            tools,
            self.wakeups,
            self.test.service,
            slots=self.slots,
            drain_s=20,
            claim_after_s=5,
            session=session,
            heard=lambda: self.heard,
        )
        self.task = asyncio.create_task(executor.run())
        await settle()

    async def add(self, *phases: str, **columns: Any) -> RunRow:
        """Enqueue, lease and ring, as the dispatcher does."""
        run = add_run(self.control, phases=phases or ("query",), **columns)
        await self.dispatch()
        return run

    def hand_over(self) -> RunRow:
        """Enqueue and lease to this executor, as the transaction that adds work does."""
        run = add_run(self.control)
        assert self.executor_id is not None
        self.control.hand_over(run.id, self.executor_id)
        return run

    async def rung(self, heard: Heard) -> None:
        self.heard = heard
        self.wakeups.ring()
        await settle()
        self.heard = Heard()

    async def dispatch(self) -> None:
        await self.control.lease_runs(100)
        self.wakeups.ring()
        await settle()

    def types(self, run: RunRow) -> list[str]:
        return [event.type for event in self.control.events if event.run_id == run.id]

    def codes(self) -> list[str | None]:
        return [seen.code for seen in self.observer.of(PhaseEnded)]

    @property
    def done(self) -> bool:
        return self.task is not None and self.task.done()


@pytest.fixture
async def shop() -> AsyncIterator[Shop]:
    made = Shop()
    await made.open()
    yield made
    await close(made)


async def close(shop: Shop) -> None:
    assert shop.task is not None
    shop.task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await shop.task


async def for_ever(_: PhaseContext) -> PhaseResult:
    await anyio.sleep_forever()
    raise AssertionError("unreachable")


def failing(error: Exception) -> Handle:
    async def handler(_: PhaseContext) -> PhaseResult:
        raise error

    return handler


# --- carrying ------------------------------------------------------------------------------------------------------


async def test_a_run_goes_through_its_phases_in_order_and_ends(shop: Shop) -> None:
    run = await shop.add("ingest", "validate", "publish")

    assert run.state is RunState.SUCCEEDED
    assert [phase for phase, _ in shop.seen] == ["ingest", "validate", "publish"]
    assert shop.types(run) == [
        "RUN_CREATED",
        "PHASE_CLAIMED",
        "PHASE_STARTED",
        "PHASE_SUCCEEDED",
        "PHASE_STARTED",
        "PHASE_SUCCEEDED",
        "PHASE_STARTED",
        "PHASE_SUCCEEDED",
        "RUN_SUCCEEDED",
    ]


async def test_each_phase_sees_the_results_of_those_before(shop: Shop) -> None:
    await shop.add("ingest", "publish")

    assert shop.seen == [("ingest", {}), ("publish", {"ingest": {"rows": 1}})]


async def test_a_later_attempt_goes_on_behind_the_last_checkpoint(shop: Shop) -> None:
    run = await shop.add("ingest", "publish", checkpoint={"ingest": {"rows": 7}})

    assert run.state is RunState.SUCCEEDED
    assert shop.seen == [("publish", {"ingest": {"rows": 7}})]


async def test_the_digest_of_the_manifest_stays_with_the_run(shop: Shop) -> None:
    async def published(_: PhaseContext) -> PhaseResult:
        return {"published": 0, "manifest_sha256": "ab"}

    shop.handlers[Phase.PUBLISH] = published

    run = await shop.add("publish")

    assert run.manifest_sha256 == "ab"


async def test_a_started_and_ended_run_is_noticed(shop: Shop) -> None:
    await shop.add()

    assert len(shop.observer.of(RunStarted)) == 1
    assert [(seen.outcome, seen.state) for seen in shop.observer.of(RunEnded)] == [("succeeded", "succeeded")]


async def test_slots_bound_how_many_runs_are_under_way(shop: Shop) -> None:
    shop.handlers[Phase.QUERY] = for_ever
    for _ in range(6):
        add_run(shop.control)
    await shop.dispatch()

    assert len(shop.seen) == 4


async def test_a_freed_slot_takes_what_waits_for_it() -> None:
    shop = Shop(slots=1)
    await shop.open()
    gate = anyio.Event()

    async def gated(_: PhaseContext) -> PhaseResult:
        await gate.wait()
        return {}

    shop.handlers[Phase.QUERY] = gated
    first = await shop.add()
    second = add_run(shop.control)
    shop.control.executors[next(iter(shop.control.executors))].slots = 2
    await shop.dispatch()
    assert len(shop.seen) == 1

    gate.set()
    await settle()

    assert (first.state, second.state) == (RunState.SUCCEEDED, RunState.SUCCEEDED)
    await close(shop)


async def test_light_runs_are_ended_in_few_trips() -> None:
    shop = Shop(slots=1000, light=frozenset({Phase.QUERY}))
    await shop.open()
    runs = [add_run(shop.control) for _ in range(300)]

    for _ in range(3):
        await shop.dispatch()

    assert {run.state for run in runs} == {RunState.SUCCEEDED}
    assert shop.control.calls.count("finish") <= 9
    await close(shop)


async def test_few_free_slots_wait_for_those_that_light_runs_are_about_to_free() -> None:
    shop = Shop(slots=4, light=frozenset({Phase.QUERY}))
    await shop.open()
    finish, answered = shop.control.finish, anyio.Event()

    async def slow(outcomes: list[Outcome]) -> list[Accepted]:
        await answered.wait()
        return await finish(outcomes)

    shop.control.finish = slow  # type: ignore[method-assign,assignment]
    first = [add_run(shop.control) for _ in range(3)]
    await shop.dispatch()
    taken = shop.control.calls.count("take_work")

    late = await shop.add()
    waited = shop.control.calls.count("take_work") == taken
    answered.set()
    await settle()

    assert waited
    assert {run.state for run in (*first, late)} == {RunState.SUCCEEDED}
    await close(shop)


# --- failing -------------------------------------------------------------------------------------------------------


async def test_a_temporary_error_puts_the_run_back_for_later(shop: Shop) -> None:
    shop.handlers[Phase.QUERY] = failing(SourceUnavailable(source="odoo", reason="refused"))

    run = await shop.add()

    assert (run.state, run.failures) == (RunState.QUEUED, 1)
    assert run.error is not None
    assert run.error["code"] == "SOURCE_UNAVAILABLE"
    assert shop.types(run)[-2:] == ["PHASE_FAILED", "RUN_REQUEUED"]


async def test_a_permanent_error_fails_the_run_with_its_code(shop: Shop) -> None:
    shop.handlers[Phase.QUERY] = failing(GateBlocked(check="c", dataset="d", finding="f"))

    run = await shop.add()

    assert run.state is RunState.FAILED
    assert shop.codes() == ["GATE_BLOCKED"]


async def test_a_conflict_at_publish_starts_the_run_over(shop: Shop) -> None:
    shop.handlers[Phase.PUBLISH] = failing(PublishConflict(table="gold.x"))

    run = await shop.add("ingest", "publish")

    assert (run.state, run.checkpoint) == (RunState.QUEUED, {})


async def test_an_unforeseen_error_fails_the_run_and_is_noticed_with_its_cause(shop: Shop) -> None:
    error = ZeroDivisionError("oops")
    shop.handlers[Phase.QUERY] = failing(error)

    run = await shop.add()

    assert run.state is RunState.FAILED
    assert [seen.error for seen in shop.observer.of(HandlerFaulted)] == [error]


async def test_a_write_that_is_refused_drops_the_run_without_a_word(shop: Shop) -> None:
    shop.handlers[Phase.QUERY] = failing(LeaseLost(run_id=1, write="publish"))

    run = await shop.add()

    assert run.state is RunState.RUNNING
    assert "finish" not in shop.control.calls
    assert [seen.write for seen in shop.observer.of(WriteRefused)] == ["publish"]


async def test_a_stale_finish_is_refused_and_noticed(shop: Shop) -> None:
    gate = anyio.Event()

    async def gated(_: PhaseContext) -> PhaseResult:
        await gate.wait()
        return {}

    shop.handlers[Phase.QUERY] = gated
    run = await shop.add()
    run.lease = None
    run.state = RunState.QUEUED

    gate.set()
    await settle()

    assert run.state is RunState.QUEUED
    assert [seen.write for seen in shop.observer.of(WriteRefused)] == ["finish"]
    assert shop.types(run)[-1] == "WRITE_REFUSED"


async def test_an_outcome_that_cannot_be_stored_fails_its_run_and_not_its_neighbours(shop: Shop) -> None:
    finish = shop.control.finish
    held_back = anyio.Event()

    async def picky(outcomes: list[Outcome]) -> list[Accepted]:
        await held_back.wait()
        if any(outcome.manifest_sha256 == "bad" for outcome in outcomes):
            raise InvalidInput("not storable")
        return await finish(outcomes)

    async def published(context: PhaseContext) -> PhaseResult:
        return {"manifest_sha256": context.order.params["digest"]}

    shop.control.finish = picky  # type: ignore[method-assign,assignment]
    shop.handlers[Phase.PUBLISH] = published
    first = add_run(shop.control, phases=("publish",), params={"digest": "first"})
    bad = add_run(shop.control, phases=("publish",), params={"digest": "bad"})
    good = add_run(shop.control, phases=("publish",), params={"digest": "good"})
    await shop.dispatch()
    held_back.set()
    await settle()

    assert [run.state for run in (first, bad, good)] == [RunState.SUCCEEDED, RunState.FAILED, RunState.SUCCEEDED]


# --- cancel, loss, outage -----------------------------------------------------------------------------------------


async def test_a_canceled_run_is_stopped_and_says_so(shop: Shop) -> None:
    shop.handlers[Phase.QUERY] = for_ever
    run = await shop.add()

    shop.control.cancel_run(run.id)
    shop.wakeups.ring()
    await shop.clock.advance(1)

    assert (run.state, run.cancel) == (RunState.CANCELED, "confirmed")
    assert len(shop.observer.of(CancelHeard)) == 1
    assert shop.codes() == ["CANCELED"]


async def test_a_cancel_is_heard_when_no_slot_is_free() -> None:
    shop = Shop(slots=1)
    await shop.open()
    shop.handlers[Phase.QUERY] = for_ever
    run = await shop.add()

    shop.control.cancel_run(run.id)
    shop.wakeups.ring()
    await shop.clock.advance(1)

    assert run.state is RunState.CANCELED
    await close(shop)


async def test_a_cancel_is_heard_without_a_ring(shop: Shop) -> None:
    shop.handlers[Phase.QUERY] = for_ever
    run = await shop.add()

    shop.control.cancel_run(run.id)
    await shop.clock.advance(8)

    assert run.state is RunState.CANCELED


async def test_lost_work_is_stopped_and_nothing_is_said(shop: Shop) -> None:
    shop.handlers[Phase.QUERY] = for_ever
    run = await shop.add()
    run.lease, run.state = None, RunState.QUEUED

    await shop.clock.advance(8)

    assert [seen.cause for seen in shop.observer.of(LeaseDropped)] == ["refused"]
    assert "finish" not in shop.control.calls
    assert shop.codes() == ["LEASE_LOST"]


async def test_a_short_outage_costs_no_work(shop: Shop) -> None:
    gate = anyio.Event()

    async def gated(_: PhaseContext) -> PhaseResult:
        await gate.wait()
        return {}

    shop.handlers[Phase.QUERY] = gated
    run = await shop.add()

    def away(name: str) -> None:
        raise ControlPlaneUnavailable(reason=name)

    shop.control.before = away
    await shop.clock.advance(5)
    gate.set()
    await shop.clock.advance(5)
    shop.control.before = lambda _: None
    await shop.clock.advance(5)

    assert run.state is RunState.SUCCEEDED
    assert len(shop.seen) == 1


async def test_an_outage_between_lease_and_first_phase_costs_no_attempt(shop: Shop) -> None:
    def away(name: str) -> None:
        if name == "bundle":
            raise ControlPlaneUnavailable(reason=name)

    shop.control.before = away
    run = await shop.add(max_attempts=1)
    shop.control.before = lambda _: None
    await shop.clock.advance(5)

    assert (run.state, run.attempt) == (RunState.SUCCEEDED, 1)


async def test_an_outage_longer_than_the_lease_drops_the_work_and_the_executor_lives_on(shop: Shop) -> None:
    shop.handlers[Phase.QUERY] = for_ever
    await shop.add()

    def away(name: str) -> None:
        raise ControlPlaneUnavailable(reason=name)

    shop.control.before = away
    await shop.clock.advance(40)
    shop.control.before = lambda _: None
    await shop.clock.advance(10)
    del shop.handlers[Phase.QUERY]
    run = await shop.add()

    assert [seen.cause for seen in shop.observer.of(LeaseDropped)] == ["untrusted"]
    assert run.state is RunState.SUCCEEDED


async def test_an_end_that_could_not_be_told_in_time_is_not_told_at_all(shop: Shop) -> None:
    gate = anyio.Event()

    async def gated(_: PhaseContext) -> PhaseResult:
        await gate.wait()
        return {}

    shop.handlers[Phase.QUERY] = gated
    run = await shop.add()

    def away(name: str) -> None:
        raise ControlPlaneUnavailable(reason=name)

    shop.control.before = away
    gate.set()
    await shop.clock.advance(21)
    shop.control.before = lambda _: None
    await shop.clock.advance(5)

    assert run.state is RunState.RUNNING
    assert [seen.cause for seen in shop.observer.of(LeaseDropped)] == ["untrusted"]


async def test_work_that_outlasts_its_time_limit_fails_for_good(shop: Shop) -> None:
    shop.handlers[Phase.QUERY] = for_ever
    run = await shop.add(bundle=make_bundle(time_limit_seconds=60))
    await shop.clock.advance(58)
    still = run.state

    await shop.clock.advance(4)

    assert (still, run.state, run.failures) == (RunState.RUNNING, RunState.FAILED, 1)
    assert run.error is not None
    assert run.error["code"] == "TIME_LIMIT"
    assert shop.codes() == ["TIME_LIMIT"]


async def test_what_an_attempt_used_is_told_with_its_end(shop: Shop) -> None:
    async def published(_: PhaseContext) -> PhaseResult:
        meter = METER.get()
        assert meter is not None
        meter.compute_seconds += 2.5
        meter.queries += 3
        return {"tables": [{"name": "gold.x", "rows_added": 7, "written": [{"bytes": 100}, {"bytes": 20}]}]}

    shop.handlers[Phase.PUBLISH] = published

    run = await shop.add("publish")

    assert run.usage == {"rows": 7, "bytes": 120, "queries": 3, "compute_seconds": "2.500000"}


async def test_an_attempt_that_used_nothing_tells_nothing(shop: Shop) -> None:
    assert (await shop.add()).usage is None


# --- helping itself ------------------------------------------------------------------------------------------------


async def test_without_a_dispatcher_the_executor_helps_itself(shop: Shop) -> None:
    run = add_run(shop.control)

    await shop.clock.advance(11)

    assert run.state is RunState.SUCCEEDED
    assert [seen.claimed for seen in shop.observer.of(WorkTaken)] == [True]


# --- what is handed over -------------------------------------------------------------------------------------------


async def test_what_was_handed_over_is_carried_at_the_ring_that_names_its_session(shop: Shop) -> None:
    run = shop.hand_over()

    await shop.rung(Heard(named=True))

    assert run.state is RunState.SUCCEEDED


async def test_what_shows_up_again_is_not_carried_twice(shop: Shop) -> None:
    shop.handlers[Phase.QUERY] = for_ever
    shop.hand_over()

    for _ in range(3):
        await shop.rung(Heard(named=True))

    assert len(shop.seen) == 1


async def test_a_lost_ring_is_made_good_by_the_next_scan(shop: Shop) -> None:
    run = shop.hand_over()

    await shop.clock.advance(5)

    assert run.state is RunState.SUCCEEDED


async def test_what_rang_before_the_bell_was_proven_is_fetched_when_it_is(shop: Shop) -> None:
    shop.wakeups.healthy = False
    shop.wakeups.ring()
    await settle()
    run = shop.hand_over()

    shop.wakeups.healthy = True
    await shop.rung(Heard(other=True))  # as the proof rings, a moment after the scan before it

    assert run.state is RunState.SUCCEEDED


async def test_other_rings_do_not_put_the_scan_off(shop: Shop) -> None:
    run = shop.hand_over()

    for _ in range(6):
        await shop.rung(Heard(other=True))
        await shop.clock.advance(1)

    assert run.state is RunState.SUCCEEDED


async def test_the_age_of_its_lease_counts_against_its_trust(shop: Shop) -> None:
    run = shop.hand_over()
    shop.clock.jump(21)  # of thirty seconds, an executor trusts twenty

    await shop.rung(Heard(named=True))

    assert shop.seen == []
    assert run.state is RunState.RUNNING


async def test_what_was_fetched_is_carried_whatever_comes_after(shop: Shop) -> None:
    run = shop.hand_over()

    def away_afterwards(name: str) -> None:
        if name == "take_work":
            raise ControlPlaneUnavailable(reason=name)

    shop.control.before = away_afterwards
    await shop.clock.advance(6)

    assert run.state is RunState.SUCCEEDED


async def test_a_slot_that_was_filled_by_handing_over_is_filled_again_when_it_falls_free() -> None:
    shop = Shop(slots=1)
    await shop.open()
    gate = anyio.Event()

    async def gated(_: PhaseContext) -> PhaseResult:
        await gate.wait()
        return {}

    shop.handlers[Phase.QUERY] = gated
    shop.hand_over()
    await shop.rung(Heard(named=True))
    waiting = add_run(shop.control)

    gate.set()
    await settle()

    assert waiting.state is RunState.SUCCEEDED
    await close(shop)


async def test_a_ring_of_the_dispatcher_is_not_lost_beside_one_that_names_the_session(shop: Shop) -> None:
    shop.hand_over()
    run = add_run(shop.control)
    await shop.control.lease_runs(10)

    await shop.rung(Heard(named=True, other=True))

    assert run.state is RunState.SUCCEEDED


async def test_without_a_dispatcher_it_helps_itself_however_often_it_is_handed_something(shop: Shop) -> None:
    run = add_run(shop.control)

    for _ in range(5):
        shop.hand_over()
        await shop.rung(Heard(named=True))
        await shop.clock.advance(2)

    assert run.state is RunState.SUCCEEDED


async def test_a_ring_is_not_forgotten_when_the_fetch_fails(shop: Shop) -> None:
    run = shop.hand_over()
    failed: list[str] = []

    def away_once(name: str) -> None:
        if name == "handed_over" and not failed:
            failed.append(name)
            raise ControlPlaneUnavailable(reason=name)

    shop.control.before = away_once
    await shop.rung(Heard(named=True))
    await shop.clock.advance(1)

    assert run.state is RunState.SUCCEEDED


async def test_who_stops_gives_back_what_was_handed_over_meanwhile(shop: Shop) -> None:
    run = shop.hand_over()

    shop.stopping.drain()
    await settle()

    assert (run.state, run.interruptions) == (RunState.QUEUED, 1)


@pytest.mark.parametrize(
    ("heard", "asks"),
    [(Heard(named=True), False), (Heard(named=True, other=True), True), (Heard(other=True), True), (Heard(), True)],
)
async def test_who_is_only_called_to_work_does_not_ask_about_cancels(shop: Shop, heard: Heard, *, asks: bool) -> None:
    shop.handlers[Phase.QUERY] = for_ever
    await shop.add()
    shop.control.calls.clear()

    shop.heard = heard
    shop.wakeups.ring()
    await shop.clock.advance(1)

    assert ("beat" in shop.control.calls) is asks


async def test_with_a_dispatcher_at_work_it_waits_to_be_handed_runs(shop: Shop) -> None:
    await shop.add()
    shop.control.calls.clear()

    for _ in range(10):
        await shop.clock.advance(1)
        await shop.add()

    assert "claim_work" not in shop.control.calls


# --- stopping ------------------------------------------------------------------------------------------------------


async def test_a_drain_lets_running_work_end_and_takes_no_more(shop: Shop) -> None:
    gate = anyio.Event()

    async def gated(_: PhaseContext) -> PhaseResult:
        await gate.wait()
        return {}

    shop.handlers[Phase.QUERY] = gated
    run = await shop.add()
    shop.stopping.drain()
    await settle()
    later = await shop.add()
    assert not shop.done

    gate.set()
    await settle()

    assert shop.done
    assert run.state is RunState.SUCCEEDED
    assert later.state is RunState.QUEUED


async def test_a_drain_gives_back_what_was_leased_but_not_begun(shop: Shop) -> None:
    run = add_run(shop.control)
    await shop.control.lease_runs(1)

    shop.stopping.drain()
    await settle()

    assert shop.done
    assert (run.state, run.interruptions, run.failures) == (RunState.QUEUED, 1, 0)


async def test_work_that_outlasts_the_drain_is_given_back(shop: Shop) -> None:
    shop.handlers[Phase.QUERY] = for_ever
    run = await shop.add()
    shop.stopping.drain()
    await shop.clock.advance(19)
    assert not shop.done

    await shop.clock.advance(2)

    assert shop.done
    assert (run.state, run.interruptions) == (RunState.QUEUED, 1)
    assert len(shop.observer.of(RunInterrupted)) == 1


async def test_a_hurry_gives_running_work_back_at_once(shop: Shop) -> None:
    shop.handlers[Phase.QUERY] = for_ever
    run = await shop.add()
    shop.stopping.drain()
    await settle()

    shop.stopping.hurry()
    await settle()

    assert shop.done
    assert (run.state, run.interruptions) == (RunState.QUEUED, 1)


async def test_an_executor_signs_off_when_it_stops(shop: Shop) -> None:
    shop.stopping.drain()
    await settle()

    assert shop.done
    assert shop.control.calls[-1] == "sign_off"
    assert all(row.signed_off for row in shop.control.executors.values())


async def test_an_idle_executor_stops_at_once_even_while_the_database_is_away(shop: Shop) -> None:
    def away(name: str) -> None:
        raise ControlPlaneUnavailable(reason=name)

    shop.control.before = away
    shop.stopping.drain()
    await shop.clock.advance(1)

    assert shop.done
