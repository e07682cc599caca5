"""Starting pipelines by a secret token, as the control room offers it. Implemented by `opscore.db.schedules_rpc`."""

from __future__ import annotations

from typing import Protocol
from uuid import UUID

from opscore.ports.people import Json


class Webhooks(Protocol):
    """Triggers of kind webhook."""

    async def fire_webhook(self, token: str, params: Json, *, idempotency_key: str | None) -> tuple[UUID, bool]:
        """Start what the token stands for: the run, and whether it is new.

        Raises NotAllowed, InvalidInput, Conflict, IdempotencyConflict.
        """
        ...
