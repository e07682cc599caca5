"""`lakehouse cap`: ceilings, what is in use, who waits."""

from __future__ import annotations

import click

from lakehouse.cli.base import Noun, asynchronous, output
from lakehouse.output.formats import View
from opscore.domain.errors import NotFound

CAPS = View(
    ("name", "kind", "scope", "pipeline", "used", "limit", "window_seconds:window s", "held", "enabled"),
    empty="There is no cap: a pipeline's spec may name some under `caps`.",
)


@click.group(cls=Noun)
def cap() -> None:
    """Ceilings and what is in use."""


@cap.command("list")
@asynchronous
async def list_caps() -> None:
    """All caps with what is in use now."""
    from lakehouse.client import connect  # noqa: PLC0415 - only commands that connect pay for it

    async with connect() as lakehouse:
        output().show({"items": await lakehouse.people.caps(lakehouse.environment)}, CAPS)


@cap.command()
@click.argument("name")
@asynchronous
async def show(name: str) -> None:
    """One cap."""
    from lakehouse.client import connect  # noqa: PLC0415

    async with connect() as lakehouse:
        found = [one for one in await lakehouse.people.caps(lakehouse.environment) if one["name"] == name]
    if not found:
        raise NotFound(kind="cap", name=name, hint="`lakehouse cap list` shows what there is.")
    output().show({"items": found}, CAPS)
