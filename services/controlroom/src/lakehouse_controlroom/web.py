"""The web application: routes, problem documents, guard. Built by `app.py` and by tests."""

from __future__ import annotations

from fastapi import FastAPI
from starlette.types import ASGIApp

from lakehouse_controlroom import problems
from lakehouse_controlroom.guard import Guard
from lakehouse_controlroom.room import Room
from lakehouse_controlroom.routes import catalogue, events, page, runs, webhooks


def routed() -> FastAPI:
    """All paths, without what they need to answer; a contract test compares them with the written contract."""
    web = FastAPI(title="Lakehouse Control Room", openapi_url=None, docs_url=None, redoc_url=None)
    for module in (runs, events, catalogue, webhooks, page):
        web.include_router(module.router)
    problems.install(web)
    return web


def guarded(room: Room) -> ASGIApp:
    """The application as it is served."""
    web = routed()
    web.state.room = room
    return Guard(web)
