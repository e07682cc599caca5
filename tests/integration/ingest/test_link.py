"""A source link that goes silent ends the attempt; a server that is only slow does not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from opscore.db import source, source_link
from opscore.db.source import export_snapshot
from opscore.domain.errors import SourceUnavailable

if TYPE_CHECKING:
    from integration.ingest.bench import Bench

ROWS = "select n, repeat('x', 1000) from generate_series(1, 100000) as n"


class Proxy:
    """Passes bytes on until it is told to be silent; connections stay open."""

    def __init__(self, host: str, port: int) -> None:
        self._to = (host, port)
        self._open = asyncio.Event()
        self._open.set()
        self._writers: list[asyncio.StreamWriter] = []
        self._pumps: list[asyncio.Task[None]] = []

    def fall_silent(self) -> None:
        self._open.clear()

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(*self._to)
        self._writers += [writer, far_writer]
        self._pumps += [asyncio.create_task(self._pump(*ends)) for ends in ((reader, far_writer), (far_reader, writer))]

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            await self._open.wait()
            writer.write(data)

    async def close(self) -> None:
        for pump in self._pumps:
            pump.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)
        for writer in self._writers:
            writer.transport.abort()


@pytest.fixture
async def proxy(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Proxy]:
    monkeypatch.setattr(source_link, "SILENT_SECONDS", 1.0)
    monkeypatch.setattr(source, "CONNECT_SECONDS", 2.0)
    parts = urlsplit(bench.dsn)
    proxy = Proxy(parts.hostname or "127.0.0.1", parts.port or 5432)
    server = await asyncio.start_server(proxy.accept, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    bench.dsn = bench.dsn.replace(f"{parts.hostname}:{parts.port}", f"127.0.0.1:{port}")
    yield proxy
    server.close()
    await proxy.close()


async def test_a_copy_whose_link_goes_silent_ends(bench: Bench, proxy: Proxy) -> None:
    async def silence(_: bytes) -> None:
        proxy.fall_silent()

    async with export_snapshot(bench.dsn) as (session, _):
        with pytest.raises(SourceUnavailable, match="nothing came from it"):
            await asyncio.wait_for(session.copy(ROWS, silence), 60)


async def test_a_question_whose_link_goes_silent_ends(bench: Bench, proxy: Proxy) -> None:
    async with export_snapshot(bench.dsn) as (session, _):
        proxy.fall_silent()
        with pytest.raises(SourceUnavailable, match="nothing came from it"):
            await asyncio.wait_for(session.fetch("select 1"), 60)


@pytest.mark.usefixtures("proxy")
async def test_a_server_that_computes_for_long_is_waited_for(bench: Bench) -> None:
    received: list[bytes] = []

    async def keep(data: bytes) -> None:
        received.append(data)

    async with export_snapshot(bench.dsn) as (session, _):
        slow = await session.fetch("select pg_sleep(2.5)::text, 7 as n")
        await session.copy("select 8 from (select pg_sleep(2.5)) as slow", keep)

    assert (slow[0]["n"], b"".join(received)) == (7, b"8\n")
