"""The feed behind the live stream, with a control plane that answers late (a fake, for that delay alone)."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

from lakehouse_controlroom.doorbell import Doorbell
from lakehouse_controlroom.feed import Feed
from opscore.testing.clock import settle


class LateRuns:
    """Answers a look when it is let."""

    def __init__(self) -> None:
        self.let = asyncio.Event()

    async def pulse(self, _environment: uuid.UUID, *, newest: int, known: list[uuid.UUID]) -> dict[uuid.UUID, str]:
        del newest, known
        await self.let.wait()
        return {}

    async def runs_by_id(self, _ids: list[uuid.UUID]) -> list[dict[str, Any]]:
        return []


async def test_nobody_is_greeted_before_changes_are_told() -> None:
    runs = LateRuns()
    feed = Feed(runs, uuid.UUID(int=1), Doorbell())  # type: ignore[arg-type] # two of the port's methods are enough
    looking = asyncio.create_task(feed.look())
    await settle()

    with feed.subscribed():
        greeted = asyncio.create_task(feed.begun())
        await settle()
        early = greeted.done()
        runs.let.set()
        await asyncio.wait_for(greeted, 10)
    looking.cancel()

    assert not early


async def test_a_feed_that_ends_lets_everybody_go() -> None:
    feed = Feed(LateRuns(), uuid.UUID(int=1), Doorbell())  # type: ignore[arg-type] # two of the port's methods are enough

    waiting = asyncio.create_task(feed.begun())
    await settle()
    before = waiting.done()

    feed.close()
    await asyncio.wait_for(waiting, 10)

    assert not before
