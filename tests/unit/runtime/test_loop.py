"""The loop wakes by bell, by scan and by due time, and outlives the database's absence."""

from __future__ import annotations

from collections.abc import Callable

import anyio

from opscore.domain.errors import ControlPlaneUnavailable
from opscore.runtime.loop import NOTHING, Found, Pace, work_when_woken
from opscore.testing.clock import settle
from opscore.testing.factories import TestService, make_service
from opscore.testing.wakeups import ManualWakeups

PACE = Pace(proven=5.0, unproven=0.5)


class Passes:
    """Answers passes from a list, then finds nothing. rang: how each pass was woken."""

    def __init__(self, *found: Found | Exception) -> None:
        self.found = list(found)
        self.rang: list[bool] = []

    async def __call__(self, rang: bool) -> Found:  # noqa: FBT001
        self.rang.append(rang)
        answer = self.found.pop(0) if self.found else NOTHING
        if isinstance(answer, Exception):
            raise answer
        return answer


async def looping(
    passes: Passes, during: Callable[[TestService, ManualWakeups], object], *, healthy: bool = True
) -> ManualWakeups:
    """Run the loop, let `during` happen, and stop it."""
    test = make_service()
    wakeups = ManualWakeups(test.clock, healthy=healthy)
    async with anyio.create_task_group() as group:

        async def loop() -> None:
            await work_when_woken(passes, wakeups, test.service, doing="work", pace=PACE)

        group.start_soon(loop)
        await settle()
        answer = during(test, wakeups)
        if answer is not None:
            await answer  # type: ignore[misc] # a coroutine when there is something to wait for
        await settle()
        test.service.stopping.drain()
    return wakeups


async def test_the_first_pass_is_a_scan_and_a_ring_wakes_the_next() -> None:
    passes = Passes()

    await looping(passes, lambda _, wakeups: wakeups.ring())

    assert passes.rang[:2] == [False, True]


async def test_a_proven_bell_means_slow_scans() -> None:
    passes = Passes()

    wakeups = await looping(passes, lambda test, _: test.clock.advance(10.1))

    assert set(wakeups.waits) == {5.0}
    assert passes.rang[:3] == [False, False, False]


async def test_an_unproven_bell_means_fast_scans() -> None:
    wakeups = await looping(Passes(), lambda test, _: test.clock.advance(1.1), healthy=False)

    assert set(wakeups.waits) == {0.5}


async def test_a_full_batch_is_followed_by_the_next_pass_at_once() -> None:
    passes = Passes(Found(again=True), Found(again=True))

    wakeups = await looping(passes, lambda *_: None)

    assert len(passes.rang) >= 3
    assert wakeups.waits[:1] == [5.0]


async def test_the_loop_sleeps_no_longer_than_until_something_is_due() -> None:
    passes = Passes(Found(due_in=1.25), Found(due_in=0.0), Found(due_in=100.0))

    wakeups = await looping(passes, lambda test, _: test.clock.advance(2))

    assert wakeups.waits[:3] == [1.25, 0.002, 5.0]


async def test_an_absent_database_makes_passes_late_and_ends_nothing() -> None:
    passes = Passes(ControlPlaneUnavailable(reason="restarting"), ControlPlaneUnavailable(reason="restarting"))

    await looping(passes, lambda test, _: test.clock.advance(3))

    assert len(passes.rang) == 3


async def test_a_stop_during_an_outage_ends_the_loop() -> None:
    passes = Passes(*[ControlPlaneUnavailable(reason="gone")] * 1000)

    await looping(passes, lambda *_: None)

    assert len(passes.rang) < 10
