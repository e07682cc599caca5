"""One leads, others stand by."""

from __future__ import annotations

import anyio
from anyio.abc import TaskGroup

from opscore.domain.errors import ControlPlaneUnavailable
from opscore.observe.observation import LeadershipLost, LeadershipTaken
from opscore.runtime.health import Health
from opscore.runtime.leader import Leadership
from opscore.runtime.service import Service
from opscore.runtime.stopping import Stopping
from opscore.testing.clock import ManualClock, settle
from opscore.testing.memory import MemoryControlPlane
from opscore.testing.observer import RecordingObserver


class Candidate:
    """A process that wants to lead."""

    def __init__(self, control: MemoryControlPlane, clock: ManualClock) -> None:
        self.observer = RecordingObserver()
        self.stopping = Stopping()
        self.woken = 0
        service = Service("test", "0", self.observer, clock, Health(), self.stopping)
        self.leadership = Leadership(control, service, role="dispatcher", ttl=3.0, on_taken=self._wake)

    def _wake(self) -> None:
        self.woken += 1


async def candidates(group: TaskGroup) -> tuple[Candidate, Candidate, MemoryControlPlane, ManualClock]:
    """Two candidates, the first of which leads."""
    clock = ManualClock()
    control = MemoryControlPlane(clock)
    one, two = Candidate(control, clock), Candidate(control, clock)
    group.start_soon(one.leadership.keep)
    await settle()
    group.start_soon(two.leadership.keep)
    await settle()
    return one, two, control, clock


async def test_the_first_leads_and_the_second_stands_by() -> None:
    async with anyio.create_task_group() as group:
        one, two, _, clock = await candidates(group)
        await clock.advance(30)

        assert (one.leadership.held, two.leadership.held) == (True, False)
        assert (one.woken, two.woken) == (1, 0)
        group.cancel_scope.cancel()


async def test_a_standby_takes_over_at_once_when_the_leader_stops_in_order() -> None:
    async with anyio.create_task_group() as group:
        one, two, _, clock = await candidates(group)

        one.stopping.drain()
        await clock.advance(1.0)

        assert (one.leadership.held, two.leadership.held) == (False, True)
        assert two.woken == 1
        group.cancel_scope.cancel()


async def test_a_leader_that_gets_no_answer_stops_acting_before_its_time_is_up() -> None:
    async with anyio.create_task_group() as group:
        one, two, control, clock = await candidates(group)

        def away(name: str) -> None:
            raise ControlPlaneUnavailable(reason=f"{name} during a restart")

        control.before = away
        await clock.advance(2.1)
        stopped_acting = not one.leadership.held
        await clock.advance(2.0)
        control.before = lambda _: None
        await clock.advance(5)

        assert stopped_acting
        assert len(one.observer.of(LeadershipLost)) == 1
        assert one.leadership.held != two.leadership.held
        assert one.observer.of(LeadershipTaken)[0].term == 1
        group.cancel_scope.cancel()
