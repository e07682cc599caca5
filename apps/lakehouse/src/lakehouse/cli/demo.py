"""`lakehouse demo`: everything, from nothing, in one command."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lakehouse.cli.base import Verb, asynchronous, output, say
from lakehouse.cli.exits import Exit, of_run
from lakehouse.output.progress import progress

if TYPE_CHECKING:
    from lakehouse.demo.source import Wanted
    from lakehouse.demo.story import Story
    from lakehouse.embedded.bringup import Stack
    from opscore.ports.people import Json


@click.command(cls=Verb)
@click.option("--scale", type=click.FloatRange(min=0, min_open=True), default=1.0, show_default=True, metavar="N")
@click.option(
    "--odoo-dump",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE.sql.gz",
    help="Load this dump of an Odoo database instead of generating one.",
)
@click.option("--exit", "leave", is_flag=True, help="Stop the stack and end when all is built.")
@asynchronous
async def demo(scale: float, odoo_dump: Path | None, *, leave: bool) -> Exit:
    """Bring up the stack, fill an Odoo-shaped ERP, build bronze, silver and gold, and show what is there.

    A given ODOO_DATABASE_URL is used as it is and only read. Without --exit the stack runs until Ctrl-C.
    """
    from lakehouse.demo.source import Wanted  # noqa: PLC0415 - keeps `--version` fast

    return await _run(Wanted(os.environ.get("ODOO_DATABASE_URL") or None, odoo_dump, scale), leave=leave)


async def _run(wanted: Wanted, *, leave: bool) -> Exit:
    import anyio  # noqa: PLC0415

    from lakehouse.cli.foreground import foreground  # noqa: PLC0415
    from lakehouse.demo.environment import stack_environment  # noqa: PLC0415
    from lakehouse.demo.source import NAME, source_url  # noqa: PLC0415
    from lakehouse.embedded.settings import StackSettings  # noqa: PLC0415

    environ = stack_environment()
    environ[NAME] = await source_url(wanted, StackSettings.load(environ), say)
    code = Exit.INTERRUPTED
    async with foreground(environ) as stack:
        code = await _build(stack, stays=not leave)
        if code is Exit.OK and not leave:
            say("Ctrl-C stops everything; the data stay.")
            await anyio.sleep_forever()
    return code


async def _build(stack: Stack, *, stays: bool) -> Exit:
    from lakehouse.cli.waits import explain  # noqa: PLC0415
    from lakehouse.client import connect  # noqa: PLC0415
    from lakehouse.demo.story import tell  # noqa: PLC0415

    async with connect() as lakehouse:
        with progress() as watcher:

            def saw(runs: list[Json]) -> None:
                for run in runs:
                    watcher.saw(run)

            story = await tell(lakehouse, saw)
    _show(story, stack.status.url, stays=stays)
    for run in story.runs:
        explain(run, None)
    return of_run(story.runs[-1])


def _show(story: Story, url: str, *, stays: bool) -> None:
    """The whole document where JSON goes; who did not ask for it by name still gets the few lines, on stderr."""
    from lakehouse.demo.summary import summary  # noqa: PLC0415
    from lakehouse.output.formats import View  # noqa: PLC0415

    if output().is_table:
        output().write(summary(story, url, stays=stays))
        return
    output().show(story.as_json(url), View((), rows="tables"))
    if output().wanted is None:
        say(summary(story, url, stays=stays))
