"""The scorer's half of the control plane. Composed in the scorer's `app.py`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from opscore.db.follower_rpc import FollowerRpc, cursor_arguments
from opscore.domain.signal import Signal
from opscore.ports.event_log import EventBatch, RunFacts, TrainingRun


class ScorerRpc(FollowerRpc):
    """Scoring over SQL functions of schema ops."""

    async def run_facts(self, runs: Sequence[UUID]) -> list[RunFacts]:
        """See Scoring."""
        rows = await self._db.fetch("select * from ops.run_evidence($1)", list(runs))
        return [RunFacts(**dict(row)) for row in rows]

    async def record_signals(self, consumer: str, batch: EventBatch, signals: Sequence[tuple[UUID, Signal]]) -> bool:
        """See Scoring."""
        offered = [
            {"run_id": run_id, "name": signal.name, "value": str(signal.value), "evidence": dict(signal.evidence)}
            for run_id, signal in signals
        ]
        return await self._db.fetchval(
            "select ops.record_signals($1, $2, $3, $4, $5, $6)", *cursor_arguments(consumer, batch), offered
        )

    async def training_runs(self, environment: UUID, since: timedelta) -> list[TrainingRun]:
        """See Learning."""
        rows = await self._db.fetch("select * from ops.training_runs($1, $2)", environment, since)
        return [TrainingRun(**dict(row)) for row in rows]

    async def weights_in_force(self, environment: UUID) -> tuple[int, dict[str, Decimal]]:
        """See Learning."""
        rows = await self._db.fetch("select * from ops.weights_in_force($1)", environment)
        return max((row["version"] for row in rows), default=0), {row["signal"]: row["weight"] for row in rows}

    async def take_learning_turns(self, every: timedelta, fewest: int) -> list[UUID]:
        """See Learning."""
        rows = await self._db.fetch("select x from ops.take_learning_turns($1, $2) as x", every, fewest)
        return [row["x"] for row in rows]

    async def propose_weights(
        self, environment: UUID, base: int, weights: Mapping[str, str], evidence: Mapping[str, Any], *, by: str
    ) -> UUID:
        """See Learning."""
        return await self._db.fetchval(
            "select ops.propose_weights($1, $2, $3, $4, $5)", environment, base, dict(weights), dict(evidence), by
        )
