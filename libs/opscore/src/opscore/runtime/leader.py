"""One acting process per role, with standbys that take over when its lease on the role ends.

Called by the dispatcher. Leadership only saves work: everything a leader does is safe when two do it at once,
so a leader may trust its answer for most of its time to live without asking again before each step.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from uuid import UUID, uuid4

import anyio

from opscore.domain.errors import ControlPlaneUnavailable
from opscore.observe.observation import LeadershipLost, LeadershipTaken
from opscore.ports.dispatching import Dispatching
from opscore.runtime.retry import persist
from opscore.runtime.service import Service

HAND_OVER_TIMEOUT = 2.0


class Leadership:
    """Takes, renews and gives up one role."""

    def __init__(
        self,
        dispatching: Dispatching,
        service: Service,
        *,
        role: str,
        ttl: float,
        on_taken: Callable[[], None] = lambda: None,
        holder: UUID | None = None,
    ) -> None:
        """ttl: seconds a silent leader keeps the role. on_taken: told at each take-over, to begin at once."""
        self._dispatching = dispatching
        self._service = service
        self._role = role
        self._ttl = ttl
        self._on_taken = on_taken
        self._holder = holder or uuid4()
        self._trusted_until = float("-inf")
        self._leads = False

    @property
    def held(self) -> bool:
        """Whether this process may act in the role now."""
        return self._leads and self._service.clock.monotonic() < self._trusted_until

    async def keep(self) -> None:
        """Take the role when it is free and renew it until a stop is asked for; then hand it on."""
        stopping = self._service.stopping
        while not stopping.draining:
            with contextlib.suppress(ControlPlaneUnavailable):  # raised only once a stop is asked for
                await persist(self._renew, f"lead {self._role}", self._service, until=lambda: stopping.draining)
            await stopping.pause(self._ttl / 3, self._service.clock)
        await self._hand_over()

    async def _renew(self) -> None:
        asked_at = self._service.clock.monotonic()
        try:
            term = await self._dispatching.take_leadership(self._role, self._holder, int(self._ttl * 1000))
        except ControlPlaneUnavailable:
            self._forget_unless_held()
            raise
        if term is None:
            self._forget()
            return
        self._trusted_until = asked_at + self._ttl * 2 / 3
        if not self._leads:
            self._leads = True
            self._service.observer.notice(LeadershipTaken(self._role, term))
            self._on_taken()

    def _forget_unless_held(self) -> None:
        if not self.held:
            self._forget()

    def _forget(self) -> None:
        if self._leads:
            self._leads = False
            self._service.observer.notice(LeadershipLost(self._role))

    async def _hand_over(self) -> None:
        """Best effort: without an answer the role falls free by itself."""
        self._leads = False
        with anyio.move_on_after(HAND_OVER_TIMEOUT), contextlib.suppress(ControlPlaneUnavailable):
            await self._dispatching.release_leadership(self._role, self._holder)
