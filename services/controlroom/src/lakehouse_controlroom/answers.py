"""Documents and streams as responses. Used by every route."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

import orjson
from starlette.responses import Response, StreamingResponse

EVENT_STREAM = "text/event-stream"


def document(content: Mapping[str, Any], status: int = 200) -> Response:
    """A JSON answer."""
    return Response(orjson.dumps(content), status, media_type="application/json")


def stream(messages: AsyncIterator[bytes]) -> Response:
    """Server-sent events."""
    return StreamingResponse(messages, media_type=EVENT_STREAM, headers={"X-Accel-Buffering": "no"})


def message(data: Mapping[str, Any], *, event: str | None = None, id_: int | None = None) -> bytes:
    """One server-sent event."""
    lines = [f"id: {id_}"] if id_ is not None else []
    lines += [f"event: {event}"] if event else []
    return "\n".join([*lines, f"data: {orjson.dumps(data).decode()}", "", ""]).encode()


HEARTBEAT = b": beat\n\n"
