"""`lakehouse cap`: ceilings, what is in use, who holds it and who waits."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import click

from lakehouse.cli.alert import duration
from lakehouse.cli.base import Noun, asynchronous, output, pairs, say
from lakehouse.cli.exits import Exit
from lakehouse.output.formats import View
from lakehouse.output.wait_words import in_full
from opscore.domain.cap import MOST, CapBehaviour, CapKind, CapScope, amounts

CAPS = View(
    (
        *(
            "name",
            "kind",
            "scope",
            "subject",
            "used",
            "limit",
            "window_seconds:window s",
            "behaviour",
            "waiting:wait in its lanes",
            "held:held by a cap",
        ),
        *("raised.until:raised until", "enabled"),
    ),
    empty="There is no cap: `lakehouse cap set NAME` makes one, a pipeline's spec may name some under `caps`.",
)
SHOWN = View(
    (
        *CAPS.columns,
        "max_waiting:may wait",
        "standing_limit:limit without raise",
        "raised.by:raised by",
        "raised.reason:why",
        "holders",
    ),
)
ONE = View(SHOWN.columns, rows="cap")
REMOVED = View(("name",), rows="removed")
ALLOWED = View(("allowed", "reason"))
NAME = click.argument("name")
LABELS = click.option("--label", "labels", multiple=True, metavar="LABEL", help="A label; may be repeated.")
ESTIMATE = click.option(
    "--estimate",
    "estimates",
    multiple=True,
    metavar="KIND=AMOUNT",
    help="What the run will use: rows, bytes, queries, compute_seconds or cost; may be repeated.",
)


class Ceiling(click.ParamType[Decimal]):
    """An exact number from 0 to below 10^18."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Decimal:
        """See click."""
        try:
            number = Decimal(value)
        except ArithmeticError:
            number = Decimal("NaN")
        if not (number.is_finite() and 0 <= number < MOST):
            self.fail(f"{value!r} is no number from 0 to below 10^18.", param, ctx)
        return number


CEILING = Ceiling()


@click.group(cls=Noun)
def cap() -> None:
    """Ceilings and what is in use: list, show, set, raise, remove, and ask whether a run may start."""


@cap.command("list")
@asynchronous
async def list_caps() -> None:
    """All caps with what is in use now."""
    from lakehouse.client import connect  # noqa: PLC0415 - only commands that connect pay for it

    async with connect() as lakehouse:
        output().show({"items": await lakehouse.caps.caps(lakehouse.environment)}, CAPS)


@cap.command()
@NAME
@asynchronous
async def show(name: str) -> None:
    """One cap with who holds it and the raise in force."""
    from lakehouse.client import connect  # noqa: PLC0415

    async with connect() as lakehouse:
        output().show({"items": [await lakehouse.caps.cap(lakehouse.environment, name)]}, SHOWN)


@cap.command("set")
@NAME
@click.option("--kind", type=click.Choice([*map(str, CapKind)]), required=True, help="What is counted.")
@click.option("--limit", type=CEILING, required=True, metavar="N", help="How much of it.")
@click.option("--window", metavar="TIME", help="Within which time: 90s, 1h, 30d. All kinds but concurrency need it.")
@click.option(
    "--scope",
    type=click.Choice([*map(str, CapScope)]),
    default=str(CapScope.ENVIRONMENT),
    show_default=True,
    help="Whose use.",
)
@click.option("--subject", metavar="WHICH", help="Which pipeline, table, executor or label.")
@click.option(
    "--behaviour",
    type=click.Choice([*map(str, CapBehaviour)]),
    default=str(CapBehaviour.HOLD),
    show_default=True,
    help="What becomes of a run that meets the full cap.",
)
@click.option("--max-waiting", type=click.IntRange(0, 10**6), metavar="N", help="How many runs may wait under it.")
@click.option("--disabled", is_flag=True, help="Keep it, but let it hold nothing.")
@asynchronous
async def set_cap(name: str, *, limit: Decimal, window: str | None, disabled: bool, **rest: Any) -> None:
    """Make a cap, or replace the one of this name. Below what is in use it stops nothing: nothing new starts."""
    from lakehouse.client import connect  # noqa: PLC0415

    seconds = None if window is None else int(duration(window, "--window").total_seconds())
    wanted = {"name": name, "limit": format(limit, "f"), "window_seconds": seconds, "enabled": not disabled, **rest}
    async with connect() as lakehouse:
        await lakehouse.caps.set(lakehouse.environment, wanted)
        output().show({"cap": await lakehouse.caps.cap(lakehouse.environment, name)}, ONE)


@cap.command("raise")
@NAME
@click.option("--to", type=CEILING, required=True, metavar="N", help="The ceiling meanwhile.")
@click.option("--for", "length", required=True, metavar="TIME", help="How long: 30m, 2h, 1d; at most 31d.")
@click.option("--reason", required=True, metavar="TEXT", help="Why; whoever wonders reads it.")
@asynchronous
async def raise_cap(name: str, to: Decimal, length: str, reason: str) -> None:
    """Let a cap allow more for a while; it ends by itself."""
    from lakehouse.client import connect  # noqa: PLC0415
    from lakehouse.client.person import whoami  # noqa: PLC0415

    time = duration(length)
    async with connect() as lakehouse:
        await lakehouse.caps.raise_(lakehouse.environment, name, to=to, length=time, by=whoami(), reason=reason)
        output().show({"cap": await lakehouse.caps.cap(lakehouse.environment, name)}, ONE)


@cap.command()
@NAME
@asynchronous
async def remove(name: str) -> None:
    """Remove a cap; what it held goes on."""
    from lakehouse.client import connect  # noqa: PLC0415

    async with connect() as lakehouse:
        await lakehouse.caps.remove(lakehouse.environment, name)
    output().show({"removed": {"name": name}}, REMOVED)


@cap.command()
@click.argument("pipeline")
@LABELS
@ESTIMATE
@asynchronous
async def allow(pipeline: str, labels: tuple[str, ...], estimates: tuple[str, ...]) -> Exit:
    """Ask whether one more run could start now; nothing is started. Exit code 8 when a cap is full."""
    from lakehouse.client import connect  # noqa: PLC0415

    estimate = estimated(estimates)
    async with connect() as lakehouse:
        answer = await lakehouse.caps.allow(lakehouse.environment, pipeline, labels=labels, estimate=estimate)
    if not output().is_table:
        output().show(answer, ALLOWED)
    elif answer["allowed"]:
        say(f"One more run of {pipeline} could start now.")
    else:
        say(f"One more run of {pipeline} would wait for {in_full(answer['reason'])}.")
    return Exit.OK if answer["allowed"] else Exit.HELD


def estimated(given: Sequence[str]) -> dict[str, str] | None:
    """`--estimate` as amounts by kind, None without one. Raises click.BadParameter."""
    if not given:
        return None
    found = amounts(pairs(given, "--estimate"))
    if found is None:
        raise click.BadParameter(
            f"{', '.join(given)}: write rows, bytes, queries, compute_seconds or cost = a number below 10^18.",
            param_hint="--estimate",
        )
    return found
