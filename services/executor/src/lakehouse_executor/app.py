"""The executor: owns the work. Puts adapters behind ports, fills the registry and starts the loop."""

from __future__ import annotations

import contextlib
import gc
from contextlib import AsyncExitStack
from uuid import UUID

import anyio
from anyio import to_thread

from lakehouse_executor.bundles import Bundles
from lakehouse_executor.metering import Prices
from lakehouse_executor.phases.ingest import ingest
from lakehouse_executor.phases.publish import publish
from lakehouse_executor.phases.query import query
from lakehouse_executor.phases.transform import transform
from lakehouse_executor.phases.validate import validate
from lakehouse_executor.registry import Registry
from lakehouse_executor.run import Tools
from lakehouse_executor.secrets import resolve_secret
from lakehouse_executor.settings import ExecutorSettings
from lakehouse_executor.tidying import keep_tidy
from lakehouse_executor.work import Executor
from lakehouse_executor.workforce import staffed
from opscore.db.executor_rpc import PostgresControlPlane
from opscore.db.housekeeping_rpc import TidyingRpc
from opscore.db.listen import listening
from opscore.db.pool import open_database
from opscore.domain.errors import NotFound
from opscore.domain.phase import Phase
from opscore.lake.artifacts import WarehouseArtifacts
from opscore.lake.catalog import LakeCatalog
from opscore.lake.options import LakeOptions
from opscore.lake.storage import Storage
from opscore.observe.observation import ExecutorRegistered
from opscore.ports.control_plane import ControlPlane
from opscore.runtime.check import Probe
from opscore.runtime.doorbell import answers, doorbell_reports
from opscore.runtime.retry import persist
from opscore.runtime.rings import WORK, OwnRings
from opscore.runtime.service import Service

NAME = "executor"
APPLICATION = "lakehouse-executor"
GARBAGE_AFTER = 100_000  # objects more: a few full batches of runs under way hold as many
CHANNELS = ("lakehouse_executor", WORK)

PHASES = Registry(
    {
        Phase.INGEST: ingest,
        Phase.TRANSFORM: transform,
        Phase.VALIDATE: validate,
        Phase.PUBLISH: publish,
        Phase.QUERY: query,
    }
)


async def main(service: Service, settings: ExecutorSettings, registry: Registry = PHASES) -> None:
    """Connect, register and work until a stop is asked for. registry: other handlers, for benchmarks and tests."""
    async with AsyncExitStack() as stack:
        database = await persist(
            lambda: stack.enter_async_context(open_database(settings.dsn, application=APPLICATION, max_size=8)),
            "connect",
            service,
            until=lambda: service.stopping.draining,
        )
        control = PostgresControlPlane(database)
        executor_id = await register(control, service, settings)
        session = await persist(
            lambda: control.open_session(executor_id), "open session", service, until=lambda: service.stopping.draining
        )
        rings = OwnRings(session)
        wakeups = await stack.enter_async_context(
            listening(
                settings.listen_dsn,
                CHANNELS,
                application=APPLICATION,
                on_change=doorbell_reports(service),
                minds=rings.minds,
            )
        )
        executor = Executor(
            executor_id,
            tools(control, settings, registry),
            wakeups,
            service,
            slots=settings.executor_slots,
            drain_s=settings.executor_drain_s,
            claim_after_s=settings.executor_claim_after_s,
            session=session,
            heard=rings.taken,
        )
        _spare_the_collector()
        async with anyio.create_task_group() as group:
            artifacts = WarehouseArtifacts(LakeOptions.from_settings(settings))
            group.start_soon(keep_tidy, TidyingRpc(database), artifacts, service)
            async with staffed(settings.executor_cancel_grace_s):
                await executor.run()
            group.cancel_scope.cancel()


def _spare_the_collector() -> None:
    """What was loaded so far stays: garbage is looked for among the runs, and seldom while their number is normal."""
    gc.freeze()
    gc.set_threshold(GARBAGE_AFTER, 20, 20)


async def register(control: ControlPlane, service: Service, settings: ExecutorSettings) -> UUID:
    """Make this process known under its name; returns its id."""

    async def once() -> UUID:
        return await control.register_executor(
            settings.executor_name, settings.capabilities, settings.executor_slots, service.version
        )

    executor_id = await persist(once, "register", service, until=lambda: service.stopping.draining)
    service.observer.notice(ExecutorRegistered(settings.executor_name, executor_id, settings.executor_slots))
    return executor_id


def tools(control: ControlPlane, settings: ExecutorSettings, registry: Registry) -> Tools:
    """What all runs of this process share."""
    options = LakeOptions.from_settings(settings)
    return Tools(
        registry=registry,
        bundles=Bundles(control),
        control=control,
        lake=LakeCatalog(options),
        artifacts=WarehouseArtifacts(options),
        lake_options=options,
        workers=anyio.CapacityLimiter(settings.executor_workers),
        secret=resolve_secret,
        prices=Prices(settings.executor_price_compute_second, settings.executor_price_byte),
    )


def probes(settings: ExecutorSettings) -> list[Probe]:
    """What `--check` tries."""
    options = LakeOptions.from_settings(settings)

    async def database() -> None:
        async with open_database(settings.dsn, application=APPLICATION) as connected:
            with contextlib.suppress(NotFound):
                await PostgresControlPlane(connected).bundle("")

    async def doorbell() -> None:
        async with listening(settings.listen_dsn, CHANNELS, application=APPLICATION) as listener:
            await answers(listener)

    async def catalog() -> None:
        await to_thread.run_sync(LakeCatalog(options).published)

    async def warehouse() -> None:
        await to_thread.run_sync(Storage(options).require)

    return [
        Probe("control plane", database),
        Probe("doorbell", doorbell),
        Probe("catalog", catalog),
        Probe("warehouse", warehouse),
    ]
