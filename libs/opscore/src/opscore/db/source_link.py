"""Whether the other end of a source connection still is there. Used by `source.py` alone.

A link can go silent without an error: a machine that lost its power, a gateway that forgot the connection. The kernel
finds some of that by keepalive; behind a proxy only the server's own word about the session tells.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

import asyncpg

from opscore.domain.errors import OpsError

SILENT_SECONDS = 60.0  # without a byte; then the server is asked what the session does
KEEPALIVE = (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3), ("TCP_USER_TIMEOUT", 60_000))

SESSION_STATE = (
    "select state = 'active' and wait_event_type is distinct from 'Client' from pg_stat_activity where pid = $1"
)

Result = TypeVar("Result")


class LinkSilent(OSError):
    """Nothing comes any more, and the server is not at work for us."""


class SourceLink:
    """Watches one connection. connect: opens another one, to ask about the first."""

    def __init__(self, connection: asyncpg.Connection, connect: Callable[[], Awaitable[asyncpg.Connection]]) -> None:
        self._connection = connection
        self._connect = connect
        self._pid = 0
        self._heard = 0
        self._busy = False

    async def begin(self) -> None:
        """Learn the session's number from the server itself; a pooler would make one up."""
        keep_alive(self._connection)
        self._pid = await asyncio.wait_for(self._connection.fetchval("select pg_backend_pid()"), SILENT_SECONDS)

    def heard(self, sink: Callable[[bytes], Awaitable[None]]) -> Callable[[bytes], Awaitable[None]]:
        """The sink, with every call of it counted as a sign of life; while it works, silence is ours."""

        async def receive(data: bytes) -> None:
            self._heard += 1
            self._busy = True
            try:
                await sink(data)
            finally:
                self._busy = False

        return receive

    async def watch(self, work: Coroutine[Any, Any, Result]) -> Result:
        """The work's result. Raises LinkSilent when nothing comes and the server says that nothing will."""
        task = asyncio.ensure_future(work)
        try:
            while True:
                before = self._heard
                ended, _ = await asyncio.wait({task}, timeout=SILENT_SECONDS)
                if ended:
                    return await task
                if self._heard == before and not self._busy and not await self._at_work() and self._heard == before:
                    raise LinkSilent(f"nothing came from it for {SILENT_SECONDS:g} s")
        finally:
            if not task.done():
                self._connection.terminate()
                task.cancel()
                await asyncio.wait({task}, timeout=1)

    async def _at_work(self) -> bool:
        """Computing for long is no fault; waiting for us, or not being there, means that the link is broken."""
        try:
            other = await self._connect()
            try:
                return bool(await asyncio.wait_for(other.fetchval(SESSION_STATE, self._pid), SILENT_SECONDS))
            finally:
                other.terminate()
        except (OpsError, OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return False


def keep_alive(connection: asyncpg.Connection) -> None:
    """Let the kernel find a dead peer within about a minute, where it can."""
    transport = connection._transport  # type: ignore[attr-defined]  # noqa: SLF001 - asyncpg offers no other way to its socket
    link = transport.get_extra_info("socket")
    if link is None or link.family not in {socket.AF_INET, socket.AF_INET6}:
        return
    link.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in KEEPALIVE:
        if hasattr(socket, name):
            link.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
