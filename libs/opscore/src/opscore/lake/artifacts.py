"""Artifacts beside the tables: `<warehouse>/artifacts/<run>/<attempt>/<name>`. Implements `opscore.ports.artifacts`."""

from __future__ import annotations

from uuid import UUID

from opscore.domain.artifact import Artifact
from opscore.domain.errors import NotAllowed, NotFound
from opscore.lake.options import LakeOptions
from opscore.lake.storage import Storage


class WarehouseArtifacts:
    """Write once, read by address. Blocking."""

    def __init__(self, options: LakeOptions) -> None:
        self._storage = Storage(options)
        self._root = f"{options.warehouse}/artifacts"

    def put(self, run_id: UUID, attempt: int, name: str, kind: str, content: bytes, media_type: str) -> Artifact:
        """Store bytes under a path of this attempt alone. Raises WarehouseMissing, StorageFull, LakeUnavailable."""
        self._storage.require()
        uri = f"{self._root}/{run_id}/{attempt}/{name}"
        digest = self._storage.put(uri, content)
        return Artifact(name=name, kind=kind, uri=uri, sha256=digest, bytes=len(content), media_type=media_type)

    def get(self, uri: str) -> bytes:
        """Read bytes back. Raises NotFound; NotAllowed for an address outside the artifact folder."""
        self._refuse_strangers(uri)
        content = self._storage.get(uri)
        if content is None:
            raise NotFound(kind="artifact", name=uri, noun="artifact")
        return content

    def delete(self, uri: str) -> None:
        """Remove the bytes. NotAllowed for an address outside; WarehouseMissing while its disk is not mounted."""
        self._refuse_strangers(uri)
        self._storage.require()
        self._storage.delete([uri])

    def _refuse_strangers(self, uri: str) -> None:
        if not uri.startswith(f"{self._root}/") or "/../" in uri:
            raise NotAllowed(f"{uri} is not an artifact of this warehouse", hint="Use an address that the API listed.")
