"""A wire to Postgres that loses answers: the statement arrives and is carried out, and its caller never hears of it."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit, urlunsplit

SSL_REQUEST = 80877103
READY = b"Z"


async def packet(reader: asyncio.StreamReader, *, typed: bool = True) -> tuple[bytes, bytes]:
    """One message of Postgres' protocol: its kind and its body."""
    kind = await reader.readexactly(1) if typed else b""
    (length,) = struct.unpack("!i", await reader.readexactly(4))
    return kind, await reader.readexactly(length - 4)


def packed(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!i", len(body) + 4) + body


@dataclass
class DeafProxy:
    """lose: part of a statement's text -> how many of its answers are still to be lost; met: those that were."""

    upstream: str
    lose: dict[str, int] = field(default_factory=dict)
    met: list[str] = field(default_factory=list)
    dsn: str = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        address = urlsplit(self.upstream)
        theirs, ours = await asyncio.open_connection(address.hostname, address.port)
        line = Line(self, reader, writer, theirs, ours)
        tasks = [asyncio.create_task(line.requests()), asyncio.create_task(line.answers())]
        with suppress(asyncio.CancelledError):
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        writer.close()
        ours.close()


@dataclass
class Line:
    """One connection: the client's reader and writer, the server's reader and writer."""

    proxy: DeafProxy
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    theirs: asyncio.StreamReader
    ours: asyncio.StreamWriter
    statements: dict[bytes, str] = field(default_factory=dict)
    losing: bool = False

    async def requests(self) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            await self.greet()
            while True:
                kind, body = await packet(self.reader)
                if kind == b"P":
                    name, text, _ = body.split(b"\0", 2)
                    self.statements[name] = text.decode()
                if kind == b"B":
                    self.bind(body.split(b"\0", 2)[1])
                self.ours.write(packed(kind, body))

    async def greet(self) -> None:
        """Without TLS, so that what is said can be read."""
        while True:
            _, body = await packet(self.reader, typed=False)
            if struct.unpack("!i", body[:4])[0] != SSL_REQUEST:
                self.ours.write(packed(b"", body))
                return
            self.writer.write(b"N")

    def bind(self, name: bytes) -> None:
        text = self.statements.get(name, "")
        for part, left in self.proxy.lose.items():
            if left and part in text:
                self.proxy.lose[part] -= 1
                self.proxy.met.append(part)
                self.losing = True

    async def answers(self) -> None:
        """Pass on what the server says; when an answer is to be lost, wait for its end and hang up."""
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                kind, body = await packet(self.theirs)
                if not self.losing:
                    self.writer.write(packed(kind, body))
                elif kind == READY:
                    return


@asynccontextmanager
async def deaf_proxy(upstream: str, **lose: int) -> AsyncIterator[DeafProxy]:
    """A proxy before `upstream`. lose: SQL functions by name -> how many of their answers are lost."""
    proxy = DeafProxy(upstream, {f"ops.{name}(": count for name, count in lose.items()})
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    address = urlsplit(upstream)
    login = address.netloc.rpartition("@")[0]
    place = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    proxy.dsn = urlunsplit(address._replace(netloc=f"{login}@{place}" if login else place))
    async with server:
        yield proxy
