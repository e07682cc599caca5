"""Asking for a run's end, and saying what came of it. Used by `run cancel` and `query cancel`."""

from __future__ import annotations

from uuid import UUID

from lakehouse.cli.base import say
from lakehouse.client import Lakehouse
from lakehouse.client.person import whoami
from opscore.ports.people import Json

ENDED = {"succeeded": "succeeded", "failed": "failed", "canceled": "was canceled"}


async def cancel_run(lakehouse: Lakehouse, run_id: UUID, reason: str | None) -> Json:
    """The run after it was asked to end. Raises NotFound."""
    before = await lakehouse.people.run(run_id)
    await lakehouse.people.cancel_run(run_id, by=whoami(), reason=reason)
    now = await lakehouse.people.run(run_id)
    say(_outcome(before, now))
    return now


def _outcome(before: Json, now: Json) -> str:
    """What the cancel came to, also when the run ended by itself between the two looks."""
    if now["finished_at"] and (before["finished_at"] or now["state"] != "canceled"):
        return f"Nothing to cancel: the run {ENDED[now['state']]} at {now['finished_at']}."
    if now["state"] == "canceled":
        return "The run is canceled."
    return f"The run is {now['state']}; its executor ends it as soon as it hears of the cancel."
