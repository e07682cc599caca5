"""`/v1/runs`: list, start, look at, cancel."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Body, Header, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from lakehouse_controlroom.answers import document
from lakehouse_controlroom.room import Room, TheRoom, Writer
from opscore.domain.arguments import resolve_params
from opscore.domain.pipeline import PipelineSpec
from opscore.domain.run import RunState

router = APIRouter()


class Wanted(BaseModel):
    """A run that is asked for."""

    model_config = ConfigDict(extra="forbid")

    pipeline: str = Field(min_length=1, max_length=63)
    params: dict[str, Any] = Field(default_factory=dict)


class Reason(BaseModel):
    """Why somebody cancels."""

    model_config = ConfigDict(extra="forbid")

    reason: str | None = Field(default=None, max_length=1000)


@router.get("/v1/runs")
async def list_runs(
    room: TheRoom,
    state: RunState | None = None,
    pipeline: Annotated[str | None, Query(max_length=63)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    after: Annotated[str | None, Query(max_length=200)] = None,
) -> Response:
    """A page of runs, newest first."""
    page = await room.people.runs(room.environment, state=state, pipeline=pipeline, limit=limit, after=after)
    return document({"items": page.items, "next": page.next})


@router.post("/v1/runs")
async def start_run(
    room: TheRoom,
    writer: Writer,
    wanted: Wanted,
    idempotency_key: Annotated[str | None, Header(min_length=1, max_length=200)] = None,
) -> Response:
    """Ask for a run; a repeated key answers the run of the first time."""
    del writer
    params = await _resolved(room, wanted)
    accepted = await room.people.enqueue(room.environment, wanted.pipeline, params, idempotency_key=idempotency_key)
    run = await room.people.run(accepted.run_id)
    return document({"run": run, "created": accepted.created}, 201 if accepted.created else 200)


@router.get("/v1/runs/{run_id}")
async def show_run(room: TheRoom, run_id: UUID) -> Response:
    """One run."""
    return document({"run": await room.people.run(run_id)})


@router.post("/v1/runs/{run_id}/cancel")
async def cancel_run(
    room: TheRoom, writer: Writer, run_id: UUID, wanted: Annotated[Reason | None, Body()] = None
) -> Response:
    """Ask for a run's end. Doing it again changes nothing, so no key is needed."""
    await room.people.cancel_run(run_id, by=writer, reason=wanted.reason if wanted else None)
    return document({"run": await room.people.run(run_id)})


@router.get("/v1/runs/{run_id}/artifacts")
async def list_artifacts(room: TheRoom, run_id: UUID) -> Response:
    """What a run left behind."""
    await room.people.run(run_id)
    return document({"items": await room.people.artifacts(run_id)})


async def _resolved(room: Room, wanted: Wanted) -> dict[str, Any]:
    pipeline = await room.people.pipeline(room.environment, wanted.pipeline)
    if pipeline["built_in"]:
        return wanted.params
    return resolve_params(PipelineSpec.model_validate(pipeline["spec"]), wanted.params, datetime.now(UTC).date())
