"""The scorer's half of the control plane. Composed in the scorer's `app.py`."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from opscore.db.follower_rpc import FollowerRpc, cursor_arguments
from opscore.domain.signal import Signal
from opscore.ports.event_log import EventBatch, RunFacts


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
