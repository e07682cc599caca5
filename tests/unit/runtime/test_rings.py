"""A ring that names an executor is its own; the dispatcher hears of it a moment later, once."""

from __future__ import annotations

import asyncio
import uuid

import pytest

from opscore.runtime.rings import WORK, AfterOthers, Heard, OwnRings

ME = uuid.UUID(int=1)


@pytest.mark.parametrize(
    ("channel", "payload", "minds", "heard"),
    [
        ("lakehouse_executor", "", True, Heard(other=True)),
        (WORK, str(ME), True, Heard(named=True)),
        (WORK, "", False, Heard()),
        (WORK, str(uuid.UUID(int=2)), False, Heard()),
        (WORK, "drop table runs", False, Heard()),
    ],
)
def test_an_executor_minds_its_own_channel_and_rings_that_name_it(
    channel: str, payload: str, *, minds: bool, heard: Heard
) -> None:
    calls = OwnRings(ME)

    assert calls.minds(channel, payload) is minds
    assert [calls.taken(), calls.taken()] == [heard, Heard()]


async def test_the_dispatcher_follows_once_for_many_rings_that_name_somebody() -> None:
    rung = asyncio.Event()
    times: list[int] = []
    others = AfterOthers(lambda: (times.append(1), rung.set())[1])

    minded = [others.minds(WORK, str(ME)) for _ in range(100)]
    before = len(times)
    await asyncio.wait_for(rung.wait(), 10)

    assert (minded, before, len(times)) == ([False] * 100, 0, 1)


async def test_a_ring_that_names_nobody_is_the_dispatcher_s_at_once() -> None:
    others = AfterOthers(lambda: None)

    assert others.minds(WORK, "")
