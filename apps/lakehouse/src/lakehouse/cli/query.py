"""`lakehouse query`: statements are runs of the built-in pipeline `query`; this is their history."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import click

from lakehouse.cli.base import Noun, asynchronous, output
from lakehouse.cli.short_id import RUN_ID
from lakehouse.output.formats import View

COLUMNS = ("id", "state", "sql", "created_at:created", "duration_s:seconds")
QUERIES = View(COLUMNS, empty='No statement was run yet: lakehouse sql "select 1"')
ONE = View((*COLUMNS, "engine", "as_of", "error"), rows="query")
QUERY = click.argument("named", metavar="ID", type=RUN_ID)
PAGE = 200


@click.group(cls=Noun)
def query() -> None:
    """List, show and cancel statements."""


@query.command("list")
@click.option("--text", metavar="T", help="Only statements that contain this text.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, metavar="N")
@asynchronous
async def list_queries(text: str | None, limit: int) -> None:
    """Statements, newest first."""
    from lakehouse.client import connect  # noqa: PLC0415 - only commands that connect pay for it

    async with connect() as lakehouse:
        found = await _search(lakehouse, text, limit)
    output().show({"items": found}, QUERIES)


@query.command()
@QUERY
@asynchronous
async def show(named: str) -> None:
    """One statement: its text, how it ended, how long it took."""
    from lakehouse.client import connect  # noqa: PLC0415

    async with connect() as lakehouse:
        output().show({"query": _query(await lakehouse.people.run(await lakehouse.find_run(named)))}, ONE)


@query.command()
@QUERY
@asynchronous
async def cancel(named: str) -> None:
    """Stop a statement."""
    from lakehouse.cli.ending import cancel_run  # noqa: PLC0415
    from lakehouse.client import connect  # noqa: PLC0415

    async with connect() as lakehouse:
        output().show({"query": _query(await cancel_run(lakehouse, await lakehouse.find_run(named), None))}, ONE)


async def _search(lakehouse: Any, text: str | None, limit: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    after: str | None = None
    while True:
        page = await lakehouse.people.runs(
            lakehouse.environment, state=None, pipeline="query", limit=PAGE if text else limit, after=after
        )
        found += [_query(run) for run in page.items if not text or text.lower() in str(run["params"]["sql"]).lower()]
        after = page.next
        if after is None or len(found) >= limit:
            return found[:limit]


def _query(run: dict[str, Any]) -> dict[str, Any]:
    started, finished = run["started_at"], run["finished_at"]
    took = datetime.fromisoformat(finished) - datetime.fromisoformat(started) if started and finished else None
    params = run["params"]
    return {
        "id": run["id"],
        "state": run["state"],
        "sql": params.get("sql"),
        "engine": params.get("engine"),
        "as_of": params.get("as_of"),
        "limit": params.get("limit"),
        "created_at": run["created_at"],
        "started_at": started,
        "finished_at": finished,
        "duration_s": None if took is None else round(took.total_seconds(), 3),
        "error": run["error"],
    }
