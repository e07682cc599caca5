"""`lakehouse schedule`: when pipelines start by the clock, and by when they must have succeeded."""

from __future__ import annotations

import click

from lakehouse.cli.base import Noun, asynchronous, output
from lakehouse.output.formats import View

SCHEDULES = View(
    (
        *("pipeline", "name", "purpose", "cron", "every_seconds:every s", "timezone", "next_tick_at:next"),
        *("last_tick_at:last", "paused_by:paused by"),
    ),
    empty="No schedule yet: a pipeline's spec names them under `schedule`, `schedules` and `expected_by`.",
)
ONE = View(
    (*SCHEDULES.columns, "paused_reason:why", "catch_up:catch up", "last_refusal.message:refused", "next_ticks:then"),
    rows="schedule",
)
NAME = click.argument("name", metavar="PIPELINE[/NAME]")
SHOWN_TICKS = 5


@click.group(cls=Noun)
def schedule() -> None:
    """List, show, pause and resume schedules and deadlines. Without a name, the pipeline's `schedule` is meant."""


@schedule.command("list")
@asynchronous
async def list_schedules() -> None:
    """All schedules and deadlines with their next moment."""
    from lakehouse.client import connect  # noqa: PLC0415 - only commands that connect pay for it
    from lakehouse.client.moments import with_next  # noqa: PLC0415

    async with connect() as lakehouse:
        found = await lakehouse.schedules.schedules(lakehouse.environment)
    output().show({"items": [with_next(one) for one in found]}, SCHEDULES)


@schedule.command()
@NAME
@asynchronous
async def show(name: str) -> None:
    """One schedule with the moments that come next."""
    await _show(name)


@schedule.command()
@NAME
@click.option("--reason", required=True, metavar="TEXT", help="Why; whoever wonders reads it.")
@asynchronous
async def pause(name: str, reason: str) -> None:
    """No ticks until it is resumed; those meanwhile are never caught up on."""
    from lakehouse.client import connect  # noqa: PLC0415
    from lakehouse.client.person import whoami  # noqa: PLC0415

    async with connect() as lakehouse:
        await lakehouse.schedules.pause(lakehouse.environment, *_parts(name), by=whoami(), reason=reason)
    await _show(name)


@schedule.command()
@NAME
@asynchronous
async def resume(name: str) -> None:
    """Tick again, from now on."""
    from lakehouse.client import connect  # noqa: PLC0415

    async with connect() as lakehouse:
        await lakehouse.schedules.resume(lakehouse.environment, *_parts(name))
    await _show(name)


async def _show(name: str) -> None:
    from lakehouse.client import connect  # noqa: PLC0415
    from lakehouse.client.moments import coming, with_next  # noqa: PLC0415

    async with connect() as lakehouse:
        found = await lakehouse.schedules.schedule(lakehouse.environment, *_parts(name))
    output().show({"schedule": {**with_next(found), "next_ticks": coming(found, SHOWN_TICKS)}}, ONE)


def _parts(name: str) -> tuple[str, str]:
    pipeline, _, schedule = name.partition("/")
    return pipeline, schedule or "main"
