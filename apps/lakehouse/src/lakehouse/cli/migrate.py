"""`lakehouse migrate`: the control plane's schema, brought up to date."""

from __future__ import annotations

import os

import click

from lakehouse.cli.base import Verb, asynchronous, output, say
from lakehouse.output.formats import View

APPLIED = View(("version",), rows="applied", empty="The schema is up to date.")


@click.command(cls=Verb)
@asynchronous
async def migrate() -> None:
    """Apply missing migrations, in order, each in a transaction; needs the owner's connection string."""
    from lakehouse.client.target import find_stack  # noqa: PLC0415 - only commands that connect pay for it
    from opscore.db.migrate import migrate as apply_missing  # noqa: PLC0415

    target = find_stack(os.environ)
    applied = await apply_missing(target.owner_dsn, lambda name: say(f"Applying {name}"))
    output().show({"applied": [{"version": version} for version in applied]}, APPLIED)
