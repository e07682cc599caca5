"""The dispatcher moves dead, held and due runs on, at the moment they are due."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from uuid import UUID

import pytest

from lakehouse_dispatcher.app import dispatch
from lakehouse_dispatcher.settings import DispatcherSettings
from opscore.domain.errors import ControlPlaneUnavailable
from opscore.domain.run import RunState
from opscore.observe.observation import RunRescued, RunsLeased
from opscore.testing.clock import settle
from opscore.testing.factories import TestService, add_run, make_service
from opscore.testing.memory import MemoryControlPlane
from opscore.testing.wakeups import ManualWakeups

SETTINGS = DispatcherSettings.load(database_url="postgresql://u:p@127.0.0.1/x", dispatcher_batch=3)


class Desk:
    """A dispatcher at work on a control plane in memory."""

    def __init__(self) -> None:
        self.test: TestService = make_service("dispatcher")
        self.control = MemoryControlPlane(self.test.clock)
        self.wakeups = ManualWakeups(self.test.clock)
        self.work = asyncio.create_task(dispatch(self.control, self.wakeups, self.test.service, SETTINGS))

    async def executor(self, slots: int = 100) -> UUID:
        return await self.control.register_executor("one", [], slots, "0")

    async def advance(self, seconds: float) -> None:
        """Move time while the executor beats."""
        for _ in range(int(seconds * 10)):
            for executor in self.control.executors:
                await self.control.beat(executor, [])
            await self.test.clock.advance(0.1)


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    made = Desk()
    await settle()
    yield made
    made.work.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await made.work


async def test_a_ring_leases_what_is_due(desk: Desk) -> None:
    executor = await desk.executor()
    run = add_run(desk.control)

    desk.wakeups.ring()
    await settle()

    assert (run.state, run.executor_id) == (RunState.CLAIMED, executor)


async def test_without_a_ring_the_scan_finds_it(desk: Desk) -> None:
    await desk.executor()
    run = add_run(desk.control)

    await desk.advance(2.1)

    assert run.state is RunState.CLAIMED


async def test_full_batches_follow_each_other_without_a_ring(desk: Desk) -> None:
    await desk.executor()
    runs = [add_run(desk.control) for _ in range(10)]

    desk.wakeups.ring()
    await settle()

    assert {run.state for run in runs} == {RunState.CLAIMED}
    assert sum(seen.count for seen in desk.test.observer.of(RunsLeased)) == 10


async def test_a_run_that_falls_due_between_scans_is_leased_at_its_moment(desk: Desk) -> None:
    await desk.executor()
    run = add_run(desk.control, due_in=1.0)
    desk.wakeups.ring()
    await settle()

    await desk.advance(0.9)
    early = run.state
    await desk.advance(0.2)

    assert (early, run.state) == (RunState.QUEUED, RunState.CLAIMED)


async def test_a_lost_run_is_back_at_work_within_milliseconds_of_its_lease_end(desk: Desk) -> None:
    executor = await desk.executor()
    run = add_run(desk.control)
    desk.wakeups.ring()
    await settle()
    await desk.control.take_work(executor, 1)
    lease_end = run.lease_ends_at
    await desk.advance(29.0)
    assert run.attempt == 1

    while run.attempt == 1 and desk.test.clock.monotonic() < lease_end + 1:
        await desk.test.clock.advance(0.01)

    assert run.state is RunState.CLAIMED
    assert desk.test.clock.monotonic() - lease_end < 0.15
    assert desk.test.observer.of(RunRescued) == [RunRescued(run.id, "queued")]


async def test_an_idle_dispatcher_asks_no_more_than_once_per_scan(desk: Desk) -> None:
    await desk.advance(1)
    before = desk.control.calls.count("lease_runs")

    await desk.advance(20)

    assert desk.control.calls.count("lease_runs") - before <= 11


async def test_a_standby_that_hears_the_bell_does_not_ask_for_work(desk: Desk) -> None:
    bell = ManualWakeups(desk.test.clock)
    standing_by = asyncio.create_task(dispatch(desk.control, bell, make_service("dispatcher").service, SETTINGS))
    await settle()
    desk.control.calls.clear()

    bell.ring()
    await settle()

    assert bell.waits
    assert "lease_runs" not in desk.control.calls
    standing_by.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await standing_by


async def test_a_lease_that_ends_right_after_a_rescue_does_not_wait_for_the_next_sweep(desk: Desk) -> None:
    executor = await desk.executor()
    runs = [add_run(desk.control) for _ in range(2)]
    desk.wakeups.ring()
    await settle()
    await desk.control.take_work(executor, 2)
    runs[1].lease_ends_at += 0.02
    await desk.control.beat(executor, [], draining=True)

    await desk.test.clock.advance(29.99)
    while runs[0].lease is not None:
        await desk.test.clock.advance(0.001)
    await desk.test.clock.advance(0.03)

    assert runs[1].state is RunState.QUEUED
    assert desk.test.clock.monotonic() < runs[1].lease_ends_at + 0.05


async def test_a_database_restart_delays_and_loses_nothing(desk: Desk) -> None:
    await desk.executor()
    run = add_run(desk.control)

    def away(name: str) -> None:
        if name not in {"beat", "take_work"}:
            raise ControlPlaneUnavailable(reason="restarting")

    desk.control.before = away
    await desk.advance(10)
    during = run.state
    desk.control.before = lambda _: None
    await desk.advance(12)

    assert (during, run.state) == (RunState.QUEUED, RunState.CLAIMED)
    assert not desk.work.done()


async def test_partitions_are_made_ahead_by_the_leader(desk: Desk) -> None:
    await desk.advance(400)

    assert desk.control.calls.count("ensure_event_partitions") >= 2


async def test_a_stop_ends_dispatching_and_hands_leadership_on(desk: Desk) -> None:
    desk.test.service.stopping.drain()
    await settle()

    assert desk.work.done()
    assert await desk.control.take_leadership("dispatcher", UUID(int=5), 1000) is not None
