"""The stack from outside: start it in the background, stop it, look at it.

Called by the CLI and the SDK. A stack in the foreground is `bringup.bring_up`.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import anyio
import anyio.to_thread

from lakehouse.embedded import health, lock
from lakehouse.embedded.faults import from_fault
from lakehouse.embedded.files import log_path, open_log, tail
from lakehouse.embedded.postmaster import stop_server
from lakehouse.embedded.process import stop_group_leaders
from lakehouse.embedded.service import health_file
from lakehouse.embedded.settings import StackSettings, home_of
from lakehouse.embedded.status import ServiceStatus, StackStatus, State
from lakehouse.embedded.supervisor import GRACE_SECONDS, POSTGRES, STALE_GRACE_SECONDS
from opscore.db import admin
from opscore.domain.errors import OpsError, TimedOut, Unexpected

LOOK_SECONDS = 0.05
ANSWER_SECONDS = 3.0
LONGEST_START_SECONDS = 400.0
SLOW_SECONDS = 20.0
LONGEST_STOP_SECONDS = 2 * GRACE_SECONDS + 15

# Background stacks this process started: a long-lived caller has to reap them.
_daemons: dict[Path, subprocess.Popen[bytes]] = {}


async def up(
    home: Path | None = None, *, port: int | None = None, on_progress: Callable[[str], None] = lambda _: None
) -> StackStatus:
    """Start the stack in the background and return once it is healthy; one that runs already is left as it is.

    Raises InvalidSetting at once, and otherwise what kept the stack from coming up.
    """
    place = StackSettings.load(os.environ, home, port).home
    tried, said = False, ""
    with anyio.move_on_after(LONGEST_START_SECONDS):
        while True:
            # in this order: a look at the lock holds it for an instant, and a daemon that comes up would be refused
            if not _daemon_lives(place) and not lock.is_held(place):
                if tried:
                    raise _why_it_ended(place)
                tried = True
                _spawn_daemon(place, port)
            now = StackStatus.read(place)
            if now.supervisor is not None and now.supervisor.alive():
                if now.state is State.RUNNING:
                    return await _settled(place)
                if now.doing not in {"", said}:
                    said = now.doing
                    on_progress(said)
            await anyio.sleep(LOOK_SECONDS)
    raise TimedOut(
        what=f"Bringing up the stack on {place}",
        seconds=LONGEST_START_SECONDS,
        hint=f"{log_path(place, 'supervisor')} says how far it came.",
    )


async def _settled(home: Path) -> StackStatus:
    """A stack that came up; who does not answer at once may only be slow, and is asked again for a while."""
    seen = await status(home)
    with anyio.move_on_after(SLOW_SECONDS):
        while not seen.healthy:
            await anyio.sleep(LOOK_SECONDS)
            seen = await status(home)
    return seen


async def down(home: Path | None = None) -> bool:
    """Stop the stack, or what is left of one whose supervisor was killed. False when there was nothing to stop."""
    place = (home or home_of(os.environ)).absolute()
    asked = lock.is_held(place)
    if asked:
        await _ask_supervisor(place)
    if not place.is_dir():
        return False
    with lock.only_supervisor(place):  # also when one was asked: it may have been dying, and left everything behind
        await _until_reaped(place)
        return await anyio.to_thread.run_sync(_stop_leftovers, place) or asked


async def status(home: Path | None = None) -> StackStatus:
    """The stack as it is now: what was recorded, checked against the processes and asked of each service."""
    place = (home or home_of(os.environ)).absolute()
    recorded = StackStatus.read(place)
    supervised = recorded.supervisor is not None and recorded.supervisor.alive()
    seen: dict[str, ServiceStatus] = {}

    async def look(one: ServiceStatus) -> None:
        seen[one.name] = await _seen(one, recorded, place, supervised=supervised)

    async with anyio.create_task_group() as looks:
        for one in recorded.services:
            looks.start_soon(look, one)
    state = recorded.state if supervised else State.STOPPED
    return replace(recorded, state=state, services=tuple(seen[one.name] for one in recorded.services))


async def _seen(one: ServiceStatus, recorded: StackStatus, home: Path, *, supervised: bool) -> ServiceStatus:
    if one.identity is None or not one.identity.alive():
        gone = one.state if one.state is not State.RUNNING else State.STARTING
        return replace(one, pid=None, started=None, state=gone if supervised else State.STOPPED)
    if one.state is not State.RUNNING:
        return one
    answers = await (
        _postgres_answers(recorded) if one.name == POSTGRES else health.is_ready(health_file(home, one.name))
    )
    return one if answers else replace(one, state=State.FAILED)


async def _postgres_answers(recorded: StackStatus) -> bool:
    with anyio.move_on_after(ANSWER_SECONDS):
        try:
            await admin.server_version(recorded.database.url)
        except OpsError:
            return False
        return True
    return False


async def _ask_supervisor(home: Path) -> None:
    """SIGTERM, and once more when the first half of the time is over."""
    for _ in range(2):
        supervisor = StackStatus.read(home).supervisor
        if supervisor is not None:
            supervisor.signal(signal.SIGTERM)
        with anyio.move_on_after(LONGEST_STOP_SECONDS / 2):
            return await _until_released(home)
    raise TimedOut(
        what=f"Stopping the stack on {home}",
        seconds=LONGEST_STOP_SECONDS,
        hint=f"{log_path(home, 'supervisor')} says what it waits for.",
    )


async def _until_released(home: Path) -> None:
    while lock.is_held(home) or _daemon_lives(home):  # noqa: ASYNC110 - another process holds it: nobody can set an event
        await anyio.sleep(LOOK_SECONDS)


async def _until_reaped(home: Path) -> None:
    """Wait for the end of a daemon we started: it was killed, or is about to find the lock taken."""
    with anyio.move_on_after(LONGEST_STOP_SECONDS):
        while _daemon_lives(home):  # noqa: ASYNC110 - another process: nobody can set an event
            await anyio.sleep(LOOK_SECONDS)


def _stop_leftovers(home: Path) -> bool:
    recorded = StackStatus.read(home)
    left = [(one.name, one.identity) for one in recorded.services if one.identity and one.identity.alive()]
    stop_group_leaders([who for name, who in left if name != POSTGRES], STALE_GRACE_SECONDS)
    for name, who in left:
        if name == POSTGRES:
            stop_server(who, GRACE_SECONDS)
    if left:
        ended = tuple(replace(one, state=State.STOPPED, pid=None, started=None) for one in recorded.services)
        replace(recorded, state=State.STOPPED, supervisor=None, services=ended).write(home)
    return bool(left)


def _spawn_daemon(home: Path, port: int | None) -> None:
    argv = [sys.executable, "-m", "lakehouse.embedded.daemon", str(home), *([str(port)] if port is not None else [])]
    with open_log(home, "supervisor") as output:
        _daemons[home] = subprocess.Popen(  # noqa: S603 - ourselves
            argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )


def _daemon_lives(home: Path) -> bool:
    """True while the daemon we started runs; reaps it when it does not."""
    daemon = _daemons.get(home)
    if daemon is not None and daemon.poll() is not None:
        del _daemons[home]
        return False
    return daemon is not None


def _why_it_ended(home: Path) -> OpsError:
    fault = StackStatus.read(home).fault
    if fault is None:
        return Unexpected(
            f"The stack ended while it came up: {' / '.join(tail(log_path(home, 'supervisor'))) or 'it says nothing'}",
            hint=f"Look into {log_path(home, 'supervisor')}.",
        )
    return from_fault(fault)
