"""Keeps time: ticks schedules, starts what events trigger, moves backfills on. Called by `app.py`, beside dispatching.

What is due is the database's word. A crash between computing a tick and firing it leaves the tick owed; firing it twice
is refused, because the schedule it was computed from has changed by then.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

import anyio

from opscore.domain.errors import ControlPlaneUnavailable, Permanent
from opscore.domain.ticks import next_tick
from opscore.observe.observation import BackfillsAdvanced, EventTriggersFired, ScheduleBlocked, ScheduleTicked
from opscore.ports.timekeeping import OwedSchedule, TimeDue, Timekeeping
from opscore.runtime.leader import Leadership
from opscore.runtime.retry import persist
from opscore.runtime.service import Service

DOING = "keep time"
BUSY_EVERY = 0.2  # while a backfill or a trigger on events waits for something to happen
BATCH = 100
EVENTS = 1000


async def keep_time(control: Timekeeping, leadership: Leadership, service: Service, longest: float) -> None:
    """Keep time while leading, until a stop is asked for. longest: seconds between looks when nothing is due."""
    keeper, stopping = Timekeeper(control, service), service.stopping
    while not stopping.draining:
        rest = longest
        if leadership.held:
            with contextlib.suppress(ControlPlaneUnavailable):  # raised only once a stop is asked for
                rest = await persist(keeper.one_pass, DOING, service, until=lambda: stopping.draining)
        await anyio.lowlevel.checkpoint()
        await stopping.pause(min(rest, longest), service.clock)


@dataclass(frozen=True, slots=True)
class Timekeeper:
    """One look at all that time asks for."""

    control: Timekeeping
    service: Service

    async def one_pass(self) -> float:
        """Do what is due; seconds until there is something to do again."""
        due = await self.control.time_due()
        if due.schedules:
            await self._tick()
        more = due.events and await self._follow_events()
        more = (due.backfills and await self._advance()) or more
        return _rest(due, more=more)

    async def _tick(self) -> None:
        for schedule in await self.control.due_schedules(BATCH):
            try:
                await self._fire(schedule)
            except Permanent as fault:
                await self.control.block_schedule(schedule, fault.message)
                self.service.observer.notice(ScheduleBlocked(schedule.pipeline, schedule.name, fault.message))

    async def _fire(self, schedule: OwedSchedule) -> None:
        until = max(schedule.now, schedule.ticked_until)
        ticks = schedule.rule.chosen(schedule.rhythm, schedule.ticked_until, schedule.now)
        started = await self.control.fire_ticks(schedule, ticks, until, next_tick(schedule.rhythm, until))
        if started:
            self.service.observer.notice(ScheduleTicked(schedule.pipeline, schedule.name, started))

    async def _follow_events(self) -> bool:
        read, started = await self.control.fire_event_triggers(EVENTS)
        if started:
            self.service.observer.notice(EventTriggersFired(started))
        return read == EVENTS

    async def _advance(self) -> bool:
        moved = await self.control.advance_backfills(BATCH)
        if moved:
            self.service.observer.notice(BackfillsAdvanced(moved))
        return moved >= BATCH


def _rest(due: TimeDue, *, more: bool) -> float:
    if due.schedules or more:
        return 0.0
    soonest = due.next_in_ms / 1000
    return min(soonest, BUSY_EVERY) if due.events or due.backfills else soonest
