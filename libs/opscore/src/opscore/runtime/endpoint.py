"""Health and metrics of a process over HTTP, on loopback, inside the process itself.

Called by the supervisor. `/health` answers 200 or 503 with what each part says; `/metrics` is Prometheus text.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from opscore.domain.errors import InvalidSetting
from opscore.observe.metrics import Metrics
from opscore.runtime.service import Service

if TYPE_CHECKING:
    from anyio.abc import TaskStatus
    from starlette.requests import Request

PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"


class _Server(uvicorn.Server):
    """uvicorn without its signal handling: stopping is the supervisor's."""

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


async def serve_health(
    service: Service, metrics: Metrics, port: int, *, task_status: TaskStatus[int] = anyio.TASK_STATUS_IGNORED
) -> None:
    """Serve until cancelled; reports the port it listens on. port: 0 for any free one."""
    bound = _bound(port)
    config = uvicorn.Config(_app(service, metrics), log_config=None, access_log=False, lifespan="off", ws="none")
    server = _Server(config)
    task_status.started(bound.getsockname()[1])
    try:
        await server.serve(sockets=[bound])
    finally:
        bound.close()


def write_port(path: str, port: int) -> None:
    """Leave the port where the stack's supervisor looks for it, whole or not at all."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f".{target.name}.{os.getpid()}")
    draft.write_text(f"{port}\n")
    draft.replace(target)


def _app(service: Service, metrics: Metrics) -> Starlette:
    async def health(_: Request) -> Response:
        healthy = service.health.healthy
        state = "draining" if service.stopping.draining else "running" if healthy else "unhealthy"
        body = {
            "service": service.name,
            "version": service.version,
            "healthy": healthy,
            "state": state,
            "components": service.health.as_json(),
        }
        return JSONResponse(body, status_code=200 if healthy else 503)

    async def numbers(_: Request) -> Response:
        return Response(metrics.text(), media_type=PROMETHEUS)

    return Starlette(routes=[Route("/health", health), Route("/metrics", numbers)])


def _bound(port: int) -> socket.socket:
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind(("127.0.0.1", port))
    except OSError as error:
        bound.close()
        fault = f"port {port} of 127.0.0.1 cannot be listened on ({error.strerror})"
        raise InvalidSetting(name="LAKEHOUSE_HEALTH_PORT", fault=fault, example="0 for any free port") from error
    return bound
