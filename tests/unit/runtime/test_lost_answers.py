"""A beat or an end that arrived although its answer was lost is told again, and nothing of it is lost or doubled."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from uuid import UUID

import pytest

from opscore.domain.errors import ControlPlaneUnavailable
from opscore.domain.phase import Phase
from opscore.domain.run import Verdict
from opscore.ports.control_plane import Beat
from opscore.runtime.beat import Heart
from opscore.runtime.held import HeldLease
from opscore.testing.clock import settle
from opscore.testing.factories import add_run, make_service
from opscore.testing.memory import MemoryControlPlane


class Deaf:
    """A heart whose control plane hears everything and whose next answers are lost."""

    def __init__(self) -> None:
        self.test = make_service("executor")
        self.clock = self.test.clock
        self.control = MemoryControlPlane(self.clock)
        self.lost = 0
        self._beat = self.control.beat
        self.control.beat = self._hear  # type: ignore[method-assign]

    async def _hear(self, executor_id: UUID, beats: Sequence[Beat], *, draining: bool = False) -> dict[UUID, Verdict]:
        verdicts = await self._beat(executor_id, beats, draining=draining)
        if beats and self.lost:
            self.lost -= 1
            raise ControlPlaneUnavailable(reason="the answer was lost")
        return verdicts

    async def start(self) -> None:
        executor = await self.control.register_executor("one", [], 1, "0")
        self.heart = Heart(self.control, executor, self.test.service)
        add_run(self.control, phases=("ingest", "publish"))
        (order,) = await self.control.claim_work(executor, 1)
        self.lease: HeldLease = self.heart.hold(order.lease, answered_at=self.clock.monotonic())
        self.lease.phase = Phase.INGEST

    def told(self) -> list[str]:
        return [event.type for event in self.control.events][3:]

    def progress(self) -> list[int]:
        return [event.data["done"] for event in self.control.events if event.type == "PHASE_PROGRESS"]


@pytest.fixture
async def deaf() -> AsyncIterator[Deaf]:
    made = Deaf()
    await made.start()
    beating = asyncio.create_task(made.heart.run())
    await settle()
    yield made
    beating.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await beating


async def test_a_checkpoint_whose_answer_was_lost_is_stored_once(deaf: Deaf) -> None:
    deaf.lost = 1

    done = asyncio.create_task(
        deaf.lease.checkpoint(Phase.INGEST, {"rows": 1}, upcoming=Phase.PUBLISH, data={"rows": 1})
    )
    await deaf.clock.advance(2)
    await done

    assert deaf.told() == ["PHASE_SUCCEEDED", "PHASE_STARTED"]


async def test_progress_that_came_meanwhile_is_told_behind_what_was_lost(deaf: Deaf) -> None:
    deaf.lost = 2
    for number in range(3):
        deaf.lease.report({"done": number})
        await deaf.clock.advance(0.6)

    await deaf.clock.advance(5)

    assert deaf.progress() == sorted(set(deaf.progress()))
    assert deaf.progress()[-1] == 2


async def test_what_no_beat_has_brought_goes_with_the_end_and_is_numbered(deaf: Deaf) -> None:
    deaf.lost = 1000
    deaf.lease.report({"done": 1})
    await deaf.clock.advance(0.55)

    events_from = deaf.lease.events_from
    events = deaf.lease.take_events()

    assert (events_from, [kind for kind, _ in events]) == (0, ["PHASE_PROGRESS"])
