"""Keeps one home's processes running, and ends them in order: services first, Postgres last.

Called by the bring-up, which holds the home's lock. Everything a successor needs to clean up after a supervisor that
was killed is in the state file before the next await.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

import anyio
import anyio.abc
import anyio.to_thread

from lakehouse.embedded.files import log_path
from lakehouse.embedded.postgres import EmbeddedPostgres
from lakehouse.embedded.process import Identity, stop_group_leaders
from lakehouse.embedded.service import Program, Service, restart_delay
from lakehouse.embedded.settings import StackSettings
from lakehouse.embedded.status import ServiceStatus, StackStatus, State
from opscore.domain.errors import OpsError, TimedOut, Unexpected

POSTGRES = "postgres"
START_SECONDS = 90.0
GRACE_SECONDS = 20.0
HURRIED_SECONDS = 1.0
STALE_GRACE_SECONDS = 3.0
LOOK_SECONDS = 0.05


class Supervisor:
    """The processes of one home."""

    def __init__(self, settings: StackSettings) -> None:
        self.settings = settings
        self.postgres = None if settings.database_url else EmbeddedPostgres(settings.home, bindir=settings.bindir)
        self._services: list[Service] = []
        self._postgres_state = State.STOPPED
        self._postgres_restarts = 0
        self._hurried = False
        self._status = StackStatus(state=State.STARTING, supervisor=Identity.of(os.getpid()))

    @property
    def status(self) -> StackStatus:
        """As it is now."""
        services = [service.status for service in self._services]
        if self.postgres is not None:
            services.append(self._postgres_status(self.postgres))
        return replace(self._status, services=tuple(services))

    def describe(self, **changes: object) -> None:
        """Change fields of the status (url, database, doing, …) and keep them."""
        self._status = replace(self._status, **changes)  # type: ignore[arg-type] - dataclass fields by name
        self._keep_state()

    async def end_stale(self) -> None:
        """End the services that a killed supervisor left behind; its Postgres is adopted later, not ended."""
        left = [one.identity for one in StackStatus.read(self.settings.home).services if one.name != POSTGRES]
        stale = [identity for identity in left if identity is not None and identity.alive()]
        await anyio.to_thread.run_sync(stop_group_leaders, stale, STALE_GRACE_SECONDS)

    async def start_postgres(self, postgres: EmbeddedPostgres, tasks: anyio.abc.TaskGroup) -> None:
        """Start it and keep it running in the task group."""
        self._postgres_state = State.STARTING
        self._keep_state()
        await postgres.start()
        self._postgres_became(State.RUNNING)
        tasks.start_soon(self._keep_postgres, postgres)

    async def start_services(self, programs: Sequence[Program], tasks: anyio.abc.TaskGroup) -> None:
        """Start all at once; return when all are ready. Unexpected or TimedOut name the one that is not, and why."""
        self._services = [Service(program, self.settings.home, self._keep_state) for program in programs]
        for service in self._services:
            tasks.start_soon(service.keep)
        with anyio.move_on_after(START_SECONDS):
            while not all(service.status.state is State.RUNNING for service in self._services):
                self._refuse_failed()
                await anyio.sleep(LOOK_SECONDS)
            return
        slow = next(service for service in self._services if service.status.state is not State.RUNNING)
        raise TimedOut(
            what=f"Starting {slow.name}",
            seconds=START_SECONDS,
            hint=f"Its log is {log_path(self.settings.home, slow.name)}. It said: {slow.last_words() or 'nothing'}",
        )

    def hurry(self) -> None:
        """Wait no longer for anybody's good end."""
        self._hurried = True
        self._signal_services(signal.SIGTERM)

    async def stop(self) -> None:
        """End the services, then Postgres. The tasks that keep them running have ended before."""
        self._signal_services(signal.SIGTERM)
        await self._wait_for_services()
        for service in self._services:
            service.mark_stopped()
        if self.postgres is not None:
            await self.postgres.stop(HURRIED_SECONDS if self._hurried else GRACE_SECONDS)
            self._postgres_became(State.STOPPED)
        self.describe(state=State.FAILED if self._status.fault else State.STOPPED, supervisor=None)

    def _signal_services(self, number: signal.Signals) -> None:
        for service in self._services:
            if service.identity is not None:
                service.identity.signal(number)

    async def _wait_for_services(self) -> None:
        """Until all are gone, or their time is; what is left then is ended with its process group."""
        asked = time.monotonic()
        while any(service.identity and service.identity.alive() for service in self._services):
            if time.monotonic() - asked > (HURRIED_SECONDS if self._hurried else GRACE_SECONDS):
                break
            await anyio.sleep(LOOK_SECONDS)

    async def _keep_postgres(self, postgres: EmbeddedPostgres) -> None:
        """Bring it back on the same port, which the services know, whenever it dies."""
        failures = 0
        while True:
            if not postgres.is_running():
                self._postgres_became(State.STARTING if failures == 0 else State.FAILED)
                try:
                    await postgres.restart()
                except OpsError as error:
                    failures += 1
                    self.describe(doing=f"Bringing Postgres back failed {failures} times: {error.message}")
                    await anyio.sleep(restart_delay(failures))
                    continue
                failures = 0
                self._postgres_restarts += 1
                self._postgres_became(State.RUNNING)
            await anyio.sleep(LOOK_SECONDS)

    def _refuse_failed(self) -> None:
        for service in self._services:
            if service.status.state is State.FAILED:
                raise Unexpected(
                    f"Service {service.name} does not start: {service.last_words() or 'it says nothing'}",
                    hint=f"Its log is {log_path(self.settings.home, service.name)}.",
                )

    def _postgres_became(self, state: State) -> None:
        self._postgres_state = state
        self._keep_state()

    def _postgres_status(self, postgres: EmbeddedPostgres) -> ServiceStatus:
        who = postgres.identity
        pid, started = (who.pid, who.started) if who else (None, None)
        return ServiceStatus(POSTGRES, self._postgres_state, pid, started, self._postgres_restarts)

    def _keep_state(self) -> None:
        with suppress(OSError):  # a full disk must not end what runs; the next change writes it anew
            self.status.write(self.settings.home)
