"""`lakehouse event tail`: the log, as lines of JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from lakehouse.cli.base import Noun, asynchronous, output
from lakehouse.cli.run_id import RUN_ID
from lakehouse.output.formats import View, as_json

if TYPE_CHECKING:
    from lakehouse.client import Lakehouse
    from lakehouse.client.tailing import Tail

EVENTS = View(("seq", "at", "type", "run_id", "run_seq", "data"), empty="No event yet: every run leaves some.")
FIELDS = ("seq", "run_id", "run_seq", "type", "at", "data", "attempt")
LONGEST_REST_S = 1.0


@click.group(cls=Noun)
def event() -> None:
    """The event log."""


@event.command()
@click.option("--run", "named", metavar="ID", type=RUN_ID, help="Only events of this run, from its first.")
@click.option("--follow", is_flag=True, help="Go on with what happens, until Ctrl-C; with --run, until the run ends.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=100, show_default=True, metavar="N")
@asynchronous
async def tail(named: str | None, limit: int, *, follow: bool) -> None:
    """The newest events, oldest first: JSON lines unless a terminal or `-o` wants it otherwise."""
    from lakehouse.client import connect  # noqa: PLC0415 - only commands that connect pay for it
    from lakehouse.client.tailing import TailOfAll, TailOfRun, everything  # noqa: PLC0415

    async with connect() as lakehouse:
        if named is None:
            log: Tail = TailOfAll(lakehouse.people, limit)
        else:
            run_id = await lakehouse.find_run(named)
            await lakehouse.people.run(run_id)
            log = TailOfRun(lakehouse.people, run_id)
        if follow:
            await _follow(lakehouse, log)
        else:
            _show(await everything(log) if named else await log.more())


async def _follow(lakehouse: Lakehouse, log: Tail) -> None:
    from lakehouse.client.lakehouse import APPLICATION  # noqa: PLC0415
    from lakehouse.client.waiting import CHANNEL  # noqa: PLC0415
    from opscore.db.listen import listening  # noqa: PLC0415

    async with listening(lakehouse.target.listen_dsn, [CHANNEL], application=APPLICATION) as bell:
        while True:
            rows = await log.more()
            for row in rows:
                output().write(_for_people(row) if output().is_table else as_json(_event(row)))
            if not rows and log.over:
                return
            if not rows:
                await bell.wait(LONGEST_REST_S)


def _show(rows: list[dict[str, Any]]) -> None:
    way = output()
    if way.format == "json" and way.wanted is None:
        way.wanted = "jsonl"
    way.show({"items": [_event(row) for row in rows]}, EVENTS)


def _event(row: dict[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in FIELDS}


def _for_people(row: dict[str, Any]) -> str:
    return f"{row['at'][11:19]}  {row['run_id'][:8]}  {row['type']:<16} {as_json(row['data'])}"
