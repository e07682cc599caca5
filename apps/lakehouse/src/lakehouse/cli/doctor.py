"""`lakehouse doctor`: each thing the stack needs, whether it is there, and what to do when it is not."""

from __future__ import annotations

import click

from lakehouse.cli.base import Verb, asynchronous, output
from lakehouse.cli.exits import Exit
from lakehouse.output.formats import View

FINDINGS = View(("result", "check", "detail", "remedy"), rows="checks")


@click.command(cls=Verb)
@asynchronous
async def doctor() -> Exit:
    """Check machine, database, lake and services; exit code 1 when something fails."""
    from lakehouse.client.examining import examine  # noqa: PLC0415 - keeps `--version` fast

    findings = [finding.as_json() for finding in await examine()]
    ok = all(finding["result"] != "fail" for finding in findings)
    output().show({"ok": ok, "checks": findings}, FINDINGS)
    return Exit.OK if ok else Exit.ERROR
