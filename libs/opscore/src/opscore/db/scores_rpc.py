"""Signals, scores and weights as people see them: reads over schema api, actions over functions of schema ops.

Composed by the CLI's client. Rows are JSON objects; numbers that must be exact are text.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

from opscore.db.people_rpc import named
from opscore.db.pool import Database
from opscore.domain.alert import AlertRule
from opscore.domain.errors import NotFound
from opscore.ports.people import Json

Weights = Mapping[str, Decimal]


class ScoresRpc:
    """What runs are judged by."""

    def __init__(self, database: Database) -> None:
        """database: connected as the control room's role, or the owner's."""
        self._db = database

    async def signals(
        self,
        environment: UUID,
        *,
        run: UUID | None = None,
        pipeline: str | None = None,
        name: str | None = None,
        below: Decimal | None = None,
        limit: int = 50,
    ) -> list[Json]:
        """Signals, those of the newest runs first. below: only values under it."""
        rows = await self._db.fetch(named("signals"), environment, run, pipeline, name, below, limit)
        return [row["item"] for row in rows]

    async def score(self, run: UUID) -> Json:
        """A run's score with inputs, signals and the version's weights. Raises NotFound."""
        rows = await self._db.fetch(named("score"), run)
        if not rows:
            hint = "A run is scored moments after its end; `lakehouse run show` says where it stands."
            raise NotFound(kind="score of run", name=str(run), hint=hint)
        return rows[0]["item"]

    async def versions(self, environment: UUID) -> list[Json]:
        """Versions of weights, the one in force first."""
        return [row["item"] for row in await self._db.fetch(named("weights"), environment, None)]

    async def version(self, environment: UUID, number: int | None) -> Json:
        """One version, the one in force without a number. Raises NotFound."""
        rows = await self._db.fetch(named("weights"), environment, number)
        if not rows:
            hint = "`lakehouse score weights list` shows what there is."
            raise NotFound(kind="version of weights", name=str(number), hint=hint)
        return rows[0]["item"]

    async def set_weights(self, environment: UUID, weights: Weights, *, by: str, reason: str) -> int:
        """Make a new version, in force at once; its number. Raises InvalidInput."""
        return await self._db.fetchval(
            "select ops.set_weights($1, $2, $3, $4)", environment, _plain(weights), by, reason
        )

    async def what_if(self, environment: UUID, weights: Weights, *, since: timedelta, top: int) -> Json:
        """How scores of that time would change, and which rules would have alerted. Raises InvalidInput."""
        row = await self._db.fetchrow(named("score_watches"), environment)
        assert row is not None  # noqa: S101 - the query answers one row
        rules = [AlertRule.from_row(each) for each in row["rules"]]
        watches = [
            {
                "rule": rule.name,
                "min_score": str(rule.min_score),
                "pipelines": [each for each in row["pipelines"] if rule.covers(environment, each)],
            }
            for rule in rules
            if rule.min_score is not None
        ]
        return await self._db.fetchval(
            "select ops.what_if_weights($1, $2, $3, $4, $5)", environment, _plain(weights), since, watches, top
        )

    async def proposals(self, environment: UUID) -> list[Json]:
        """Weights learned from history, newest first."""
        return [row["item"] for row in await self._db.fetch(named("weight_proposals"), environment, None)]

    async def proposal(self, environment: UUID, proposal: UUID) -> Json:
        """One of them. Raises NotFound."""
        rows = await self._db.fetch(named("weight_proposals"), environment, proposal)
        if not rows:
            hint = "`lakehouse score weights proposals` shows what there is."
            raise NotFound(kind="proposal", name=str(proposal), hint=hint)
        return rows[0]["item"]

    async def accept(self, proposal: UUID, *, by: str, reason: str) -> int:
        """Make a proposal the next version; its number. Raises NotFound and Conflict."""
        return await self._db.fetchval("select ops.accept_weights($1, $2, $3)", proposal, by, reason)


def _plain(weights: Weights) -> dict[str, str]:
    return {name: f"{weight:f}" for name, weight in weights.items()}
