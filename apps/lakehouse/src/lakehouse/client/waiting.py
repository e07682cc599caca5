"""Follows runs to their end: rung awake by the control plane, and looking by itself because bells get lost.

Used by `Lakehouse.watch`. Progress rings no bell, so an open run is looked at again and again, at most four times a
second; one that nobody works on is looked at less often.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import anyio

from opscore.ports.people import Json
from opscore.ports.wakeups import Wakeups

CHANNEL = "lakehouse_feed"
SHORTEST_LOOK_S = 0.25
LONGEST_LOOK_S = 2.0
SCORE_PATIENCE_S = 5.0
ENDED = frozenset({"succeeded", "failed", "canceled"})

Look = Callable[[], Awaitable[list[Json]]]
Saw = Callable[[list[Json]], None]


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds to wait for the end, None without limit; scores come a moment later and get five seconds."""

    end: float | None = None
    score: float = SCORE_PATIENCE_S


async def follow(look: Look, bell: Wakeups, patience: Patience, saw: Saw) -> list[Json]:
    """Tell of the runs whenever one of them changed, until all have ended and are scored, or patience is over.

    look: answers the runs as they are now; more may join them while they run. Returns the runs as they stand then.
    """
    give_up = None if patience.end is None else anyio.current_time() + patience.end
    seen: list[Json] | None = None
    ended_at: float | None = None
    pause = SHORTEST_LOOK_S
    while True:
        looked_at = anyio.current_time()
        runs = await look()
        if runs != seen:
            saw(runs)
            seen, pause = runs, SHORTEST_LOOK_S
        if all(run["state"] in ENDED for run in runs):
            ended_at = looked_at if ended_at is None else ended_at
            if all(run["score"] is not None for run in runs) or looked_at - ended_at >= patience.score:
                return runs
        else:
            ended_at = None
            if give_up is not None and looked_at >= give_up:
                return runs
        await _rest(bell, pause, give_up)
        pause = min(pause * 1.5, LONGEST_LOOK_S) if not any(run["progress"] for run in runs) else SHORTEST_LOOK_S


async def _rest(bell: Wakeups, pause: float, give_up: float | None) -> None:
    """Until the bell rings, but a quarter of a second at least, and the pause or the deadline at most."""
    started = anyio.current_time()
    left = pause if give_up is None else min(pause, max(give_up - started, 0.01))
    if await bell.wait(left):
        await anyio.sleep(max(0.0, SHORTEST_LOOK_S - (anyio.current_time() - started)))
