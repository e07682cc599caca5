"""Patience with infrastructure: a call that failed because Postgres was away is made again until it succeeds.

Runs' own retries are the control plane's business; see `opscore.domain.retry`.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from opscore.domain.errors import ControlPlaneUnavailable
from opscore.observe.observation import DatabaseBack, DatabaseUnavailable
from opscore.runtime.service import Service

Answer = TypeVar("Answer")
DATABASE = "database"


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential waits in seconds with a ceiling; jitter takes up to half of each, so that a herd spreads."""

    first: float = 0.1
    factor: float = 2.0
    longest: float = 5.0

    def delay(self, tries: int, jitter: float) -> float:
        """Wait after so many failures in a row (>= 1). jitter: in [0, 1)."""
        ceiling = min(self.first * self.factor ** min(tries - 1, 30), self.longest)
        return ceiling * (1 - jitter / 2)


PATIENT = Backoff()


async def persist(
    call: Callable[[], Awaitable[Answer]],
    doing: str,
    service: Service,
    *,
    backoff: Backoff = PATIENT,
    until: Callable[[], bool] = lambda: False,
) -> Answer:
    """Call until the control plane answers.

    doing: what is being done, for log and metrics. until: asked after each failure; once true, ControlPlaneUnavailable
    is raised after all. Every other error is raised at once.
    """
    started = service.clock.monotonic()
    tries = 0
    while True:
        try:
            answer = await call()
        except ControlPlaneUnavailable as error:
            tries += 1
            service.health.ill(DATABASE, error.message)
            if until():
                raise
            wait = backoff.delay(tries, random.random())  # noqa: S311 - jitter
            service.observer.notice(DatabaseUnavailable(doing, error.message, tries, wait))
            await _wait(wait, service)
        else:
            service.health.well(DATABASE)
            if tries:
                service.observer.notice(DatabaseBack(doing, service.clock.monotonic() - started))
            return answer


async def _wait(seconds: float, service: Service) -> None:
    """Sleep; the moment a stop is asked for ends it early, because `until` may have turned true."""
    if service.stopping.draining:
        await service.clock.sleep(seconds)
    else:
        await service.stopping.pause(seconds, service.clock)
