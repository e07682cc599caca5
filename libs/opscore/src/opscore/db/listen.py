"""One LISTEN connection per process, proven by a round trip. Called by every service's `app.py`; implements Wakeups.

NOTIFY is lossy: whatever is sent while this reconnects is gone. So the bell rings once after every (re)connect,
`healthy` is true only while the listener's own notifications come back, and every caller scans as well.
A transaction pooler accepts LISTEN and delivers nothing, or now and then an echo that looks like proof: it is found
out by its backends before the first LISTEN, and refused.
"""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import anyio
import asyncpg

from opscore.db.errors import UNAVAILABLE
from opscore.domain.errors import InvalidSetting

PROOF_EVERY_S = 10.0
PROOF_TIMEOUT_S = 3.0
POOLER_ROUNDS = 3
LENT_OUT = (  # what a session's own statement comes to when the next message meets another backend
    asyncpg.InvalidSQLStatementNameError,
    asyncpg.DuplicatePreparedStatementError,
)
RECONNECT_AFTER_S = (0.05, 0.2, 0.5, 1.0, 2.0, 5.0)


def _everything(_channel: str, _payload: str) -> bool:
    return True


class Listener:
    """A doorbell over LISTEN. `rings` counts notifications, `connects` successful (re)connections."""

    def __init__(
        self, dsn: str, channels: Sequence[str], application: str, minds: Callable[[str, str], bool] = _everything
    ) -> None:
        """dsn: direct, not through a transaction pooler. channels: names that may ring. minds: see `listening`."""
        self._dsn = dsn
        self._minds = minds
        self._channels = tuple(channels)
        self._application = application
        self._proof_channel = f"lakehouse_proof_{uuid.uuid4().hex}"
        self._bell = anyio.Event()
        self._proof = anyio.Event()
        self._healthy = False
        self.rings = 0
        self.connects = 0
        self.last_payload = ""

    @property
    def healthy(self) -> bool:
        """See Wakeups."""
        return self._healthy

    def ring(self) -> None:
        """See Wakeups."""
        self._bell.set()

    async def wait(self, timeout: float) -> bool:  # noqa: ASYNC109 - the timeout is the scan interval
        """See Wakeups."""
        with anyio.move_on_after(timeout):
            await self._bell.wait()
        rang = self._bell.is_set()
        if rang:
            self._bell = anyio.Event()
        return rang

    async def run(self, on_change: Callable[[bool], None] = lambda _healthy: None) -> None:
        """Stay connected until cancelled. on_change: told when `healthy` flips.

        Raises InvalidSetting when the address leads through a transaction pooler.
        """
        failures = 0
        while True:
            try:
                await self._hold_connection(on_change)
                failures = 0
            except UNAVAILABLE:
                failures += 1
            except asyncpg.PostgresError:
                failures += 1
            self._became(on_change, healthy=False)
            await anyio.sleep(RECONNECT_AFTER_S[min(failures, len(RECONNECT_AFTER_S) - 1)])

    async def _hold_connection(self, on_change: Callable[[bool], None]) -> None:
        """Connect, listen, and prove the connection until it fails to answer."""
        connection = await self._connect()
        try:
            if not self.connects:
                await self._refuse_pooler(connection)
            for channel in (*self._channels, self._proof_channel):
                await connection.add_listener(channel, self._heard)
            self.connects += 1
            while await self._proven(connection):
                self._became(on_change, healthy=True)
                await self._sleep_until_closed(connection, PROOF_EVERY_S)
        finally:
            connection.terminate()

    async def _connect(self) -> asyncpg.Connection:
        return await asyncpg.connect(
            self._dsn,
            timeout=5,
            command_timeout=PROOF_TIMEOUT_S,
            statement_cache_size=0,
            server_settings={"application_name": self._application},
        )

    async def _refuse_pooler(self, connection: asyncpg.Connection) -> None:
        """Two connections open at once have a backend each, unless somebody lends backends out by the transaction."""
        second = await self._connect()
        try:
            ours, theirs = set[object](), set[object]()
            for _ in range(POOLER_ROUNDS):
                ours.add(await connection.fetchval("select pg_backend_pid()"))
                theirs.add(await second.fetchval("select pg_backend_pid()"))
            lent_out = len(ours) > 1 or bool(ours & theirs)
        except LENT_OUT:
            lent_out = True
        finally:
            second.terminate()
        if lent_out:
            raise InvalidSetting(
                name="LAKEHOUSE_DIRECT_URL",
                fault="it leads through a transaction pooler, where LISTEN hears nothing",
                example="the server's own address, or a session pooler's, which is often on port 5432 of the same host",
            )

    async def _proven(self, connection: asyncpg.Connection) -> bool:
        """Notify ourselves and wait for the echo."""
        if connection.is_closed():
            return False
        self._proof = anyio.Event()
        await connection.execute("select pg_notify($1, '')", self._proof_channel)
        with anyio.move_on_after(PROOF_TIMEOUT_S):
            await self._proof.wait()
        return self._proof.is_set()

    async def _sleep_until_closed(self, connection: asyncpg.Connection, seconds: float) -> None:
        closed = asyncio.Event()

        def wake(_connection: Any) -> None:
            closed.set()

        connection.add_termination_listener(wake)
        with anyio.move_on_after(seconds):
            await closed.wait()
        with contextlib.suppress(ValueError, KeyError):
            connection.remove_termination_listener(wake)

    def _heard(self, _connection: Any, _pid: int, channel: str, payload: object) -> None:
        if channel == self._proof_channel:
            self._proof.set()
            return
        self.rings += 1
        self.last_payload = str(payload)
        if self._minds(channel, self.last_payload):
            self._bell.set()

    def _became(self, on_change: Callable[[bool], None], *, healthy: bool) -> None:
        if healthy is not self._healthy:
            self._healthy = healthy
            on_change(healthy)
            if healthy:
                self.ring()  # whatever rang before this was not heard


@asynccontextmanager
async def listening(
    dsn: str,
    channels: Sequence[str],
    *,
    application: str,
    on_change: Callable[[bool], None] = lambda _healthy: None,
    minds: Callable[[str, str], bool] = _everything,
) -> AsyncGenerator[Listener]:
    """Run a Listener in the background for the length of the block.

    minds: whether a notification (channel, payload) rings the bell. Anybody may send anything: it must only hint.
    """
    listener = Listener(dsn, channels, application, minds)
    async with anyio.create_task_group() as group:
        group.start_soon(listener.run, on_change)
        try:
            yield listener
        finally:
            group.cancel_scope.cancel()
