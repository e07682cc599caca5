"""`lakehouse pause` and `resume`: one switch that stops new leases everywhere."""

from __future__ import annotations

import click

from lakehouse.cli.base import Verb, asynchronous, output, say
from lakehouse.output.formats import View

PAUSED = View(("paused", "by", "reason", "since"))


@click.command(cls=Verb)
@click.option("--reason", required=True, metavar="TEXT", help="Why nothing may start: everybody who waits is told.")
@asynchronous
async def pause(reason: str) -> None:
    """Start nothing new anywhere until `resume`; what runs goes on to its end."""
    from lakehouse.client import connect  # noqa: PLC0415 - only commands that connect pay for it
    from lakehouse.client.person import whoami  # noqa: PLC0415

    async with connect() as lakehouse:
        since = await lakehouse.upkeep.pause(by=whoami(), reason=reason)
    say("Nothing new starts; what runs goes on. `lakehouse resume` ends this.")
    output().show({"paused": True, "by": whoami(), "reason": reason, "since": since}, PAUSED)


@click.command(cls=Verb)
@asynchronous
async def resume() -> None:
    """End a pause."""
    from lakehouse.client import connect  # noqa: PLC0415

    async with connect() as lakehouse:
        ended = await lakehouse.upkeep.resume()
    say("Work starts again." if ended else "Nothing was paused.")
    output().show({"paused": False, "by": None, "reason": None, "since": None}, PAUSED)
