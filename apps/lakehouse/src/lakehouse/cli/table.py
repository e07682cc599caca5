"""`lakehouse table`: what readers see now, and what they saw before."""

from __future__ import annotations

import click

from lakehouse.cli.base import Noun, asynchronous, output
from lakehouse.output.formats import View

TABLES = View(
    ("name", "layer", "rows", "files", "bytes", "snapshot_id", "updated_at:published"),
    empty="No table is published yet: `lakehouse pipeline run odoo_ingest_bronze --wait=chain`, or `lakehouse demo`.",
)
SNAPSHOTS = View(("snapshot_id", "published_at:published", "pipeline", "run_id", "rows", "rows_added", "current"))


@click.group(cls=Noun)
def table() -> None:
    """Tables of the lake and their snapshots."""


@table.command("list")
@click.option("--layer", metavar="L", help="Only tables of this layer.")
@asynchronous
async def list_tables(layer: str | None) -> None:
    """Published tables."""
    from lakehouse.client import connect  # noqa: PLC0415 - only commands that connect pay for it

    async with connect() as lakehouse:
        found = [one for one in await lakehouse.people.tables() if layer in {None, one["layer"]}]
    output().show({"items": found}, TABLES)


@table.command()
@click.argument("name")
@asynchronous
async def show(name: str) -> None:
    """One table by its full name, `silver.account_move`."""
    from lakehouse.client import connect  # noqa: PLC0415

    async with connect() as lakehouse:
        output().show({"items": [await lakehouse.people.table(name)]}, TABLES)


@table.command()
@click.argument("name")
@asynchronous
async def snapshots(name: str) -> None:
    """What was published of a table, newest first; each can be read with `sql --as-of`."""
    from lakehouse.client import connect  # noqa: PLC0415

    async with connect() as lakehouse:
        output().show({"items": await lakehouse.people.table_versions(name)}, SNAPSHOTS)
