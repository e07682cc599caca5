"""`lakehouse executor list`: who carries out runs."""

from __future__ import annotations

import click

from lakehouse.cli.base import Noun, asynchronous, output
from lakehouse.output.formats import View

EXECUTORS = View(
    ("name", "alive", "running", "slots", "draining", "capabilities", "version", "last_seen_at:last seen"),
    empty="No executor has registered yet: `lakehouse up` starts one, `lakehouse-executor` another.",
)


@click.group(cls=Noun)
def executor() -> None:
    """Processes that carry out runs."""


@executor.command("list")
@click.option("--all", "everyone", is_flag=True, help="Also those that are gone.")
@asynchronous
async def list_executors(*, everyone: bool) -> None:
    """Executors that are alive, those seen last first."""
    from lakehouse.client import connect  # noqa: PLC0415 - only commands that connect pay for it

    async with connect() as lakehouse:
        found = [one for one in await lakehouse.people.executors() if everyone or one["alive"]]
    output().show({"items": found}, EXECUTORS)
