"""Sends side by side, each settled by itself."""

from __future__ import annotations

import asyncio
import uuid
from datetime import UTC, datetime

import anyio

from lakehouse_notifier.bell import Bell
from lakehouse_notifier.sending import Sending
from opscore.domain.errors import ControlPlaneUnavailable
from opscore.ports.event_log import DueNotification, SendOutcome
from opscore.runtime.health import Health
from opscore.runtime.service import Service
from opscore.runtime.stopping import Stopping
from support.seen import Seen


class Moment:
    """Time that passes only by sleeping."""

    def __init__(self) -> None:
        self.passed = 0.0

    def now(self) -> datetime:
        return datetime(2026, 3, 1, tzinfo=UTC)

    def monotonic(self) -> float:
        return self.passed

    async def sleep(self, seconds: float) -> None:
        self.passed += seconds
        await asyncio.sleep(0)


class Control:
    """Hands out what is due, and remembers what was settled."""

    def __init__(self, count: int, unavailable: int = 0) -> None:
        self.due = [
            DueNotification(uuid.UUID(int=n), uuid.UUID(int=n), "gate", {"n": n}, {}, 1) for n in range(1, count + 1)
        ]
        self.unavailable = unavailable
        self.refused = asyncio.Event()
        self.settled: list[list[int]] = []
        self.asked: list[int] = []

    async def lease_notifications(self, limit: int, lease_ms: int) -> list[DueNotification]:
        assert lease_ms == 30_000
        self.asked.append(limit)
        leased, self.due = self.due[:limit], self.due[limit:]
        return leased

    async def settle_notifications(self, outcomes: list[SendOutcome]) -> dict[uuid.UUID, bool]:
        if self.unavailable:
            self.unavailable -= 1
            self.refused.set()
            raise ControlPlaneUnavailable(reason="restarting")
        self.settled.append([outcome.id.int for outcome in outcomes])
        return {outcome.id: True for outcome in outcomes}


class Gate:
    """A channel whose sends end when the test says so."""

    def __init__(self) -> None:
        self.open: dict[int, asyncio.Event] = {n: asyncio.Event() for n in range(1, 10)}

    async def send(self, notification: DueNotification) -> None:
        await self.open[notification.target["n"]].wait()


def service() -> Service:
    return Service("notifier", "0", Seen(), Moment(), Health(), Stopping())


async def test_no_more_is_leased_than_there_are_free_slots_and_a_slow_send_holds_up_no_other() -> None:
    control, gate, bell = Control(3), Gate(), Bell()
    async with anyio.create_task_group() as group:
        sending = Sending(control, {"gate": gate}, service(), group, bell, slots=2)
        await sending.pass_once(rang=True)
        await sending.pass_once(rang=True)
        gate.open[2].set()
        assert await bell.wait(5)
        await sending.pass_once(rang=True)
        gate.open[3].set()
        assert await bell.wait(5)
        settled_before_the_slow_one = list(control.settled)
        gate.open[1].set()

    assert control.asked == [2, 1]
    assert settled_before_the_slow_one == [[2], [3]]
    assert control.settled == [[2], [3], [1]]


async def test_settling_waits_for_the_database_to_come_back() -> None:
    control, gate = Control(1, unavailable=3), Gate()
    gate.open[1].set()
    async with anyio.create_task_group() as group:
        await Sending(control, {"gate": gate}, service(), group, Bell()).pass_once(rang=True)

    assert control.settled == [[1]]


async def test_settling_is_given_up_when_the_lease_is_over() -> None:
    control, gate = Control(1, unavailable=10_000), Gate()
    gate.open[1].set()
    async with anyio.create_task_group() as group:
        await Sending(control, {"gate": gate}, service(), group, Bell()).pass_once(rang=True)

    assert control.settled == []


async def test_a_send_that_just_ended_is_settled_even_while_everything_is_cancelled() -> None:
    control, gate, cancelled = Control(1, unavailable=1), Gate(), service()
    gate.open[1].set()
    async with anyio.create_task_group() as group:
        await Sending(control, {"gate": gate}, cancelled, group, Bell()).pass_once(rang=True)
        await control.refused.wait()
        group.cancel_scope.cancel()

    assert control.settled == [[1]]
