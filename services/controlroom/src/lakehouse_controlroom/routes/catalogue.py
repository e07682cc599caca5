"""`/v1/health`, `/v1/tables`, `/v1/pipelines`, `/v1/executors`: what there is."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from lakehouse_controlroom.answers import document
from lakehouse_controlroom.room import TheRoom

router = APIRouter()


@router.get("/v1/health")
async def health(room: TheRoom) -> Response:
    """Whether this control room works, part by part."""
    pulse = room.service.health
    body = {"healthy": pulse.healthy, "version": room.service.version, "components": pulse.as_json()}
    return document(body, 200 if pulse.healthy else 503)


@router.get("/v1/tables")
async def list_tables(room: TheRoom) -> Response:
    """Published tables by name."""
    return document({"items": await room.people.tables()})


@router.get("/v1/pipelines")
async def list_pipelines(room: TheRoom) -> Response:
    """Pipelines by name, the built-in ones last."""
    return document({"items": await room.people.pipelines(room.environment)})


@router.get("/v1/executors")
async def list_executors(room: TheRoom) -> Response:
    """Executors, those seen last first."""
    return document({"items": await room.people.executors()})
