"""`lakehouse score weights`: versions of weights, and those learned from history. Joined to `score`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any
from uuid import UUID

import click

from lakehouse.cli.alert import duration
from lakehouse.cli.base import Noun, asynchronous, output, pairs, say
from lakehouse.output.formats import View

if TYPE_CHECKING:
    from lakehouse.client import Lakehouse

VERSIONS = View(("version", "active", "author", "reason", "created_at:created", "weights"))
ONE = View(VERSIONS.columns, rows="version")
PROPOSALS = View(
    (
        *("id", "created_at:created", "base_version:against", "evidence.runs:runs", "evidence.troubles:troubles"),
        *(
            "evidence.skill.proposed:skill",
            "evidence.skill.present:present skill",
            "accepted_version:accepted as",
            "weights",
        ),
    ),
    empty="Nothing was proposed yet. `lakehouse score weights propose` looks at the history now.",
)
PROPOSAL = View(PROPOSALS.columns, rows="proposal")
WEIGHTS = click.option(
    "--weights",
    "given",
    metavar="SIGNAL=N,…",
    help="How much each signal counts, as outcome=50,quality=20. What is not named keeps its weight; 0 leaves it out.",
)


@click.group(cls=Noun)
def weights() -> None:
    """How much each signal counts: versions that never change, and proposals learned from history."""


@weights.command("list")
@asynchronous
async def list_versions() -> None:
    """All versions, the one in force first: who, when, why."""
    from lakehouse.client import connect  # noqa: PLC0415 - only commands that connect pay for it

    async with connect() as lakehouse:
        output().show({"items": await lakehouse.scores.versions(lakehouse.environment)}, VERSIONS)


@weights.command()
@click.argument("version", type=click.IntRange(1), required=False)
@asynchronous
async def show(version: int | None) -> None:
    """One version; without its number, the one in force."""
    from lakehouse.client import connect  # noqa: PLC0415

    async with connect() as lakehouse:
        output().show({"version": await lakehouse.scores.version(lakehouse.environment, version)}, ONE)


@weights.command("set")
@WEIGHTS
@click.option("--version", type=click.IntRange(1), metavar="N", help="Take the weights of this earlier version.")
@click.option("--reason", required=True, metavar="TEXT", help="Why; it stands beside the version for ever.")
@asynchronous
async def set_weights(given: str | None, version: int | None, reason: str) -> None:
    """Make a new version, in force for runs that end from now on. `score what-if` shows beforehand what it changes."""
    from lakehouse.client import connect  # noqa: PLC0415
    from lakehouse.client.person import whoami  # noqa: PLC0415

    async with connect() as lakehouse:
        chosen = await weights_json(lakehouse, given, proposal=None, version=version)
        made = await lakehouse.scores.set_weights(lakehouse.environment, chosen, by=whoami(), reason=reason)
        output().show({"version": await lakehouse.scores.version(lakehouse.environment, made)}, ONE)


@weights.command()
@click.option("--since", default="90d", show_default=True, metavar="TIME", help="How far back to look.")
@asynchronous
async def propose(since: str) -> None:
    """Learn from history which signals preceded failures, rollbacks and incidents; nothing is put in force."""
    from lakehouse.client import connect  # noqa: PLC0415
    from lakehouse.client.person import whoami  # noqa: PLC0415
    from lakehouse_scorer.learning.propose import propose as learn  # noqa: PLC0415
    from opscore.db.scorer_rpc import ScorerRpc  # noqa: PLC0415

    async with connect() as lakehouse:
        made = await learn(ScorerRpc(lakehouse.database), lakehouse.environment, since=days(since), by=whoami())
        output().show({"proposal": await lakehouse.scores.proposal(lakehouse.environment, made)}, PROPOSAL)
    say(f"Nothing has changed. `lakehouse score what-if --proposal {made}` shows what it would change.")


@weights.command()
@asynchronous
async def proposals() -> None:
    """Weights learned from history, newest first, with the evidence."""
    from lakehouse.client import connect  # noqa: PLC0415

    async with connect() as lakehouse:
        output().show({"items": await lakehouse.scores.proposals(lakehouse.environment)}, PROPOSALS)


@weights.command()
@click.argument("proposal", type=click.UUID)
@click.option("--reason", metavar="TEXT", default="the proposal's evidence", show_default=True, help="Why.")
@asynchronous
async def accept(proposal: UUID, reason: str) -> None:
    """Make a proposal the next version, in your name."""
    from lakehouse.client import connect  # noqa: PLC0415
    from lakehouse.client.person import whoami  # noqa: PLC0415

    async with connect() as lakehouse:
        made = await lakehouse.scores.accept(proposal, by=whoami(), reason=reason)
        output().show({"version": await lakehouse.scores.version(lakehouse.environment, made)}, ONE)


async def weights_json(
    lakehouse: Lakehouse, given: str | None, *, proposal: UUID | None, version: int | None
) -> Mapping[str, Decimal]:
    """The weights that are meant. Raises click.BadParameter, NotFound."""
    if sum(each is not None for each in (given, proposal, version)) != 1:
        raise click.UsageError("Say which weights are meant, in one way.")
    if given is not None:
        return parsed(given)
    if proposal is not None:
        return decimals((await lakehouse.scores.proposal(lakehouse.environment, proposal))["weights"])
    return decimals((await lakehouse.scores.version(lakehouse.environment, version))["weights"])


def parsed(text: str) -> dict[str, Decimal]:
    """`outcome=50,quality=20` as numbers. Raises click.BadParameter."""
    try:
        found = {name: Decimal(value) for name, value in pairs(text.split(","), "--weights").items()}
    except InvalidOperation:
        raise click.BadParameter(f"{text!r} is not of the form signal=number,…", param_hint="--weights") from None
    for name, weight in found.items():
        if not weight.is_finite() or weight < 0:
            raise click.BadParameter(f"the weight of {name} must be 0 or more.", param_hint="--weights")
    return found


def decimals(stored: Mapping[str, Any]) -> dict[str, Decimal]:
    """Weights as they come from the database, exactly."""
    return {name: Decimal(str(weight)) for name, weight in stored.items()}


def days(text: str) -> timedelta:
    """A length of time such as 14d. Raises click.BadParameter."""
    return duration(text)


def number_of(value: Any) -> str:
    """A number that may not be there."""
    return "-" if value is None else str(value)
