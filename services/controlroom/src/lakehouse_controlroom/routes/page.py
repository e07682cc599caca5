"""The page and its files. `/runs/{id}` is the same page: notifications link there, the script opens the run."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter
from starlette.responses import FileResponse, Response

from opscore.domain.errors import NotFound

router = APIRouter(include_in_schema=False)
FOLDER = Path(__file__).parents[1] / "static"
MEDIA_TYPES = {".js": "text/javascript", ".css": "text/css"}
FILES = {file.name: file for file in FOLDER.iterdir() if file.suffix in MEDIA_TYPES}
FRESH = {"Cache-Control": "no-cache"}  # a newer release must not meet an older script


@router.get("/")
@router.get("/runs/{run_id}")
async def page() -> Response:
    """The control room."""
    return FileResponse(FOLDER / "index.html", media_type="text/html", headers=FRESH)


@router.get("/static/{name}")
async def file(name: str) -> Response:
    """A script or the style."""
    if name not in FILES:
        raise NotFound(f"There is no file {name[:100]!r}.", hint="Load the page anew.")
    return FileResponse(FILES[name], media_type=MEDIA_TYPES[FILES[name].suffix], headers=FRESH)
