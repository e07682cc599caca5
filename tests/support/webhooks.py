"""A receiver of webhooks: a real HTTP server on loopback that answers by script and remembers what it got."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ssl import SSLContext
from typing import Any


@dataclass(frozen=True)
class Answer:
    """What the receiver says to one request. silent: nothing at all. endless: a body that does not stop. after: waited for."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b"ok"
    silent: bool = False
    endless: bool = False
    after: asyncio.Event | None = None


@dataclass(frozen=True)
class Received:
    """One request. headers: lower-case names."""

    target: str
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class Receiver:
    """`script` is answered in order, then 200 for ever."""

    def __init__(self) -> None:
        self.script: list[Answer] = []
        self.received: list[Received] = []
        self.body_bytes_sent = 0
        self.port = 0
        self._news = asyncio.Condition()
        self._talks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    async def until(self, count: int) -> list[Received]:
        """Wait until so many requests came."""
        async with asyncio.timeout(60), self._news:
            await self._news.wait_for(lambda: len(self.received) >= count)
        return self.received

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Begin a talk with one client."""
        talk = asyncio.create_task(self._handle(reader, writer))
        self._talks.add(talk)
        talk.add_done_callback(self._talks.discard)

    async def close(self) -> None:
        """End all talks."""
        talks = list(self._talks)
        for talk in talks:
            talk.cancel()
        await asyncio.gather(*talks, return_exceptions=True)

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._talk(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.transport.abort()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        async with self._news:
            answer = self.script.pop(0) if self.script else Answer()
            self.received.append(Received(head[0].split(" ")[1], headers, body))
            self._news.notify_all()
        await self._answer(answer, reader, writer)
        writer.close()
        await writer.wait_closed()

    async def _answer(self, answer: Answer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if answer.silent:
            await reader.read()
            return
        if answer.after is not None:
            await answer.after.wait()
        lines = [f"HTTP/1.1 {answer.status} Said", *(f"{name}: {value}" for name, value in answer.headers.items())]
        if not answer.endless:
            lines.append(f"content-length: {len(answer.body)}")
        writer.write(("\r\n".join(lines) + "\r\n\r\n").encode() + (b"" if answer.endless else answer.body))
        while answer.endless:
            writer.write(b"x" * 8192)
            await writer.drain()
            self.body_bytes_sent += 8192
        await writer.drain()


@asynccontextmanager
async def receiving(host: str = "127.0.0.1", tls: SSLContext | None = None) -> AsyncIterator[Receiver]:
    receiver = Receiver()
    server = await asyncio.start_server(receiver.accept, host, 0, ssl=tls)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()
        await receiver.close()
