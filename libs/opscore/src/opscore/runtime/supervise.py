"""Runs one service as a process: log, health endpoint, signals, and an exit code that says how it ended.

Called by every service's `__main__.py`. The first SIGTERM or SIGINT drains, the second hurries, the third cancels.
Exit codes: 0 stopped as asked, 1 failed, 2 settings that cannot be used, 130 cut short.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Awaitable, Callable
from importlib.metadata import version
from typing import TypeVar

import anyio

from opscore.config import Settings
from opscore.domain.errors import ControlPlaneUnavailable, InvalidSetting, OpsError
from opscore.observe.log import set_up_log
from opscore.observe.metrics import Metrics
from opscore.observe.observation import (
    ServiceCrashed,
    ServiceDraining,
    ServiceHurried,
    ServiceStarted,
    ServiceStopped,
)
from opscore.observe.observer import ServiceObserver
from opscore.runtime.check import Probe, run_probes
from opscore.runtime.clock import SystemClock
from opscore.runtime.endpoint import serve_health, write_port
from opscore.runtime.health import Health
from opscore.runtime.service import Service
from opscore.runtime.stopping import Stopping

S = TypeVar("S", bound=Settings)
Main = Callable[[Service, S], Awaitable[None]]

STOPPED, FAILED, UNUSABLE, CUT_SHORT = 0, 1, 2, 130
HURRY_GRACE = 3.0


def start(
    name: str, settings_type: type[S], main: Main[S], probes: Callable[[S], list[Probe]], *, check: bool = False
) -> int:
    """What a service's command does: read settings, then serve, or only check. Returns the exit code."""
    try:
        settings = settings_type.load()
    except InvalidSetting as error:
        print(f"{error.message} {error.hint}", file=sys.stderr)  # noqa: T201 - there is no log yet
        return UNUSABLE
    if check:
        return anyio.run(run_probes, probes(settings))
    return serve(name, settings, main)


def serve(name: str, settings: S, main: Main[S]) -> int:
    """Run `main(service, settings)` until it returns or a stop is asked for; returns the exit code."""
    release = version(f"lakehouse-{name}")
    log = set_up_log(log_format=settings.log_format, level=settings.log_level).bind(service=name)
    metrics = Metrics(name, release)
    service = Service(name, release, ServiceObserver(log, metrics), SystemClock(), Health(), Stopping())
    return anyio.run(supervise, service, metrics, settings, main)


async def supervise(service: Service, metrics: Metrics, settings: S, main: Main[S]) -> int:
    """Run main beside the health endpoint and the signal watch."""
    code = FAILED
    try:
        async with anyio.create_task_group() as group:
            port: int = await group.start(serve_health, service, metrics, settings.health_port)
            with anyio.CancelScope() as scope:
                await group.start(_heed_signals, service, scope)
                if settings.health_file:
                    write_port(settings.health_file, port)
                service.observer.notice(ServiceStarted(service.version, port))
                await main(service, settings)
            code = CUT_SHORT if scope.cancelled_caught else STOPPED
            group.cancel_scope.cancel()
    except Exception as error:  # noqa: BLE001 - the one place where nothing is left to handle it
        code = _end_of(error, service)
    service.observer.notice(ServiceStopped(code))
    return code


def _end_of(error: Exception, service: Service) -> int:
    cause = _innermost(error)
    if isinstance(cause, ControlPlaneUnavailable) and service.stopping.draining:
        return STOPPED  # asked to stop while it waited for the database
    service.observer.notice(ServiceCrashed(cause))
    return UNUSABLE if isinstance(cause, InvalidSetting) else FAILED


def _innermost(error: BaseException) -> BaseException:
    """The cause inside task groups' wrappings; an error of ours before others."""
    if not isinstance(error, BaseExceptionGroup):
        return error
    causes = [_innermost(inner) for inner in error.exceptions]
    return next((cause for cause in causes if isinstance(cause, OpsError)), causes[0])


async def _heed_signals(
    service: Service,
    scope: anyio.CancelScope,
    *,
    task_status: anyio.abc.TaskStatus[None] = anyio.TASK_STATUS_IGNORED,
) -> None:
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        task_status.started()
        async for number in signals:
            cause = signal.Signals(number).name
            if not service.stopping.draining:
                service.stopping.drain()
                service.observer.notice(ServiceDraining(cause))
            elif not service.stopping.hurrying:
                service.stopping.hurry()
                service.observer.notice(ServiceHurried(cause))
                scope.deadline = anyio.current_time() + HURRY_GRACE
            else:
                scope.cancel()
