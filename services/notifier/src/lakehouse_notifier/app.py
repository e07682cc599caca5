"""The notifier put together: the one place that names its adapters. Called by `__main__.py` and the embedded stack.

Two loops beside each other: one follows the log and writes notifications, one sends what is due, whoever wrote it.
"""

from __future__ import annotations

from contextlib import AsyncExitStack
from functools import partial

import anyio

from lakehouse_notifier.bell import Bell
from lakehouse_notifier.channels.slack import SlackChannel
from lakehouse_notifier.channels.webhook import WebhookChannel
from lakehouse_notifier.follow import Following
from lakehouse_notifier.guard import Guard
from lakehouse_notifier.posting import Poster, open_poster
from lakehouse_notifier.sending import Sending
from lakehouse_notifier.settings import NotifierSettings
from opscore.db.listen import listening
from opscore.db.notifier_rpc import NotifierRpc
from opscore.db.pool import open_database
from opscore.ports.event_log import Alerting
from opscore.ports.wakeups import Wakeups
from opscore.runtime.check import Probe
from opscore.runtime.doorbell import answers, doorbell_reports
from opscore.runtime.follow import Follower
from opscore.runtime.loop import Pace, work_when_woken
from opscore.runtime.retry import persist
from opscore.runtime.service import Service

NAME = "notifier"
APPLICATION = "lakehouse-notifier"
CHANNELS = ("lakehouse_feed",)
FOLLOWING = Pace(proven=5.0, unproven=0.5)
SENDING = Pace(proven=1.0, unproven=1.0)  # retries fall due without a bell


async def main(service: Service, settings: NotifierSettings) -> None:
    """Follow and send until a stop is asked for; sends that have begun are carried to their end."""
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
        poster = await stack.enter_async_context(open_poster(Guard(settings.allowed)))
        await notify(service, NotifierRpc(database), poster, wakeups, settings.api_url)


async def notify(service: Service, control: Alerting, poster: Poster, wakeups: Wakeups, link: str | None) -> None:
    """Run both loops until a stop is asked for; leaving the outer group waits for sends in flight."""
    due = Bell()
    channels = {"webhook": WebhookChannel(poster, service.clock), "slack": SlackChannel(poster)}
    following = Follower(Following(control, service.observer, service.clock, due, link).step)
    async with anyio.create_task_group() as sends:
        sending = Sending(control, channels, service, sends, due)
        async with anyio.create_task_group() as loops:
            loops.start_soon(
                partial(work_when_woken, doing="follow events", pace=FOLLOWING), following, wakeups, service
            )
            loops.start_soon(partial(work_when_woken, doing="send", pace=SENDING), sending.pass_once, due, service)


def probes(settings: NotifierSettings) -> list[Probe]:
    """What `--check` tries."""

    async def database() -> None:
        async with open_database(settings.dsn, application=APPLICATION) as connected:
            control = NotifierRpc(connected)
            await control.alerting()
            await control.read_events(NAME, 1)

    async def doorbell() -> None:
        async with listening(settings.listen_dsn, CHANNELS, application=APPLICATION) as listener:
            await answers(listener)

    return [Probe("control plane", database), Probe("doorbell", doorbell)]
