"""`lakehouse trigger`: what starts pipelines beside the clock, and the secrets of webhooks."""

from __future__ import annotations

import click

from lakehouse.cli.base import Noun, asynchronous, output
from lakehouse.output.formats import View

TRIGGERS = View(
    (
        *("pipeline", "name", "kind", "upstreams", "event_type:event", "arrived", "token_set_at:token set"),
        *("last_fired_at:fired", "last_run_id:run", "last_refusal.message:refused"),
    ),
    empty="No trigger yet: a pipeline's spec names them under `triggers`.",
)
TOKEN = View(("pipeline", "name", "token"), rows="trigger")


@click.group(cls=Noun)
def trigger() -> None:
    """List triggers, and give webhooks their tokens."""


@trigger.command("list")
@asynchronous
async def list_triggers() -> None:
    """All triggers, and what those that wait for several pipelines still wait for."""
    from lakehouse.client import connect  # noqa: PLC0415 - only commands that connect pay for it

    async with connect() as lakehouse:
        output().show({"items": await lakehouse.schedules.triggers(lakehouse.environment)}, TRIGGERS)


@trigger.command()
@click.argument("pipeline")
@click.argument("name")
@asynchronous
async def token(pipeline: str, name: str) -> None:
    """Make a new secret for a webhook trigger and show it this once; the old one ends at once."""
    import hashlib  # noqa: PLC0415 - keeps `--version` fast
    import secrets  # noqa: PLC0415

    from lakehouse.client import connect  # noqa: PLC0415
    from lakehouse.client.person import whoami  # noqa: PLC0415

    secret = secrets.token_urlsafe(32)
    digest = hashlib.sha256(secret.encode()).hexdigest()
    async with connect() as lakehouse:
        await lakehouse.schedules.set_trigger_token(lakehouse.environment, pipeline, name, sha256=digest, by=whoami())
    output().show({"trigger": {"pipeline": pipeline, "name": name, "token": secret}}, TOKEN)
