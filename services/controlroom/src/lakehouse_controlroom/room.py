"""What all routes share. Built by `app.py`, kept in the application's state, handed to routes by `room_of`."""

from __future__ import annotations

from dataclasses import dataclass
from hmac import compare_digest
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Request

from lakehouse_controlroom.doorbell import Doorbell
from lakehouse_controlroom.feed import Feed
from lakehouse_controlroom.problems import Unauthenticated
from opscore.domain.errors import NotAllowed
from opscore.ports.people import People
from opscore.ports.webhooks import Webhooks
from opscore.runtime.service import Service


@dataclass(frozen=True, slots=True)
class Room:
    """token: what writes must carry, None when nothing may be changed through HTTP."""

    people: People
    environment: UUID
    feed: Feed
    doorbell: Doorbell
    service: Service
    token: str | None
    webhooks: Webhooks


def room_of(request: Request) -> Room:
    """The room of the running application."""
    return request.app.state.room


def writer(request: Request) -> str:
    """Who writes. Raises Unauthenticated without the token, NotAllowed when there is none to give."""
    token = room_of(request).token
    if token is None:
        raise NotAllowed(
            "This control room changes nothing: it was started without LAKEHOUSE_TOKEN.",
            hint="Set LAKEHOUSE_TOKEN where the control room runs, or use the `lakehouse` command.",
        )
    if not compare_digest(bearer(request).encode(), token.encode()):
        raise Unauthenticated
    return "api"


def bearer(request: Request) -> str:
    """The token that the request carries. Raises Unauthenticated without one."""
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not given.strip():
        raise Unauthenticated
    return given.strip()


TheRoom = Annotated[Room, Depends(room_of)]
Writer = Annotated[str, Depends(writer)]
Bearer = Annotated[str, Depends(bearer)]
