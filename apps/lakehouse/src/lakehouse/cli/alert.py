"""`lakehouse alert`: what a person should know, and that somebody knows it."""

from __future__ import annotations

import re
from datetime import timedelta
from uuid import UUID

import click

from lakehouse.cli.base import Noun, asynchronous, output
from lakehouse.cli.matching import MATCH, match_json
from lakehouse.output.formats import View

ALERTS = View(
    ("id", "state", "severity", "summary", "occurrences", "updated_at:updated", "acknowledged_by"),
    empty="No alert. That is good news.",
)
ONE = View(ALERTS.columns, rows="alert")
SILENCE = View(("id", "match", "reason", "seconds"), rows="silence")
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
ALERT_ID = click.argument("alert_id", metavar="ID", type=click.UUID)


@click.group(cls=Noun)
def alert() -> None:
    """List, acknowledge, resolve and silence alerts."""


@alert.command("list")
@click.option("--state", type=click.Choice(["open", "acknowledged", "resolved"]), help="Only alerts in this state.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, metavar="N")
@asynchronous
async def list_alerts(state: str | None, limit: int) -> None:
    """Alerts, newest first, with what was sent about each."""
    from lakehouse.client import connect  # noqa: PLC0415 - only commands that connect pay for it

    async with connect() as lakehouse:
        found = await lakehouse.people.alerts(lakehouse.environment, state=state, limit=limit)
    output().show({"items": found}, ALERTS)


@alert.command()
@ALERT_ID
@asynchronous
async def ack(alert_id: UUID) -> None:
    """Say that somebody looks after it."""
    await _change(alert_id, "acknowledged")


@alert.command()
@ALERT_ID
@asynchronous
async def resolve(alert_id: UUID) -> None:
    """Close it; the next occurrence opens a new one."""
    await _change(alert_id, "resolved")


@alert.command()
@MATCH
@click.option("--for", "length", required=True, metavar="TIME", help="How long: 30m, 2h, 1d.")
@click.option("--reason", required=True, metavar="TEXT", help="Why; whoever wonders reads it.")
@asynchronous
async def silence(matches: tuple[str, ...], length: str, reason: str) -> None:
    """Keep alerts from notifying for a while; they are still listed."""
    from lakehouse.client import connect  # noqa: PLC0415
    from lakehouse.client.person import whoami  # noqa: PLC0415

    match, time = match_json(matches), duration(length)
    async with connect() as lakehouse:
        made = await lakehouse.people.silence(lakehouse.environment, match, reason=reason, by=whoami(), length=time)
    answer = {"id": str(made), "match": match, "reason": reason, "seconds": int(time.total_seconds())}
    output().show({"silence": answer}, SILENCE)


def duration(text: str, option: str = "--for") -> timedelta:
    """`90s`, `30m`, `2h` or `1d`. Raises click.BadParameter."""
    found = re.fullmatch(r"([1-9][0-9]{0,8})([smhd])", text)
    if not found:
        raise click.BadParameter(f"{text!r} is no length of time; write 30m, 2h or 1d.", param_hint=option)
    return timedelta(seconds=int(found[1]) * UNITS[found[2]])


async def _change(alert_id: UUID, state: str) -> None:
    from lakehouse.client import connect  # noqa: PLC0415
    from lakehouse.client.person import whoami  # noqa: PLC0415

    async with connect() as lakehouse:
        output().show({"alert": await lakehouse.people.change_alert(alert_id, state, by=whoami())}, ONE)
