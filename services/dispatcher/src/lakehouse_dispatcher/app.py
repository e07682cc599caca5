"""The dispatcher: owns time and loss. Puts adapters behind ports and starts the loops."""

from __future__ import annotations

from contextlib import AsyncExitStack

import anyio

from lakehouse_dispatcher.dispatch import Dispatcher
from lakehouse_dispatcher.housekeeping import keep_house
from lakehouse_dispatcher.sealing import keep_sealed
from lakehouse_dispatcher.settings import DispatcherSettings
from lakehouse_dispatcher.timekeeping import keep_time
from opscore.db.dispatcher_rpc import DispatcherRpc
from opscore.db.housekeeping_rpc import HousekeepingRpc
from opscore.db.listen import listening
from opscore.db.pool import open_database
from opscore.db.time_rpc import TimeRpc
from opscore.ports.dispatching import Dispatching
from opscore.ports.housekeeping import Housekeeping
from opscore.ports.timekeeping import Timekeeping
from opscore.ports.wakeups import Wakeups
from opscore.runtime.check import Probe
from opscore.runtime.doorbell import answers, doorbell_reports
from opscore.runtime.leader import Leadership
from opscore.runtime.loop import Pace, work_when_woken
from opscore.runtime.retry import persist
from opscore.runtime.rings import WORK, AfterOthers
from opscore.runtime.service import Service
from opscore.signing import load_signer

NAME = "dispatcher"
APPLICATION = "lakehouse-dispatcher"
CHANNELS = (WORK,)


async def main(service: Service, settings: DispatcherSettings) -> None:
    """Connect and dispatch until a stop is asked for."""
    async with AsyncExitStack() as stack:
        database = await persist(
            lambda: stack.enter_async_context(open_database(settings.dsn, application=APPLICATION)),
            "connect",
            service,
            until=lambda: service.stopping.draining,
        )
        others = AfterOthers(lambda: wakeups.ring())  # noqa: PLW0108 - made before the bell it rings
        wakeups = await stack.enter_async_context(
            listening(
                settings.listen_dsn,
                CHANNELS,
                application=APPLICATION,
                on_change=doorbell_reports(service),
                minds=others.minds,
            )
        )
        await dispatch(
            DispatcherRpc(database), wakeups, service, settings, TimeRpc(database), HousekeepingRpc(database)
        )


async def dispatch(
    control: Dispatching,
    wakeups: Wakeups,
    service: Service,
    settings: DispatcherSettings,
    time: Timekeeping | None = None,
    house: Housekeeping | None = None,
) -> None:
    """Lead or stand by; dispatch, keep house, keep time and seal where there is any, until a stop is asked for."""
    signer = load_signer(settings.event_key) if settings.event_key else None
    leadership = Leadership(control, service, role=NAME, ttl=settings.dispatcher_leader_ttl_s, on_taken=wakeups.ring)
    dispatcher = Dispatcher(control, leadership, service, settings.dispatcher_batch)
    pace = Pace(proven=settings.dispatcher_scan_s, unproven=min(0.25, settings.dispatcher_scan_s))
    async with anyio.create_task_group() as group:
        group.start_soon(leadership.keep)
        group.start_soon(keep_house, control, leadership, service, house)
        if house is not None:
            group.start_soon(keep_sealed, house, leadership, service, signer)
        if time is not None:
            group.start_soon(keep_time, time, leadership, service, settings.dispatcher_scan_s)
        await work_when_woken(dispatcher.one_pass, wakeups, service, doing="dispatch", pace=pace)


def probes(settings: DispatcherSettings) -> list[Probe]:
    """What `--check` tries."""

    async def database() -> None:
        async with open_database(settings.dsn, application=APPLICATION) as connected:
            await DispatcherRpc(connected).next_due_in_ms()

    async def doorbell() -> None:
        async with listening(settings.listen_dsn, CHANNELS, application=APPLICATION) as listener:
            await answers(listener)

    return [Probe("control plane", database), Probe("doorbell", doorbell)]
