"""The keeper of time fires what is owed, rests until the next tick, and lets no broken schedule stop the others."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from uuid import uuid4

from lakehouse_dispatcher.app import dispatch
from lakehouse_dispatcher.settings import DispatcherSettings
from lakehouse_dispatcher.timekeeping import BATCH, EVENTS, Timekeeper
from opscore.domain.ticks import CatchUpRule, Rhythm
from opscore.observe.observation import ScheduleBlocked, ScheduleTicked
from opscore.ports.timekeeping import OwedSchedule, TimeDue
from opscore.testing.clock import settle
from opscore.testing.factories import make_service
from opscore.testing.memory import MemoryControlPlane
from opscore.testing.wakeups import ManualWakeups

SETTINGS = DispatcherSettings.load(database_url="postgresql://u:p@127.0.0.1/x")
NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
NOTHING = TimeDue(schedules=False, events=False, backfills=False, next_in_ms=3_600_000)


def owed(cron: str, name: str = "main") -> OwedSchedule:
    since = NOON - timedelta(minutes=10)
    return OwedSchedule(uuid4(), "orders", name, Rhythm(cron, None), CatchUpRule(), since, 1, NOON)


class Time:
    """A control plane that owes what the test says and remembers what was fired."""

    def __init__(self, due: TimeDue = NOTHING, schedules: Sequence[OwedSchedule] = ()) -> None:
        self.due, self.schedules = due, list(schedules)
        self.fired: list[tuple[str, list[datetime], datetime | None]] = []
        self.blocked: list[str] = []
        self.read, self.moved, self.looks = 0, 0, 0

    async def time_due(self) -> TimeDue:
        self.looks += 1
        return self.due

    async def due_schedules(self, limit: int) -> list[OwedSchedule]:
        return self.schedules[:limit]

    async def fire_ticks(
        self, schedule: OwedSchedule, ticks: Sequence[datetime], until: datetime, following: datetime | None
    ) -> int | None:
        assert until == NOON
        self.fired.append((schedule.name, list(ticks), following))
        return len(ticks)

    async def block_schedule(self, schedule: OwedSchedule, fault: str) -> None:
        self.blocked.append(f"{schedule.name}: {fault}")

    async def fire_event_triggers(self, limit: int) -> tuple[int, int]:
        return min(self.read, limit), 0

    async def advance_backfills(self, limit: int) -> int:
        return min(self.moved, limit)


DUE = TimeDue(schedules=True, events=False, backfills=False, next_in_ms=0)


async def test_the_owed_tick_is_fired_together_with_the_moment_of_the_next() -> None:
    time, test = Time(DUE, [owed("55 * * * *")]), make_service()

    await Timekeeper(time, test.service).one_pass()

    assert time.fired == [("main", [NOON.replace(hour=11, minute=55)], NOON.replace(minute=55))]
    assert test.observer.of(ScheduleTicked) == [ScheduleTicked("orders", "main", 1)]


async def test_a_schedule_that_cannot_be_computed_is_blocked_and_the_others_tick() -> None:
    time, test = Time(DUE, [owed("61 * * * *", "broken"), owed("55 * * * *")]), make_service()

    await Timekeeper(time, test.service).one_pass()

    assert [name for name, _, _ in time.fired] == ["main"]
    assert [fault.partition(":")[0] for fault in time.blocked] == ["broken"]
    assert len(test.observer.of(ScheduleBlocked)) == 1


async def test_it_rests_until_the_next_tick_and_shortly_while_something_is_under_way() -> None:
    rests = {}
    for name, due, read in (
        ("idle", NOTHING, 0),
        ("soon", TimeDue(schedules=False, events=False, backfills=False, next_in_ms=1500), 0),
        ("backfill", TimeDue(schedules=False, events=False, backfills=True, next_in_ms=1500), 0),
        ("events", TimeDue(schedules=False, events=True, backfills=False, next_in_ms=1500), 3),
        ("many events", TimeDue(schedules=False, events=True, backfills=False, next_in_ms=1500), EVENTS),
    ):
        time = Time(due)
        time.read, time.moved = read, BATCH - 1
        rests[name] = await Timekeeper(time, make_service().service).one_pass()

    assert rests == {"idle": 3600, "soon": 1.5, "backfill": 0.2, "events": 0.2, "many events": 0}


async def test_only_the_leader_keeps_time_and_looks_again_when_the_tick_is_due() -> None:
    test, standby = make_service("dispatcher"), make_service("dispatcher")
    control = MemoryControlPlane(test.clock)
    time, idle = Time(TimeDue(schedules=False, events=False, backfills=False, next_in_ms=1500)), Time()
    tasks = [
        asyncio.create_task(dispatch(control, ManualWakeups(test.clock), made.service, SETTINGS, kept))
        for made, kept in ((test, time), (standby, idle))
    ]
    await settle()
    looks = []
    for _ in range(80):
        await test.clock.advance(0.1)
        looks.append(time.looks)

    moments = [step for step, (before, now) in enumerate(pairwise(looks)) if now > before]
    assert {later - earlier for earlier, later in pairwise(moments)} <= {15, 16}
    assert (len(moments) >= 4, idle.looks) == (True, 0)
    for task in tasks:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
