"""A quiet project beside a flood of another's, second by second on the movable clock: deterministic."""

from __future__ import annotations

import uuid
from datetime import timedelta
from math import ceil

from support.caps import CapPlane
from support.plane import Work

SLOTS, RUN_S, EVERY_S, LASTS_S = 4, 10, 13, 400


class House:
    """One executor with a few slots, whose runs last ten seconds of the movable clock. Deterministic, second by second."""

    def __init__(self, plane: CapPlane) -> None:
        self._plane = plane
        self._second = 0
        self._busy: list[tuple[int, Work]] = []
        self._asked: dict[uuid.UUID, int] = {}
        self.delays: list[int] = []

    async def ask(self, environment: uuid.UUID) -> None:
        (run,) = await self._plane.enqueue_many(environment, 1)
        self._asked[run] = self._second

    async def pass_a_second(self) -> None:
        for until, work in self._busy:
            if until == self._second:
                await self._plane.finish(work)
                if work.run_id in self._asked:
                    self.delays.append(self._second - self._asked[work.run_id])
        self._busy = [(until, work) for until, work in self._busy if until > self._second]
        taken = await self._plane.take(SLOTS, "house", slots=SLOTS)
        self._busy += [(self._second + RUN_S, work) for work in taken]
        await self._plane.pass_time(timedelta(seconds=1))
        self._second += 1


async def p95_of_the_quiet_project(plane: CapPlane, flood: int) -> int:
    """Seconds from request to end, of one run every few seconds, beside a flood of another project's."""
    quiet, loud = await plane.elsewhere(), await plane.elsewhere()
    house = House(plane)
    if flood:
        await plane.enqueue_many(loud, flood)
        await house.pass_a_second()
    for second in range(LASTS_S):
        if second % EVERY_S == 0:
            await house.ask(quiet)
        await house.pass_a_second()
    delays = sorted(house.delays)
    return delays[ceil(len(delays) * 0.95) - 1]
