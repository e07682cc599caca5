"""`lakehouse route`: who hears of which alert, and a dry run that proves it."""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import urlsplit

import click

from lakehouse.cli.base import Noun, asynchronous, output, say
from lakehouse.cli.matching import MATCH, SEVERITIES, match_json
from lakehouse.output.formats import View
from opscore.domain.errors import NotFound

ROUTES = View(
    ("name", "position", "match", "channel", "target.url:url", "continue", "enabled"),
    empty="No route yet: `lakehouse route set NAME --channel webhook --url URL` adds one.",
)
TESTED = View(("severity", "rule", "pipeline", "matches", "routes"), rows="samples")
REFERENCES = ("env:", "file:")


@click.group(cls=Noun)
def route() -> None:
    """List, set and test routes."""


@route.command("list")
@asynchronous
async def list_routes() -> None:
    """The routing matrix in the order it is asked."""
    from lakehouse.client import connect  # noqa: PLC0415 - only commands that connect pay for it

    async with connect() as lakehouse:
        output().show({"items": await lakehouse.people.routes(lakehouse.environment)}, ROUTES)


@route.command("set")
@click.argument("name")
@click.option("--channel", type=click.Choice(["webhook", "slack"]), required=True)
@click.option("--url", required=True, metavar="URL", help="Where to; env:NAME or file:PATH keeps it out of the matrix.")
@click.option("--secret", metavar="REF", help="Signing secret of a webhook, as env:NAME or file:PATH.")
@MATCH
@click.option("--position", type=click.IntRange(0, 1_000_000), default=100, show_default=True, metavar="N")
@click.option("--continue/--stop", "go_on", default=True, help="Whether routes behind it are asked as well.")
@click.option("--enabled/--disabled", default=True)
@asynchronous
async def set_route(
    name: str,
    channel: str,
    url: str,
    secret: str | None,
    matches: tuple[str, ...],
    position: int,
    *,
    go_on: bool,
    enabled: bool,
) -> None:
    """Add a route, or change the one of this name; `--disabled` takes it out of use.

    An address that the notifier may not reach (private or loopback, and not named in its LAKEHOUSE_WEBHOOK_ALLOW) is
    kept, with a warning: nothing would be sent there.
    """
    from lakehouse.client import connect  # noqa: PLC0415

    target = {"url": _url(url)} | ({"secret": _reference(secret)} if secret is not None else {})
    match = match_json(matches)
    async with connect() as lakehouse:
        route = await lakehouse.people.set_route(
            lakehouse.environment,
            name,
            match=match,
            channel=channel,
            target=target,
            position=position,
            go_on=go_on,
            enabled=enabled,
        )
    output().show({"route": route}, View(ROUTES.columns, rows="route"))
    if not url.startswith(REFERENCES):
        await _warn(url)


@route.command()
@click.argument("name")
@click.option("--pipeline", default="silver_to_gold", show_default=True, metavar="P", help="Pipeline of the samples.")
@click.option("--rule", default="run_failed", show_default=True, metavar="R", help="Alert rule of the samples.")
@asynchronous
async def test(name: str, pipeline: str, rule: str) -> None:
    """Dry run: which sample alerts, one per severity, would reach this route. Nothing is sent."""
    from lakehouse.client import connect  # noqa: PLC0415
    from lakehouse.client.routing import dry_run  # noqa: PLC0415

    async with connect() as lakehouse:
        routes = await lakehouse.people.routes(lakehouse.environment)
    if name not in {one["name"] for one in routes}:
        raise NotFound(kind="route", name=name, hint="`lakehouse route list` shows what there is.")
    samples: list[dict[str, Any]] = []
    for severity in SEVERITIES:
        taken = dry_run(routes, severity=severity, rule=rule, pipeline=pipeline)
        sample = {"severity": severity, "rule": rule, "pipeline": pipeline}
        samples.append({**sample, "matches": name in taken, "routes": taken})
    output().show({"route": name, "samples": samples}, TESTED)


async def _warn(url: str) -> None:
    from lakehouse.client.destination import doubt_about  # noqa: PLC0415

    doubt = await doubt_about(url, os.environ)
    if doubt is not None:
        say(f"Warning: {doubt}")


def _url(text: str) -> str:
    parts = urlsplit(text)
    if text.startswith(REFERENCES) or (parts.scheme in {"https", "http"} and parts.hostname):
        return text
    raise click.BadParameter(
        "it must be an https:// or http:// address, or a reference env:NAME or file:PATH.", param_hint="--url"
    )


def _reference(text: str) -> str:
    if text.startswith(REFERENCES):
        return text
    raise click.BadParameter("give a reference, env:NAME or file:PATH, not the secret itself.", param_hint="--secret")
