"""Asks a service whether it is ready: the port it wrote into its file, then `GET /health`.

Called by the supervisor while a service starts, and by `status`.
"""

from __future__ import annotations

import http.client
from pathlib import Path

import anyio
import anyio.to_thread

from lakehouse.embedded.ports import LOOPBACK

ANSWER_SECONDS = 2.0


def port_in(file: Path) -> int | None:
    """The port a service wrote; None before it did."""
    try:
        return int(file.read_text(encoding="ascii").strip())
    except (FileNotFoundError, ValueError):
        return None


async def is_ready(file: Path) -> bool:
    """True when the service answers 200 within two seconds."""
    port = port_in(file)
    return port is not None and await anyio.to_thread.run_sync(_answers, port, abandon_on_cancel=True)


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=ANSWER_SECONDS)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
