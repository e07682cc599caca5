"""Serves the web application on loopback until the service is asked to stop. Called by `app.py`."""

from __future__ import annotations

import socket
from collections.abc import Generator
from contextlib import contextmanager

import anyio
import uvicorn
from starlette.types import ASGIApp

from opscore.domain.errors import InvalidSetting
from opscore.runtime.stopping import Stopping

LOOPBACK = "127.0.0.1"
GRACE_S = 2


class _Server(uvicorn.Server):
    """uvicorn without its signal handling: stopping is the supervisor's."""

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


def bound(port: int) -> socket.socket:
    """A socket on loopback. port: 0 for any free one. Raises InvalidSetting."""
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((LOOPBACK, port))
    except OSError as error:
        listening.close()
        fault = f"port {port} of {LOOPBACK} cannot be listened on ({error.strerror})"
        raise InvalidSetting(name="LAKEHOUSE_PORT", fault=fault, example="8378, or 0 for any free port") from error
    return listening


async def serve_until_stopped(web: ASGIApp, listening: socket.socket, stopping: Stopping) -> None:
    """Serve; once a stop is asked for, finish what is being answered."""
    config = uvicorn.Config(
        web,
        log_config=None,
        access_log=False,
        lifespan="off",
        ws="none",
        server_header=False,
        timeout_graceful_shutdown=GRACE_S,
    )
    server = _Server(config)

    async def stop() -> None:
        await stopping.asked()
        server.should_exit = True

    async with anyio.create_task_group() as group:
        group.start_soon(stop)
        try:
            await server.serve(sockets=[listening])
        finally:
            for one in getattr(server, "servers", []):
                one.close()  # before its socket: the loop must not go on watching a number that is free again
            listening.close()
        group.cancel_scope.cancel()
