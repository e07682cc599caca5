"""`lakehouse event`: the log as lines of JSON, and the proof that nobody changed it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from lakehouse.cli.base import Noun, asynchronous, output, say
from lakehouse.cli.exits import Exit
from lakehouse.cli.moment import MOMENT
from lakehouse.cli.short_id import RUN_ID
from lakehouse.output.formats import View, as_json

if TYPE_CHECKING:
    from datetime import datetime

    from lakehouse.client import Lakehouse
    from lakehouse.client.tailing import Tail

EVENTS = View(("seq", "at", "type", "run_id", "run_seq", "data"), empty="No event yet: every run leaves some.")
VERDICT = View(("ok", "batches", "events", "signed_upto", "signatures", "unsealed", "batch", "run_id", "fault"))
HEAD = View(("n", "digest", "at", "key_id", "signature"))
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


@event.command()
@click.option("--since", type=MOMENT, metavar="TIME", help="Begin with what was sealed then: 7d, 2026-03-01…")
@click.option("--key", "keys", multiple=True, metavar="FILE", type=click.Path(dir_okay=False),
              help="A key that may have signed (PEM, public or private); the stack's own without it.")  # fmt: skip
@click.option("--head", "heads", multiple=True, metavar="FILE", type=click.Path(exists=True, dir_okay=False),
              help="A head that `event head` gave earlier and that was kept elsewhere.")  # fmt: skip
@asynchronous
async def verify(since: datetime | None, keys: tuple[str, ...], heads: tuple[str, ...]) -> Exit:
    """Recompute the log's hash chain; exit code 1 names the first batch and run that are not what was sealed."""
    from lakehouse.client.event_log import kept_heads, verify_log  # noqa: PLC0415 - keeps `--version` fast

    verdict = await verify_log(since, [f"file:{key}" for key in keys], kept_heads(heads))
    output().show(verdict, VERDICT)
    return Exit.OK if verdict["ok"] else Exit.ERROR


@event.command()
@click.option(
    "--to", "path", metavar="FILE", type=click.Path(dir_okay=False), help="Write it there too, for safekeeping."
)
@asynchronous
async def head(path: str | None) -> None:
    """The newest seal's number, digest and signature: kept elsewhere, it proves the log up to here for ever."""
    from lakehouse.client.event_log import keep_head, log_head  # noqa: PLC0415 - keeps `--version` fast

    found = await log_head()
    if path is not None:
        keep_head(path, found)
        say(f"Written to {path}; `lakehouse event verify --head {path}` holds the log against it.")
    output().show(found, HEAD)


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
