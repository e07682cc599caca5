"""One run under lease in this process: what its work reports, and how it learns that it has to end.

Made by `beat.Heart.hold`; used by the executor's `run.py`. Reports are buffered and travel with the next beat.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from typing import Any

import anyio

from opscore.domain.errors import LeaseLost
from opscore.domain.event import EventType
from opscore.domain.lease import Lease
from opscore.domain.phase import Phase
from opscore.ports.control_plane import Beat


class Interrupted(Exception):
    """The process stops: the run is given back, which burns no attempt."""


class HeldLease:
    """A lease with its buffers. Not shared between tasks other than its run's and the heart's."""

    __slots__ = (
        "_began_at",
        "_checkpoint",
        "_deliver",
        "_events",
        "_handed_over",
        "_news",
        "_progress",
        "_scope",
        "_told",
        "ending",
        "fault",
        "lease",
        "light",
        "phase",
        "renew_at",
        "stop_at",
        "time_limit",
        "trusted_until",
    )

    def __init__(
        self,
        lease: Lease,
        *,
        answered_at: float,
        light: bool,
        deliver: Callable[[], Awaitable[None]],
        news: Callable[[], None],
    ) -> None:
        """answered_at: monotonic moment before the lease was asked for. light: its work never waits, nobody watches it.

        deliver: brings what is buffered to the control plane now. news: says that something is buffered.
        """
        self.lease = lease
        self.light = light
        self.phase: Phase | None = None
        self.fault: Exception | None = None
        self.ending = False
        self.time_limit: int | None = None
        self.stop_at = float("inf")
        self._began_at = answered_at
        self._deliver = deliver
        self._news = news
        self._scope: anyio.CancelScope | None = None
        self._events: list[tuple[str, dict[str, Any]]] = []
        self._handed_over = 0  # events that left the buffer, counted so that the control plane knows them again
        self._progress: dict[str, Any] | None = None
        self._told: dict[str, Any] | None = None  # progress whose event is in the buffer again
        self._checkpoint: dict[str, Any] | None = None
        self.answered(answered_at)

    # --- the run's side -------------------------------------------------------------------------------------------

    @contextmanager
    def working(self) -> Generator[None]:
        """Run the block until it ends or the lease does; the latter raises Canceled, LeaseLost or Interrupted."""
        self.check()
        with anyio.CancelScope() as scope:
            self._scope = scope
            try:
                yield
            finally:
                self._scope = None
        if scope.cancelled_caught or isinstance(self.fault, LeaseLost):
            self.check()

    def check(self) -> None:
        """Raise what ended the lease, if anything did."""
        if self.fault is not None:
            raise self.fault

    def limit(self, seconds: int | None) -> None:
        """Let the work end this long after the lease was taken; None: never."""
        if seconds is not None:
            self.time_limit = seconds
            self.stop_at = self._began_at + seconds

    def report(self, progress: dict[str, Any]) -> None:
        """Buffer how far the phase is; the latest wins."""
        self._progress = progress
        self._news()

    async def checkpoint(self, phase: Phase, result: dict[str, Any], *, upcoming: Phase, data: dict[str, Any]) -> None:
        """Store a finished phase's result and begin the next one; durable on return."""
        self._checkpoint = {**(self._checkpoint or {}), phase.value: result}
        self._events.append((EventType.PHASE_SUCCEEDED, {"phase": phase.value, **data}))
        self._events.append((EventType.PHASE_STARTED, {"phase": upcoming.value}))
        self.phase = upcoming
        self._progress = None
        await self._deliver()
        self.check()

    def take_events(self) -> tuple[tuple[str, dict[str, Any]], ...]:
        """Hand over buffered events, for the outcome."""
        events, self._events = tuple(self._events), []
        return events

    @property
    def events_from(self) -> int | None:
        """How many events beats have handed over; None when none was ever offered."""
        return self._handed_over if self._handed_over or self._events else None

    # --- the heart's side ------------------------------------------------------------------------------------------

    @property
    def is_renewed(self) -> bool:
        """Whether beats still carry it."""
        return not self.ending and not isinstance(self.fault, LeaseLost)

    @property
    def has_news(self) -> bool:
        """Whether something is buffered."""
        return bool(self._events) or self._progress is not None or self._checkpoint is not None

    def take_beat(self) -> Beat:
        """What the next beat carries. Given back with `untake` when the beat was not answered."""
        events = tuple(self._events)
        if self._progress is not None:
            phase = self.phase and self.phase.value
            events = (*events, (EventType.PHASE_PROGRESS, {"phase": phase, **self._progress}))
        progress = self._progress or self._told
        beat = Beat(self.lease, self.phase, progress, self._checkpoint, events, self._handed_over)
        self._events, self._progress, self._told, self._checkpoint = [], None, None, None
        self._handed_over += len(events)
        return beat

    def untake(self, beat: Beat) -> None:
        """Put an unanswered beat's content back in front of what came since: it may have arrived all the same."""
        self._events[:0] = beat.events
        self._handed_over -= len(beat.events)
        self._told = beat.progress
        if beat.checkpoint is not None:
            self._checkpoint = beat.checkpoint | (self._checkpoint or {})

    def answered(self, asked_at: float) -> None:
        """The database granted the lease anew at some moment after `asked_at`."""
        self.trusted_until = asked_at + self.lease.trusted_ms / 1000
        self.renew_at = asked_at + self.lease.beat_every_ms / 1000

    def stop(self, fault: Exception) -> bool:
        """End the run's work; False when it was ended before. A lost lease outranks every other reason."""
        if self.fault is not None and not (isinstance(fault, LeaseLost) and not isinstance(self.fault, LeaseLost)):
            return False
        self.fault = fault
        if self._scope is not None:
            self._scope.cancel()
        return True
