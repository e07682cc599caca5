"""`/v1/runs/{id}/events` and `/v1/events`: what happened, as a list or live."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated
from uuid import UUID

import anyio
from fastapi import APIRouter, Header, Query
from starlette.responses import Response

from lakehouse_controlroom.answers import EVENT_STREAM, HEARTBEAT, document, message, stream
from lakehouse_controlroom.doorbell import rest
from lakehouse_controlroom.room import Room, TheRoom
from opscore.domain.errors import InvalidInput

router = APIRouter()
BATCH = 500
SHORTEST_REST_S, LONGEST_REST_S = 0.25, 1.0
BEAT_EVERY_S = 15.0


@router.get("/v1/runs/{run_id}/events")
async def run_events(
    room: TheRoom,
    run_id: UUID,
    after: Annotated[int, Query(ge=0)] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = BATCH,
    accept: Annotated[str, Header()] = "",
    last_event_id: Annotated[str | None, Header()] = None,
) -> Response:
    """Events of a run behind a run_seq: a page of JSON, or a stream when the caller accepts one."""
    await room.people.run(run_id)
    if EVENT_STREAM in accept:
        return stream(_live(room, run_id, _sequence(last_event_id, after)))
    items = await room.people.run_events(run_id, after=after, limit=limit)
    return document({"items": items, "next": items[-1]["run_seq"] if len(items) == limit else None})


@router.get("/v1/events")
async def run_changes(room: TheRoom) -> Response:
    """Every run that changes, whole, live. Read the list when `hello` comes: from then on no change is missed."""
    return stream(_changes(room))


async def _live(room: Room, run_id: UUID, after: int) -> AsyncIterator[bytes]:
    silent_since = anyio.current_time()
    while not room.doorbell.closed:
        bell = room.doorbell.next
        events = await room.people.run_events(run_id, after=after, limit=BATCH)
        for event in events:
            after = event["run_seq"]
            yield message(event, id_=after)
        if events or anyio.current_time() - silent_since > BEAT_EVERY_S:
            silent_since = anyio.current_time()
            if not events:
                yield HEARTBEAT
        if len(events) < BATCH:
            await rest(bell, SHORTEST_REST_S, LONGEST_REST_S)


async def _changes(room: Room) -> AsyncIterator[bytes]:
    with room.feed.subscribed() as changes:
        await room.feed.begun()
        yield message({"version": room.service.version}, event="hello")
        while True:
            run = None
            try:
                with anyio.move_on_after(BEAT_EVERY_S):
                    run = await changes.receive()
            except anyio.EndOfStream:
                return
            yield HEARTBEAT if run is None else message(run, event="run")


def _sequence(last_event_id: str | None, after: int) -> int:
    if last_event_id is None:
        return after
    if not (last_event_id.isascii() and last_event_id.isdigit() and len(last_event_id) < 10):
        raise InvalidInput("Last-Event-ID is no run_seq.", hint="Send back the `id` of the last event, unchanged.")
    return int(last_event_id)
