"""The scorer put together: the one place that names its adapters. Called by `__main__.py` and the embedded stack."""

from __future__ import annotations

from contextlib import AsyncExitStack

import anyio

from lakehouse_scorer.follow import Following
from lakehouse_scorer.learning.turns import learn_in_turn
from lakehouse_scorer.settings import ScorerSettings
from opscore.db.listen import listening
from opscore.db.pool import open_database
from opscore.db.scorer_rpc import ScorerRpc
from opscore.runtime.check import Probe
from opscore.runtime.doorbell import answers, doorbell_reports
from opscore.runtime.follow import Follower
from opscore.runtime.loop import Pace, work_when_woken
from opscore.runtime.retry import persist
from opscore.runtime.service import Service

NAME = "scorer"
APPLICATION = "lakehouse-scorer"
CHANNELS = ("lakehouse_feed",)
PACE = Pace(proven=5.0, unproven=0.5)


async def main(service: Service, settings: ScorerSettings) -> None:
    """Follow the log until a stop is asked for."""
    async with AsyncExitStack() as stack:
        database = await persist(
            lambda: stack.enter_async_context(open_database(settings.dsn, application=APPLICATION)),
            "connect",
            service,
            until=lambda: service.stopping.draining,
        )
        wakeups = await stack.enter_async_context(
            listening(settings.listen_dsn, CHANNELS, application=APPLICATION, on_change=doorbell_reports(service))
        )
        following = Following(ScorerRpc(database), service.observer, service.clock)
        async with anyio.create_task_group() as group:
            group.start_soon(learn_in_turn, ScorerRpc(database), service, settings)
            await work_when_woken(Follower(following.step), wakeups, service, doing="follow events", pace=PACE)
            group.cancel_scope.cancel()


def probes(settings: ScorerSettings) -> list[Probe]:
    """What `--check` tries."""

    async def database() -> None:
        async with open_database(settings.dsn, application=APPLICATION) as connected:
            control = ScorerRpc(connected)
            await control.run_facts([])
            await control.read_events(NAME, 1)

    async def doorbell() -> None:
        async with listening(settings.listen_dsn, CHANNELS, application=APPLICATION) as listener:
            await answers(listener)

    return [Probe("control plane", database), Probe("doorbell", doorbell)]
