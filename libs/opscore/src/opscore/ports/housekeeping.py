"""The control plane as those see it who keep its house: what is sealed, dropped, pruned and deleted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from opscore.domain.seal import Head


@dataclass(frozen=True, slots=True)
class Sealed:
    """One batch that was sealed. events: how many it covers."""

    head: Head
    events: int


@dataclass(frozen=True, slots=True)
class ExpiredArtifact:
    """An artifact whose file may be deleted."""

    id: UUID
    uri: str


class Housekeeping(Protocol):
    """The leader's chores; each is safe when two do it at once."""

    async def seal_events(self, limit: int) -> Sealed | None:
        """Seal the next settled events, at most `limit`; None when there are none."""
        ...

    async def sign_seal(self, head: Head, key_id: str, signature: str) -> bool:
        """Keep a head's signature. False: there is no such seal, or it is signed."""
        ...

    async def drop_expired_events(self) -> int:
        """Drop event partitions past retention; how many."""
        ...

    async def prune(self, limit: int) -> int:
        """Delete alerts and ledger rows that nothing reaches any more, at most `limit` of each; how many."""
        ...


class Tidying(Protocol):
    """Files past retention, for whoever can reach the warehouse."""

    async def take_expired_artifacts(self, limit: int) -> list[ExpiredArtifact]:
        """Artifacts to delete, handed to nobody else for ten minutes."""
        ...

    async def forget_artifacts(self, artifacts: Sequence[UUID]) -> int:
        """Remove the rows of artifacts whose files are gone; how many."""
        ...
