"""`lakehouse signal`: what runs are judged by."""

from __future__ import annotations

from decimal import Decimal

import click

from lakehouse.cli.base import Noun, asynchronous, output
from lakehouse.cli.short_id import RUN_ID
from lakehouse.output.formats import View

NAMES = ("outcome", "quality", "duration", "volume", "retries", "freshness", "failure_streak", "drift", "cost")
SIGNALS = View(
    (
        "run_id",
        "pipeline",
        "name",
        "value",
        "evidence.observed:observed",
        "evidence.median:usual",
        "evidence.unit:unit",
    ),
    empty="No signal matches. A run is judged moments after its end.",
)


@click.group(cls=Noun)
def signal() -> None:
    """What runs are judged by: 1 is healthy, 0 as bad as it gets."""


@signal.command("list")
@click.option("--run", "named", type=RUN_ID, metavar="ID", help="Only signals of this run.")
@click.option("--pipeline", metavar="P", help="Only signals of this pipeline's runs.")
@click.option("--name", type=click.Choice(NAMES), help="Only this signal.")
@click.option("--below", type=click.FloatRange(0, 1), metavar="V", help="Only values under this one.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, metavar="N")
@asynchronous
async def list_signals(
    named: str | None, pipeline: str | None, name: str | None, below: float | None, limit: int
) -> None:
    """Signals with the numbers behind them, those of the newest runs first."""
    from lakehouse.client import connect  # noqa: PLC0415 - only commands that connect pay for it

    async with connect() as lakehouse:
        found = await lakehouse.scores.signals(
            lakehouse.environment,
            run=await lakehouse.find_run(named) if named else None,
            pipeline=pipeline,
            name=name,
            below=None if below is None else Decimal(str(below)),
            limit=limit,
        )
    output().show({"items": found}, SIGNALS)
