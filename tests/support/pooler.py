"""A pooler that lends one backend to everybody, as far as a client can tell: enough of Postgres' protocol to be asked."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

PID = b"4242"
SSL_REQUEST, INT4 = 80877103, 23
READY = b"Z" + struct.pack("!ic", 5, b"I")
ROW = b"pid\0" + struct.pack("!ihihih", 0, 0, INT4, 4, -1, 0)


def message(kind: bytes, body: bytes = b"") -> bytes:
    return kind + struct.pack("!i", len(body) + 4) + body


GREETING = (
    message(b"R", struct.pack("!i", 0))
    + b"".join(
        message(b"S", name + b"\0" + value + b"\0")
        for name, value in [(b"server_version", b"15.0"), (b"client_encoding", b"UTF8"), (b"TimeZone", b"UTC")]
    )
    + message(b"K", struct.pack("!ii", int(PID), 1))
    + READY
)
DESCRIBED = message(b"t", struct.pack("!h", 0)) + message(b"T", struct.pack("!h", 1) + ROW)
ANSWERED = message(b"D", struct.pack("!hi", 1, 4) + struct.pack("!i", int(PID))) + message(b"C", b"SELECT 1\0")
ANSWERS = {
    b"P": message(b"1"),
    b"D": DESCRIBED,
    b"B": message(b"2"),
    b"E": ANSWERED,
    b"C": message(b"3"),
    b"S": READY,
    b"Q": message(b"C", b"LISTEN\0") + READY,
}


async def serve_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            (length,) = struct.unpack("!i", await reader.readexactly(4))
            body = await reader.readexactly(length - 4)
            if struct.unpack("!i", body[:4])[0] != SSL_REQUEST:
                break
            writer.write(b"N")
        writer.write(GREETING)
        while (kind := await reader.readexactly(1)) != b"X":
            (length,) = struct.unpack("!i", await reader.readexactly(4))
            await reader.readexactly(length - 4)
            writer.write(ANSWERS.get(kind, b""))
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


@asynccontextmanager
async def transaction_pooler() -> AsyncIterator[str]:
    """The address of one, for the length of the block."""
    server = await asyncio.start_server(serve_one, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        yield f"postgresql://u:p@127.0.0.1:{port}/x?sslmode=disable"
