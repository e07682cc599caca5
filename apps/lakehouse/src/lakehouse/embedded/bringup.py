"""Brings the whole stack up, in order, as one block: what was started inside is stopped when the block ends.

Called by the CLI (`up`, `demo`) and by the daemon. Order: lock, leftovers, Postgres, database, migrations, role
passwords, warehouse, services.
"""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import anyio.abc
import anyio.to_thread

from lakehouse.embedded import source, warehouse
from lakehouse.embedded.credentials import Credentials
from lakehouse.embedded.faults import as_fault
from lakehouse.embedded.lock import only_supervisor
from lakehouse.embedded.ports import LOOPBACK
from lakehouse.embedded.programs import SERVICES, all_programs, control_room_url, role
from lakehouse.embedded.settings import StackSettings
from lakehouse.embedded.status import Database, StackStatus, State, Supabase
from lakehouse.embedded.supervisor import Supervisor
from opscore.db import admin

DATABASE = "lakehouse"

Progress = Callable[[str], None]


class Stack:
    """A running stack, in the hands of the block that brought it up."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self.interrupted = False

    @property
    def status(self) -> StackStatus:
        """As it is now; `status.database.url` is the owner's connection string."""
        return self._supervisor.status

    def hurry(self) -> None:
        """End without patience."""
        self._supervisor.hurry()


@asynccontextmanager
async def bring_up(
    home: Path | None = None,
    *,
    port: int | None = None,
    on_progress: Progress = lambda _: None,
    environ: Mapping[str, str] = os.environ,
) -> AsyncGenerator[Stack, None]:
    """Bring the stack up, yield it healthy, take it down when the block ends or SIGINT or SIGTERM arrives.

    A signal cancels the block quietly: look at `stack.interrupted` behind it. A second signal hurries the end.
    Raises InvalidSetting, Conflict (a stack runs on this home; data of another version), NotAllowed,
    ControlPlaneUnavailable, TimedOut and Unexpected (a service does not start); each names the log to look at.
    """
    settings = StackSettings.load(environ, home, port)
    with only_supervisor(settings.home):
        supervisor = Supervisor(settings)
        stack = Stack(supervisor)
        try:
            async with anyio.create_task_group() as around:
                block = anyio.CancelScope()
                await around.start(_obey_signals, stack, block)
                try:
                    with block:
                        async with anyio.create_task_group() as keepers:
                            await _start(supervisor, keepers, on_progress, environ)
                            yield stack
                            keepers.cancel_scope.cancel()
                finally:
                    with anyio.CancelScope(shield=True):
                        await supervisor.stop()
                around.cancel_scope.cancel()
        except BaseExceptionGroup as group:
            raise _single(group) from None


async def _obey_signals(stack: Stack, block: anyio.CancelScope, *, task_status: anyio.abc.TaskStatus[None]) -> None:
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        task_status.started()
        async for _ in signals:
            if stack.interrupted:
                stack.hurry()
            stack.interrupted = True
            block.cancel()


async def _start(
    supervisor: Supervisor, keepers: anyio.abc.TaskGroup, on_progress: Progress, environ: Mapping[str, str]
) -> None:
    try:
        await _start_in_order(supervisor, keepers, on_progress, environ)
    except Exception as error:
        supervisor.describe(fault=as_fault(_single(error)))
        raise


async def _start_in_order(
    supervisor: Supervisor, keepers: anyio.abc.TaskGroup, on_progress: Progress, environ: Mapping[str, str]
) -> None:
    def say(step: str) -> None:
        on_progress(step)
        supervisor.describe(doing=step)

    settings, credentials = supervisor.settings, Credentials(supervisor.settings.home)
    await supervisor.end_stale()  # before anything is written: the state file is all that is known of them
    port, remark = settings.choose_port()
    if remark:
        say(remark)
    supabase = _supabase(control_room_url(port), credentials, environ)
    supervisor.describe(url=control_room_url(port), supabase=supabase, warehouse=settings.warehouse)
    logins = await _prepare_database(supervisor, keepers, credentials, say)
    database_url = supervisor.status.database.url
    if await anyio.to_thread.run_sync(warehouse.prepare, settings.home, settings.warehouse, database_url, environ):
        say(f"The warehouse is ready at {settings.warehouse}.")
    if not environ.get(source.SETTING):
        environ = {**environ, **source.remembered(settings, database_url)}
    say("Starting the services.")
    await supervisor.start_services(all_programs(settings, logins, supabase, port, environ), keepers)
    supervisor.describe(state=State.RUNNING, doing="")
    on_progress(f"The control room is open at {control_room_url(port)}")


async def _prepare_database(
    supervisor: Supervisor, keepers: anyio.abc.TaskGroup, credentials: Credentials, say: Progress
) -> dict[str, str]:
    """Make the control plane ready; returns each service's connection string, none for a database not our own."""
    settings, postgres = supervisor.settings, supervisor.postgres
    if postgres is None:
        url = settings.direct_url or settings.database_url or ""
        supervisor.describe(database=Database(await admin.server_version(url), embedded=False, url=url))
        await _migrate(url, say)
        return {}
    await supervisor.start_postgres(postgres, keepers)
    say(f"Postgres {postgres.version} answers on {LOOPBACK}:{postgres.port}.")
    url = postgres.dsn(DATABASE)
    supervisor.describe(database=Database(postgres.version, embedded=True, url=url))
    await admin.create_database(postgres.dsn(), DATABASE)
    await _migrate(url, say)
    passwords = {name: credentials.ensure(role(name)) for name in SERVICES}
    await admin.set_role_passwords(url, [(role(name), password) for name, password in passwords.items()])
    return {name: postgres.dsn(DATABASE, user=role(name), password=passwords[name]) for name in SERVICES}


async def _migrate(dsn: str, say: Progress) -> None:
    from opscore.db.migrate import migrate  # noqa: PLC0415 - not in the memory of those who only ask for the status

    await migrate(dsn, lambda name: say(f"Applying migration {name}."))


def _supabase(url: str, credentials: Credentials, environ: Mapping[str, str]) -> Supabase:
    """The embedded gateway's address and keys, unless a real Supabase is named."""
    return Supabase(
        url=environ.get("SUPABASE_URL") or url,
        publishable_key=environ.get("SUPABASE_PUBLISHABLE_KEY") or credentials.ensure("publishable", "sb_publishable_"),
        secret_key=environ.get("SUPABASE_SECRET_KEY") or credentials.ensure("secret", "sb_secret_"),
    )


def _single(error: BaseException) -> BaseException:
    """Task groups wrap what they raise; callers want the one error inside."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error
