"""Moves runs on: dead ones back, held ones out, due ones to executors.

Called by `app.py` through the wake-scan-work loop. All three steps are single SQL functions that are safe when two
dispatchers call them at once; leadership only keeps standbys from asking for nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from opscore.observe.observation import RunRescued, RunsLeased, RunsReleased
from opscore.ports.dispatching import Dispatching
from opscore.runtime.leader import Leadership
from opscore.runtime.loop import NOTHING, Found
from opscore.runtime.service import Service

SWEEP_EVERY = 0.1  # under load every finished batch rings: rescue and release need not follow each ring


@dataclass(slots=True)
class Dispatcher:
    """One pass per wake. batch: runs moved per statement."""

    control: Dispatching
    leadership: Leadership
    service: Service
    batch: int = 500
    _swept_at: float = float("-inf")
    _sweep_due: float = float("-inf")
    _owes_a_sweep: bool = False

    async def one_pass(self, _rang: bool) -> Found:  # noqa: FBT001 - the loop's signature
        """Do what is due now, and say when to look again."""
        if not self.leadership.held:
            return NOTHING
        swept_full = await self._sweep_when_due()
        leased = await self._lease()
        if leased >= self.batch or swept_full:
            return Found(again=True)  # a full batch: there may be more; else the queue or the slots are used up
        return Found(due_in=await self._due_in())

    async def _sweep_when_due(self) -> bool:
        now = self.service.clock.monotonic()
        self._owes_a_sweep = now < self._swept_at + SWEEP_EVERY and now < self._sweep_due
        if self._owes_a_sweep:
            return False
        self._swept_at = now
        rescued = await self._rescue()
        released = await self._release()
        return max(rescued, released) >= self.batch

    async def _rescue(self) -> int:
        rescued = await self.control.requeue_stale_runs(self.batch)
        for run_id, state in rescued:
            self.service.observer.notice(RunRescued(run_id, state))
        return len(rescued)

    async def _release(self) -> int:
        released = await self.control.release_runs(self.batch)
        if released:
            self.service.observer.notice(RunsReleased(released))
        return released

    async def _lease(self) -> int:
        leased = await self.control.lease_runs(self.batch)
        if leased:
            self.service.observer.notice(RunsLeased(len(leased)))
        return len(leased)

    async def _due_in(self) -> float:
        now = self.service.clock.monotonic()
        due_in = await self.control.next_due_in_ms() / 1000
        self._sweep_due = now + due_in
        return min(due_in, self._swept_at + SWEEP_EVERY - now) if self._owes_a_sweep else due_in
