"""The control room put together: the one place that names its adapters. Called by `__main__.py`."""

from __future__ import annotations

from contextlib import AsyncExitStack

import anyio

from lakehouse_controlroom.doorbell import Doorbell
from lakehouse_controlroom.feed import Feed
from lakehouse_controlroom.room import Room
from lakehouse_controlroom.serving import bound, serve_until_stopped
from lakehouse_controlroom.settings import ControlroomSettings
from lakehouse_controlroom.web import guarded
from opscore.db.listen import listening
from opscore.db.people_rpc import PeopleRpc
from opscore.db.pool import open_database
from opscore.db.schedules_rpc import SchedulesRpc
from opscore.ports.wakeups import Wakeups
from opscore.runtime.check import Probe
from opscore.runtime.doorbell import answers, doorbell_reports
from opscore.runtime.retry import persist
from opscore.runtime.service import Service

NAME = "controlroom"
APPLICATION = "lakehouse-controlroom"
CHANNELS = ("lakehouse_feed", "lakehouse_work", "lakehouse_executor")
VITALS_EVERY_S = 5.0


async def main(service: Service, settings: ControlroomSettings) -> None:
    """Serve until a stop is asked for."""
    socket = bound(settings.port)
    async with AsyncExitStack() as stack:
        stack.callback(socket.close)
        database = await persist(
            lambda: stack.enter_async_context(open_database(settings.dsn, application=APPLICATION, max_size=8)),
            "connect",
            service,
            until=lambda: service.stopping.draining,
        )
        wakeups = await stack.enter_async_context(
            listening(settings.listen_dsn, CHANNELS, application=APPLICATION, on_change=doorbell_reports(service))
        )
        people, doorbell = PeopleRpc(database), Doorbell()
        feed = Feed(people, settings.environment, doorbell)
        token = settings.token.get_secret_value() if settings.token else None
        room = Room(people, settings.environment, feed, doorbell, service, token, SchedulesRpc(database))
        async with anyio.create_task_group() as group:
            group.start_soon(_keep_news_coming, room, wakeups)
            await serve_until_stopped(guarded(room), socket, service.stopping)
            group.cancel_scope.cancel()


async def _keep_news_coming(room: Room, wakeups: Wakeups) -> None:
    """Pass rings on, look for changes while somebody watches, and end all streams when a stop is asked for."""

    async def follow() -> None:
        while True:
            await persist(room.feed.look, "follow runs", room.service)

    async def watch_database() -> None:
        while True:
            await persist(room.people.vitals, "ask for vitals", room.service)
            await anyio.sleep(VITALS_EVERY_S)

    async def end_streams() -> None:
        await room.service.stopping.asked()
        room.doorbell.close()
        room.feed.close()

    async with anyio.create_task_group() as group:
        group.start_soon(room.doorbell.run, wakeups)
        group.start_soon(follow)
        group.start_soon(watch_database)
        group.start_soon(end_streams)


def probes(settings: ControlroomSettings) -> list[Probe]:
    """What `--check` tries."""

    async def database() -> None:
        async with open_database(settings.dsn, application=APPLICATION) as connected:
            await PeopleRpc(connected).pipelines(settings.environment)

    async def doorbell() -> None:
        async with listening(settings.listen_dsn, CHANNELS, application=APPLICATION) as listener:
            await answers(listener)

    async def port() -> None:
        bound(settings.port).close()

    return [Probe("control plane", database), Probe("doorbell", doorbell), Probe("port", port)]
