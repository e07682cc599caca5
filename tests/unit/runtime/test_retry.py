"""Calls are made again until the control plane answers."""

from __future__ import annotations

import anyio
import pytest

from opscore.domain.errors import ControlPlaneUnavailable, NotAllowed
from opscore.observe.observation import DatabaseBack, DatabaseUnavailable
from opscore.runtime.retry import Backoff, persist
from opscore.testing.clock import settle
from opscore.testing.factories import make_service


class Flaky:
    """Fails so many times, then answers."""

    def __init__(self, failures: int, error: Exception | None = None) -> None:
        self.failures = failures
        self.error = error or ControlPlaneUnavailable(reason="restarting")
        self.calls = 0

    async def __call__(self) -> str:
        self.calls += 1
        if self.calls <= self.failures:
            raise self.error
        return "answer"


async def test_an_outage_is_waited_out_and_seen() -> None:
    test, call = make_service(), Flaky(3)
    answers: list[str] = []

    async def ask() -> None:
        answers.append(await persist(call, "ask", test.service))

    async with anyio.create_task_group() as group:
        group.start_soon(ask)
        await settle()
        assert not test.service.health.healthy
        await test.clock.advance(10)

    assert (answers, call.calls) == (["answer"], 4)
    assert [seen.tries for seen in test.observer.of(DatabaseUnavailable)] == [1, 2, 3]
    assert len(test.observer.of(DatabaseBack)) == 1
    assert test.service.health.healthy


async def test_other_errors_are_not_waited_out() -> None:
    test, call = make_service(), Flaky(1, NotAllowed("no"))

    with pytest.raises(NotAllowed):
        await persist(call, "ask", test.service)

    assert call.calls == 1


async def test_a_stop_ends_the_waiting_when_the_caller_says_so() -> None:
    test, call = make_service(), Flaky(1000)
    stopping = test.service.stopping
    ended: list[Exception] = []

    async def ask() -> None:
        try:
            await persist(call, "ask", test.service, until=lambda: stopping.draining)
        except ControlPlaneUnavailable as error:
            ended.append(error)

    async with anyio.create_task_group() as group:
        group.start_soon(ask)
        await settle()
        stopping.drain()
        await settle()

    assert len(ended) == 1


def test_waits_grow_to_a_ceiling_and_jitter_takes_at_most_half() -> None:
    backoff = Backoff(first=0.1, factor=2.0, longest=5.0)

    assert [backoff.delay(tries, 0.0) for tries in (1, 2, 3)] == [0.1, 0.2, 0.4]
    assert backoff.delay(1000, 0.0) == 5.0
    assert 2.5 < backoff.delay(1000, 0.999) < 2.6
