"""Table versions as ports describe them, read from Iceberg metadata. Used by `catalog.py` alone."""

from __future__ import annotations

from datetime import datetime

import pyarrow as pa
from pyiceberg.manifest import DataFile, ManifestContent
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Snapshot
from pyiceberg.types import PrimitiveType

from opscore.domain.errors import NotFound, QueryFailed
from opscore.domain.table import Column, TableVersion
from opscore.lake.schemas import arrow_type, columns_of


def describe(table: Table, as_of: datetime | int | None = None) -> TableVersion:
    """The version of a table's metadata, at its current snapshot or at one in its history."""
    snapshot = _snapshot(table, as_of)
    files = live_files(table, snapshot)
    return TableVersion(
        name=full_name(table),
        metadata_location=table.metadata_location,
        snapshot_id=snapshot.snapshot_id if snapshot else None,
        columns=columns_of(_schema(table, snapshot if as_of is not None else None)),
        files=tuple(file.file_path for file in files),
        rows=sum(file.record_count for file in files),
        bytes=sum(file.file_size_in_bytes for file in files),
        properties=dict(table.properties),
    )


def live_files(table: Table, snapshot: Snapshot | None) -> list[DataFile]:
    """Data files of a snapshot, in a stable order. Raises QueryFailed for a table that carries row deletes."""
    if snapshot is None:
        return []
    manifests = snapshot.manifests(table.io)
    if any(manifest.content == ManifestContent.DELETES for manifest in manifests):
        raise QueryFailed(
            f"{full_name(table)} carries row-level deletes, which this lake neither writes nor reads",
            hint="Rewrite the table without merge-on-read deletes.",
        )
    entries = (entry for manifest in manifests for entry in manifest.fetch_manifest_entry(table.io))
    return sorted((entry.data_file for entry in entries), key=lambda file: file.file_path)


def own_metadata(table: Table, snapshot_id: int) -> list[str]:
    """The manifest list and manifests that one snapshot added."""
    snapshot = table.metadata.snapshot_by_id(snapshot_id)
    if snapshot is None:
        return []
    manifests = [file.manifest_path for file in snapshot.manifests(table.io) if file.added_snapshot_id == snapshot_id]
    return [*manifests, snapshot.manifest_list]


def full_name(table: Table) -> str:
    """`namespace.table`."""
    return ".".join(table.name())


def arrow_type_of(column: Column) -> pa.DataType:
    """Arrow's type of a described column."""
    return arrow_type(PrimitiveType.model_validate(column.type))


def _snapshot(table: Table, as_of: datetime | int | None) -> Snapshot | None:
    if as_of is None:
        return table.current_snapshot()
    if isinstance(as_of, datetime):
        found = table.snapshot_as_of_timestamp(int(as_of.timestamp() * 1000))
    else:
        found = table.snapshot_by_id(as_of)
    if found is None:
        raise NotFound(kind="version", name=f"of {full_name(table)} at {as_of}", noun="table")
    return found


def _schema(table: Table, snapshot: Snapshot | None) -> Schema:
    if snapshot is None or snapshot.schema_id is None:
        return table.schema()
    return table.schemas()[snapshot.schema_id]
