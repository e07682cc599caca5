"""`lakehouse executor`: who carries out runs, and who shall run empty."""

from __future__ import annotations

import click

from lakehouse.cli.base import Noun, asynchronous, output, say
from lakehouse.output.formats import View

EXECUTORS = View(
    ("name", "state", "running", "slots", "capabilities", "version", "last_seen_at:last seen"),
    empty="No executor is alive: `lakehouse up` starts one, `lakehouse-executor` another.",
)
ONE = View(
    (
        *EXECUTORS.columns,
        "registered_at:registered",
        "drain_requested_by:drained by",
        "drain_reason:why",
        "runs",
    ),
    rows="executor",
)
NAME = click.argument("name")


@click.group(cls=Noun)
def executor() -> None:
    """Processes that carry out runs."""


@executor.command("list")
@click.option("--all", "everyone", is_flag=True, help="Also those that stopped or are lost.")
@asynchronous
async def list_executors(*, everyone: bool) -> None:
    """Executors that are alive, those seen last first."""
    from lakehouse.client import connect  # noqa: PLC0415 - only commands that connect pay for it

    async with connect() as lakehouse:
        found = [one for one in await lakehouse.executors.executors() if everyone or one["alive"]]
    output().show({"items": found}, EXECUTORS)


@executor.command()
@NAME
@asynchronous
async def show(name: str) -> None:
    """One executor and the runs it holds."""
    from lakehouse.client import connect  # noqa: PLC0415

    async with connect() as lakehouse:
        output().show({"executor": await lakehouse.executors.executor(name)}, ONE)


@executor.command()
@NAME
@click.option("--reason", metavar="TEXT", help="Why; it is shown with the executor.")
@asynchronous
async def drain(name: str, reason: str | None) -> None:
    """Let an executor run empty: it keeps the runs it has and gets no new ones, until `undrain` or its restart."""
    from lakehouse.client import connect  # noqa: PLC0415
    from lakehouse.client.person import whoami  # noqa: PLC0415

    async with connect() as lakehouse:
        await lakehouse.executors.drain(name, by=whoami(), reason=reason)
        shown = await lakehouse.executors.executor(name)
    say(f"{name} holds {shown['running']} runs and gets no new ones.")
    output().show({"executor": shown}, ONE)


@executor.command()
@NAME
@asynchronous
async def undrain(name: str) -> None:
    """Give a drained executor work again."""
    from lakehouse.client import connect  # noqa: PLC0415

    async with connect() as lakehouse:
        await lakehouse.executors.undrain(name)
        output().show({"executor": await lakehouse.executors.executor(name)}, ONE)
