"""The notifier's half of the control plane. Composed in the notifier's `app.py`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any
from uuid import UUID

from opscore.db.follower_rpc import FollowerRpc, cursor_arguments
from opscore.ports.event_log import DueNotification, EventBatch, SendOutcome


class NotifierRpc(FollowerRpc):
    """Alerting over SQL functions of schema ops."""

    async def alerting(self) -> dict[str, Any]:
        """See Alerting."""
        return await self._db.fetchval("select ops.alerting()")

    async def record_alerts(
        self, consumer: str, batch: EventBatch, alerts: Sequence[dict[str, Any]], resolved: Sequence[dict[str, Any]]
    ) -> bool:
        """See Alerting."""
        return await self._db.fetchval(
            "select ops.record_alerts($1, $2, $3, $4, $5, $6, $7)",
            *cursor_arguments(consumer, batch),
            list(alerts),
            list(resolved),
        )

    async def lease_notifications(self, limit: int, lease_ms: int) -> list[DueNotification]:
        """See Alerting."""
        rows = await self._db.fetch("select * from ops.lease_notifications($1, $2)", limit, lease_ms)
        return [
            DueNotification(row["id"], row["token"], row["channel"], row["target"], row["body"], row["attempts"])
            for row in rows
        ]

    async def settle_notifications(self, outcomes: Sequence[SendOutcome]) -> dict[UUID, bool]:
        """See Alerting."""
        offered = [asdict(outcome) for outcome in outcomes]
        rows = await self._db.fetch("select * from ops.settle_notifications($1)", offered)
        return {row["id"]: row["accepted"] for row in rows}
