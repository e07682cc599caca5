"""Work that is due now and then: event partitions ahead of need and past retention, rows that nothing reaches any more.

Called by `app.py`, beside dispatching.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from opscore.domain.errors import ControlPlaneUnavailable
from opscore.observe.observation import Observation, PartitionsDropped, PartitionsMade, RowsPruned
from opscore.ports.dispatching import Dispatching
from opscore.ports.housekeeping import Housekeeping
from opscore.runtime.leader import Leadership
from opscore.runtime.retry import persist
from opscore.runtime.service import Service

EVERY = 180.0
PRUNED_AT_ONCE = 5000

Chore = tuple[Callable[[], Awaitable[int]], Callable[[int], Observation]]


async def keep_house(
    control: Dispatching, leadership: Leadership, service: Service, house: Housekeeping | None = None
) -> None:
    """Tidy up while leading, until a stop is asked for. house: None leaves all but the partitions to others."""
    chores: list[Chore] = [(control.ensure_event_partitions, PartitionsMade)]
    if house is not None:
        chores += [(house.drop_expired_events, PartitionsDropped), (_Pruning(house), RowsPruned)]
    while not service.stopping.draining:
        for chore, seen in chores:
            if leadership.held:
                await _do(chore, seen, service)
        await service.stopping.pause(EVERY, service.clock)


async def _do(chore: Callable[[], Awaitable[int]], seen: Callable[[int], Observation], service: Service) -> None:
    with contextlib.suppress(ControlPlaneUnavailable):  # raised only once a stop is asked for
        count = await persist(chore, "housekeeping", service, until=lambda: service.stopping.draining)
        if count:
            service.observer.notice(seen(count))


@dataclass(frozen=True, slots=True)
class _Pruning:
    """Prunes until a batch is not full."""

    house: Housekeeping

    async def __call__(self) -> int:
        pruned = found = await self.house.prune(PRUNED_AT_ONCE)
        while found >= PRUNED_AT_ONCE:
            found = await self.house.prune(PRUNED_AT_ONCE)
            pruned += found
        return pruned
