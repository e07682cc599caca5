"""The loop all services share: wake by doorbell or by scan, work while there is work, rest.

The bell is a hint and may be lost, so the loop also scans: seldom while the bell is proven, often while it is not,
at once while batches come back full, and never later than the next moment something falls due.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import anyio

from opscore.domain.errors import ControlPlaneUnavailable
from opscore.ports.wakeups import Wakeups
from opscore.runtime.retry import persist
from opscore.runtime.service import Service

SHORTEST_REST = 0.002  # the database rounds to milliseconds: waking a moment early must not become a spin


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds between scans while the doorbell is proven, and while it is not."""

    proven: float = 5.0
    unproven: float = 0.5


@dataclass(frozen=True, slots=True)
class Found:
    """What a pass found. again: there is likely more right now. due_in: seconds until something falls due."""

    again: bool = False
    due_in: float | None = None


NOTHING = Found()
Work = Callable[[bool], Awaitable[Found]]


async def work_when_woken(work: Work, wakeups: Wakeups, service: Service, *, doing: str, pace: Pace) -> None:
    """Run passes until a stop is asked for; an absent database makes them late, never ends them.

    work: one pass, told whether the bell rang (False: a scan). doing: names the pass in log and metrics.
    """
    rang = False

    async def one_pass() -> Found:
        return await work(rang)

    async with anyio.create_task_group() as group:
        group.start_soon(_ring_at_stop, wakeups, service)
        while not service.stopping.draining:
            try:
                found = await persist(one_pass, doing, service, until=lambda: service.stopping.draining)
            except ControlPlaneUnavailable:
                break  # a stop was asked for while the database was away
            service.health.well(doing)
            rang = await _rest(found, wakeups, pace)
        group.cancel_scope.cancel()


async def _rest(found: Found, wakeups: Wakeups, pace: Pace) -> bool:
    if found.again:
        await anyio.lowlevel.checkpoint()
        return True
    longest = pace.proven if wakeups.healthy else pace.unproven
    due = longest if found.due_in is None else min(max(found.due_in, SHORTEST_REST), longest)
    return await wakeups.wait(due)


async def _ring_at_stop(wakeups: Wakeups, service: Service) -> None:
    await service.stopping.asked()
    wakeups.ring()
