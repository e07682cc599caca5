"""Where a run's own bytes are kept (manifests, results, previews)."""

from __future__ import annotations

from typing import Protocol
from uuid import UUID

from opscore.domain.artifact import Artifact


class Artifacts(Protocol):
    """Write once, read by address. Blocking: call from a worker thread."""

    def put(self, run_id: UUID, attempt: int, name: str, kind: str, content: bytes, media_type: str) -> Artifact:
        """Store bytes under a path that no other attempt uses, and return their address and digest."""
        ...

    def get(self, uri: str) -> bytes:
        """Read bytes back. Raises NotFound."""
        ...


class Disposal(Protocol):
    """Deletes what nobody needs any more. Blocking."""

    def delete(self, uri: str) -> None:
        """Remove the bytes; if they are gone already, that is no fault. Raises NotAllowed, WarehouseMissing."""
        ...
