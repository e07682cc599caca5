"""Passes along the event log, for `work_when_woken`. Used by the scorer and the notifier.

The doorbell rings at a commit, yet an event can be read only once every older transaction has ended. So a bell that
leads to nothing is no false alarm: the log is looked at again soon, then ever more seldom.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from opscore.runtime.loop import Found

SOONEST_S = 0.01
SELDOMEST_S = 60.0  # the loop's pace is the true limit


class Follower:
    """One pass per call. step: reads and records one batch; False when there was none."""

    def __init__(self, step: Callable[[], Awaitable[bool]]) -> None:
        self._step = step
        self._rest = SOONEST_S

    async def __call__(self, rang: bool) -> Found:  # noqa: FBT001 - the shape of Work
        """Take one step and say when to look again."""
        if await self._step():
            self._rest = SOONEST_S
            return Found(again=True)
        if rang:
            self._rest = SOONEST_S
        rest, self._rest = self._rest, min(self._rest * 2, SELDOMEST_S)
        return Found(due_in=rest)
