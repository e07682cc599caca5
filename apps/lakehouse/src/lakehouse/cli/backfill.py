"""`lakehouse backfill`: work through a range of time in partitions, behind live work."""

from __future__ import annotations

from typing import Any

import click

from lakehouse.cli.base import Noun, asynchronous, output, pairs, say
from lakehouse.cli.short_id import BACKFILL_ID
from lakehouse.output.formats import View

BACKFILLS = View(
    (
        *("id", "pipeline", "state", "starts_at:from", "ends_at:to", "step", "partitions"),
        *("pending", "waiting", "running", "succeeded", "failed", "canceled", "skipped"),
        *("wait_reason.message:waits for", "changed_reason:why"),
    ),
    empty="No backfill yet: `lakehouse backfill create PIPELINE --from DAY --to DAY` makes one.",
)
ONE = View(BACKFILLS.columns, rows="backfill")
PLAN = View(
    (
        *("partitions", "runs", "skipped", "history_runs:runs measured", "total.rows:rows", "total.bytes:bytes"),
        *("total.cost:cost", "total.duration_seconds:seconds", "caps"),
    ),
    rows="plan",
)
PARTS = View(("ordinal:partition", "starts_at:from", "ends_at:to", "state", "try", "run_id:run"), rows="parts")
NAMED = click.argument("named", metavar="ID", type=BACKFILL_ID)
REASON = click.option("--reason", metavar="TEXT", help="Why; whoever wonders reads it.")


@click.group(cls=Noun)
def backfill() -> None:
    """Create, list, show, pause, resume and cancel backfills."""


@backfill.command()
@click.argument("pipeline")
@click.option("--from", "start", required=True, metavar="TIME", help="Start of the range: 2026-01-01, or with a time.")
@click.option("--to", "end", required=True, metavar="TIME", help="End of the range, which is not part of it.")
@click.option("--step", type=click.Choice(["hour", "day", "month"]), default="day", show_default=True)
@click.option("--timezone", default="UTC", show_default=True, metavar="ZONE", help="Zone of the range and its days.")
@click.option("--concurrency", type=click.IntRange(1, 1000), default=1, show_default=True, metavar="N")
@click.option("--reverse", is_flag=True, help="The newest partition first.")
@click.option(
    "--reprocess",
    type=click.Choice(["none", "failed", "all"]),
    default="none",
    show_default=True,
    help="Which partitions that had a run before get another.",
)
@click.option(
    "--param",
    "params",
    multiple=True,
    metavar="K=V",
    help="A parameter of every run. chain=true: let each start what follows.",
)
@click.option("--dry-run", is_flag=True, help="Tell what it would do and use, and do nothing.")
@asynchronous
async def create(pipeline: str, params: tuple[str, ...], *, dry_run: bool, **range_: Any) -> None:
    """Work through a range of time. Its runs wait behind live ones and, unless told otherwise, start nothing else."""
    from lakehouse.client import connect  # noqa: PLC0415 - only commands that connect pay for it
    from lakehouse.client.person import whoami  # noqa: PLC0415

    given = pairs(params, "--param")
    async with connect() as lakehouse:
        request = {
            "pipeline": pipeline,
            "from": range_.pop("start"),
            "to": range_.pop("end"),
            **range_,
            "params": await lakehouse.accept(pipeline, given),
        }
        if dry_run:
            output().show({"plan": await lakehouse.backfills.plan(lakehouse.environment, request)}, PLAN)
            return
        made = await lakehouse.backfills.create(lakehouse.environment, request, by=whoami())
        output().show({"backfill": await lakehouse.backfills.backfill(lakehouse.environment, made)}, ONE)


@backfill.command("list")
@click.option("--state", type=click.Choice(["running", "paused", "succeeded", "failed", "canceled"]))
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, metavar="N")
@asynchronous
async def list_backfills(state: str | None, limit: int) -> None:
    """Backfills, newest first, with how far each has come."""
    from lakehouse.client import connect  # noqa: PLC0415

    async with connect() as lakehouse:
        found = await lakehouse.backfills.backfills(lakehouse.environment, state=state, limit=limit)
    output().show({"items": found}, BACKFILLS)


@backfill.command()
@NAMED
@asynchronous
async def show(named: str) -> None:
    """One backfill with its partitions."""
    from lakehouse.client import connect  # noqa: PLC0415

    async with connect() as lakehouse:
        backfill_id = await lakehouse.find_backfill(named)
        found = await lakehouse.backfills.backfill(lakehouse.environment, backfill_id)
        parts = await lakehouse.backfills.partitions(backfill_id)
    output().show({"backfill": {**found, "parts": parts}}, ONE)
    if output().is_table:
        say("")
        output().show({"parts": parts}, PARTS)


@backfill.command()
@NAMED
@REASON
@asynchronous
async def pause(named: str, reason: str | None) -> None:
    """Start no further partition; those under way go on."""
    await _change(named, "paused", reason)


@backfill.command()
@NAMED
@asynchronous
async def resume(named: str) -> None:
    """Go on; of a failed or canceled one, with the partitions that are missing."""
    await _change(named, "running", None)


@backfill.command()
@NAMED
@REASON
@asynchronous
async def cancel(named: str, reason: str | None) -> None:
    """End it and the runs it has under way."""
    await _change(named, "canceled", reason)


async def _change(named: str, to: str, reason: str | None) -> None:
    from lakehouse.client import connect  # noqa: PLC0415
    from lakehouse.client.person import whoami  # noqa: PLC0415

    async with connect() as lakehouse:
        backfill_id = await lakehouse.find_backfill(named)
        await lakehouse.backfills.change(backfill_id, to, by=whoami(), reason=reason)
        output().show({"backfill": await lakehouse.backfills.backfill(lakehouse.environment, backfill_id)}, ONE)
