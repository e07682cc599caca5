"""The executor's pulse: leases are renewed, news delivered, verdicts heeded, silence given up on."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Sequence
from uuid import UUID

import anyio
import pytest

from opscore.domain.errors import Canceled, ControlPlaneUnavailable, InvalidInput, LeaseLost
from opscore.domain.phase import Phase
from opscore.domain.run import Verdict, WorkOrder
from opscore.observe.observation import BeatAnswered, CancelHeard, LeaseDropped
from opscore.ports.control_plane import Beat
from opscore.runtime.beat import Heart
from opscore.runtime.held import HeldLease, Interrupted
from opscore.testing.clock import settle
from opscore.testing.factories import add_run, make_service
from opscore.testing.memory import MemoryControlPlane


class Body:
    """A heart that beats for an executor in memory."""

    def __init__(self) -> None:
        self.test = make_service("executor")
        self.clock = self.test.clock
        self.observer = self.test.observer
        self.control = MemoryControlPlane(self.clock)
        self.executor_id = UUID(int=0)

    async def start(self) -> None:
        self.executor_id = await self.control.register_executor("one", [], 100, "0")
        self.heart = Heart(self.control, self.executor_id, self.test.service)

    async def order(self, *phases: str) -> WorkOrder:
        add_run(self.control, phases=phases or ("query",))
        (order,) = await self.control.claim_work(self.executor_id, 1)
        return order

    def hold(self, order: WorkOrder, *, light: bool = False) -> HeldLease:
        return self.heart.hold(order.lease, answered_at=self.clock.monotonic(), light=light)

    def beats(self) -> int:
        return self.control.calls.count("beat")

    def carried(self) -> int:
        return sum(beat.runs for beat in self.observer.of(BeatAnswered))

    def types(self, order: WorkOrder) -> list[str]:
        return [event.type for event in self.control.events if event.run_id == order.lease.run_id]


@pytest.fixture
async def body() -> AsyncIterator[Body]:
    made = Body()
    await made.start()
    beating = asyncio.create_task(made.heart.run())
    await settle()
    yield made
    beating.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await beating


async def work_for_ever(held: HeldLease, meanwhile: Awaitable[None]) -> None:
    """Work that only the lease can end."""
    with anyio.fail_after(60), held.working():
        await meanwhile
        await anyio.sleep_forever()


async def test_an_idle_executor_says_that_it_is_alive(body: Body) -> None:
    await body.clock.advance(10)

    assert 5 <= body.beats() <= 7
    assert body.carried() == 0


async def test_a_lease_is_renewed_before_a_quarter_of_it_is_over_and_outlives_many_leases(body: Body) -> None:
    order = await body.order()
    held = body.hold(order)

    await body.clock.advance(300)

    assert await body.control.requeue_stale_runs(10) == []
    assert held.fault is None


async def test_one_trip_renews_all_runs(body: Body) -> None:
    for _ in range(3):
        body.hold(await body.order())
    before = body.beats()

    await body.clock.advance(7.6)

    assert body.carried() == 3
    assert body.beats() - before <= 5


async def test_a_run_that_was_let_go_is_not_renewed(body: Body) -> None:
    held = body.hold(await body.order())

    body.heart.let_go(held)
    await body.clock.advance(31)

    assert len(await body.control.requeue_stale_runs(10)) == 1


async def test_a_checkpoint_is_durable_when_it_returns(body: Body) -> None:
    order = await body.order("ingest", "publish")
    held = body.hold(order)

    await held.checkpoint(Phase.INGEST, {"rows": 3}, upcoming=Phase.PUBLISH, data={"rows": 3})

    run = body.control.runs[order.lease.run_id]
    assert (run.checkpoint, run.phase) == ({"ingest": {"rows": 3}}, Phase.PUBLISH)
    assert body.types(order)[-2:] == ["PHASE_SUCCEEDED", "PHASE_STARTED"]


async def test_progress_travels_soon_and_only_the_latest(body: Body) -> None:
    order = await body.order()
    held = body.hold(order)

    for done in range(1000):
        held.report({"done": done})
    await body.clock.advance(0.6)

    assert body.control.runs[order.lease.run_id].progress == {"done": 999}
    assert body.types(order).count("PHASE_PROGRESS") == 1


async def test_a_cancel_ends_the_work(body: Body) -> None:
    order = await body.order()
    held = body.hold(order)
    body.control.cancel_run(order.lease.run_id)
    body.heart.ask()

    with pytest.raises(Canceled):
        await work_for_ever(held, body.clock.advance(1))

    assert len(body.observer.of(CancelHeard)) == 1


async def test_a_lease_that_was_taken_ends_the_work(body: Body) -> None:
    order = await body.order()
    held = body.hold(order)
    body.clock.jump(31)
    await body.control.requeue_stale_runs(10)

    with pytest.raises(LeaseLost):
        await work_for_ever(held, body.clock.advance(1))

    assert [seen.cause for seen in body.observer.of(LeaseDropped)] in (["refused"], ["untrusted"])


async def test_a_lease_without_answered_beats_is_given_up_before_the_database_gives_it_away(body: Body) -> None:
    order = await body.order()
    held = body.hold(order)

    def away(name: str) -> None:
        raise ControlPlaneUnavailable(reason=name)

    body.control.before = away
    await body.clock.advance(19.9)
    still_trusted = held.fault is None
    with pytest.raises(LeaseLost):
        await work_for_ever(held, body.clock.advance(1.2))

    assert still_trusted
    assert [seen.cause for seen in body.observer.of(LeaseDropped)] == ["untrusted"]
    assert body.clock.monotonic() < 22


async def test_a_lost_lease_is_not_beaten_any_more(body: Body) -> None:
    held = body.hold(await body.order())
    held.stop(LeaseLost(run_id=1, write="publish"))

    await body.clock.advance(20)

    assert body.carried() == 0
    assert body.beats() <= 12


async def test_news_of_an_unanswered_beat_come_with_the_next_one(body: Body) -> None:
    order = await body.order("ingest", "publish")
    held = body.hold(order)
    failures = iter([True, True])

    def away(name: str) -> None:
        if name == "beat" and next(failures, False):
            raise ControlPlaneUnavailable(reason=name)

    body.control.before = away
    async with anyio.create_task_group() as group:

        async def checkpoint() -> None:
            await held.checkpoint(Phase.INGEST, {"rows": 3}, upcoming=Phase.PUBLISH, data={})

        group.start_soon(checkpoint)
        await settle()
        held.report({"done": 1})
        await body.clock.advance(2)

    run = body.control.runs[order.lease.run_id]
    assert run.checkpoint == {"ingest": {"rows": 3}}
    assert body.types(order).count("PHASE_SUCCEEDED") == 1
    assert run.progress == {"done": 1}


async def test_content_that_the_control_plane_refuses_fails_its_run_alone(body: Body) -> None:
    bad, good = body.hold(await body.order()), body.hold(await body.order())
    beat = body.control.beat

    async def picky(executor_id: UUID, beats: Sequence[Beat], *, draining: bool = False) -> dict[UUID, Verdict]:
        if any((sent.progress or {}).get("unit") == "\x00" for sent in beats):
            raise InvalidInput("no NUL")
        return await beat(executor_id, beats, draining=draining)

    body.control.beat = picky  # type: ignore[method-assign]
    bad.report({"unit": "\x00"})
    good.report({"unit": "rows"})
    await body.clock.advance(1)

    assert isinstance(bad.fault, InvalidInput)
    assert good.fault is None
    assert body.control.runs[good.lease.run_id].progress == {"unit": "rows"}


async def test_a_verdict_that_an_ending_overtook_is_not_heeded(body: Body) -> None:
    order = await body.order()
    held = body.hold(order)
    body.clock.jump(31)
    await body.control.requeue_stale_runs(10)
    held.ending = True

    await body.clock.advance(3)

    assert held.fault is None


async def test_a_lost_lease_outranks_every_other_reason_to_stop(body: Body) -> None:
    held = body.hold(await body.order())

    first = held.stop(Interrupted())
    second = held.stop(LeaseLost(run_id=1, write="beat"))
    third = held.stop(Canceled(run_id=1))

    assert (first, second, third) == (True, True, False)
    assert isinstance(held.fault, LeaseLost)
