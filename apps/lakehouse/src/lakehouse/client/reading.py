"""Reads artifacts out of the warehouse and proves that they are what was recorded. Used by the client and the CLI."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import anyio.to_thread

from lakehouse.client.target import Target
from opscore.domain.errors import Conflict


async def read_artifact(target: Target, artifact: Mapping[str, Any]) -> bytes:
    """The bytes. Raises NotFound, LakeUnavailable, and Conflict when they are not those that were recorded."""
    content = await anyio.to_thread.run_sync(_read, target, artifact["uri"])
    if hashlib.sha256(content).hexdigest() != artifact["sha256"]:
        raise Conflict(
            f"{artifact['uri']} is not what run {artifact['run_id']} wrote: its SHA-256 differs.",
            hint="Something changed the file behind the lake's back: restore it, or run again.",
        )
    return content


def _read(target: Target, uri: str) -> bytes:
    from opscore.config import LakeSettings  # noqa: PLC0415 - the lake's libraries are slow to import
    from opscore.lake.artifacts import WarehouseArtifacts  # noqa: PLC0415
    from opscore.lake.options import LakeOptions  # noqa: PLC0415

    settings = LakeSettings.load(database_url=target.owner_dsn, warehouse=target.warehouse)
    return WarehouseArtifacts(LakeOptions.from_settings(settings)).get(uri)
