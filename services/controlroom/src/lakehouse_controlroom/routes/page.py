"""The page and its two files. `/runs/{id}` is the same page: notifications link there, the script opens the run."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter
from starlette.responses import FileResponse, Response

router = APIRouter(include_in_schema=False)
FOLDER = Path(__file__).parents[1] / "static"
FRESH = {"Cache-Control": "no-cache"}


@router.get("/")
@router.get("/runs/{run_id}")
async def page() -> Response:
    """The control room."""
    return FileResponse(FOLDER / "index.html", media_type="text/html", headers=FRESH)


@router.get("/static/room.js")
async def script() -> Response:
    """What makes the page live."""
    return FileResponse(FOLDER / "room.js", media_type="text/javascript", headers=FRESH)


@router.get("/static/room.css")
async def style() -> Response:
    """How the page looks."""
    return FileResponse(FOLDER / "room.css", media_type="text/css", headers=FRESH)


@router.get("/favicon.ico")
async def icon() -> Response:
    """The icon stands in the page itself."""
    return Response(status_code=204)
