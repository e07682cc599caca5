"""`lakehouse up`, `down`, `status`: the embedded stack."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

from lakehouse.cli.base import Verb, asynchronous, output, say
from lakehouse.cli.exits import Exit
from lakehouse.output.formats import View

if TYPE_CHECKING:
    from lakehouse.embedded.status import StackStatus

SERVICES = View(("name", "state", "pid", "restarts"), rows="services", empty="Nothing was started here yet.")
STOPPED = View(("stopped",))


@click.command(cls=Verb)
@click.option("--detach", is_flag=True, help="Return once it is healthy and let it run in the background.")
@click.option("--port", type=click.IntRange(0, 65535), metavar="N", help="The control room's port; 0 for any.")
@asynchronous
async def up(port: int | None, *, detach: bool) -> Exit:
    """Bring up Postgres and the five services; Ctrl-C stops them again."""
    import anyio  # noqa: PLC0415 - keeps `--version` fast

    from lakehouse.cli.foreground import foreground  # noqa: PLC0415
    from lakehouse.demo.environment import stack_environment  # noqa: PLC0415
    from lakehouse.embedded.stack import up as start_in_background  # noqa: PLC0415

    environ = stack_environment()
    if detach:
        os.environ.update(environ)  # the background stack inherits it
        started = await start_in_background(port=port, on_progress=say)
        _show(started)
        return Exit.OK if started.healthy else Exit.ERROR
    async with foreground(environ, port=port) as stack:
        _show(stack.status)
        say("Ctrl-C stops it.")
        await anyio.sleep_forever()
    return Exit.OK


@click.command(cls=Verb)
@asynchronous
async def down() -> None:
    """Stop the stack, or what is left of one that was killed; the data stay."""
    from lakehouse.embedded.stack import down as stop  # noqa: PLC0415

    stopped = await stop()
    if not stopped:
        say("Nothing runs here.")
    output().show({"stopped": stopped}, STOPPED)


@click.command(cls=Verb)
@click.option("--show-secrets", is_flag=True, help="Print passwords and keys instead of ***.")
@asynchronous
async def status(*, show_secrets: bool) -> Exit:
    """Show the stack's services, addresses and health."""
    from lakehouse.client.pausing import who_paused  # noqa: PLC0415
    from lakehouse.embedded.stack import status as look  # noqa: PLC0415

    found = await look()
    _show(found, show_secrets=show_secrets, paused=await who_paused())
    return Exit.OK if found.healthy else Exit.ERROR


def _show(found: StackStatus, *, show_secrets: bool = False, paused: dict[str, Any] | None = None) -> None:
    from lakehouse.embedded.files import log_path  # noqa: PLC0415 - keeps `--version` fast
    from lakehouse.embedded.settings import home_of  # noqa: PLC0415
    from lakehouse.embedded.status import State  # noqa: PLC0415

    document: dict[str, Any] = {**found.as_json(show_secrets=show_secrets), "paused": paused}
    output().show(document, SERVICES)
    for one in found.services:
        if one.state is State.FAILED:
            say(f"{one.name} does not answer. Its log is {log_path(home_of(os.environ), one.name)}.")
    if output().is_table and document["services"]:
        say(f"Control room  {document['url']}")
        say(f"Postgres      {document['database']['version']}  {document['database']['url']}")
        if paused:
            say(f"Paused        since {paused['since']} by {paused['by']}: {paused['reason']}")
        if show_secrets:
            say(f"Keys          {document['supabase']['publishable_key']}  {document['supabase']['secret_key']}")
