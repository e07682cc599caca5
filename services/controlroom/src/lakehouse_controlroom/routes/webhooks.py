"""`/v1/webhooks`: start the pipeline that a trigger's own token stands for."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body, Header
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from lakehouse_controlroom.answers import document
from lakehouse_controlroom.room import Bearer, TheRoom

router = APIRouter()


class Delivery(BaseModel):
    """What the sender wants to tell the pipeline."""

    model_config = ConfigDict(extra="forbid")

    params: dict[str, Any] = Field(default_factory=dict)


@router.post("/v1/webhooks")
async def fire_webhook(
    room: TheRoom,
    token: Bearer,
    delivery: Annotated[Delivery | None, Body()] = None,
    idempotency_key: Annotated[str | None, Header(min_length=1, max_length=200)] = None,
) -> Response:
    """Start a run. The answer says which one; looking at it is what other paths are for."""
    params = delivery.params if delivery else {}
    run_id, created = await room.webhooks.fire_webhook(token, params, idempotency_key=idempotency_key)
    return document({"run_id": str(run_id), "created": created}, 201 if created else 200)
