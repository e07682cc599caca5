"""Builds a table's next version and writes its metadata; nothing refers to it yet. Used by `catalog.py` alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa
from pyiceberg.schema import Schema
from pyiceberg.table import Table, Transaction

from opscore.domain.errors import Unexpected
from opscore.domain.table import StagedTable, WrittenFile
from opscore.lake.data_files import data_file
from opscore.lake.schemas import evolved, iceberg_schema, schema_hash
from opscore.lake.staging_catalog import StagingCatalog
from opscore.lake.storage import Storage
from opscore.lake.versions import live_files

TABLE_PROPERTIES = {
    "commit.manifest-merge.enabled": "true",
    "commit.retry.num-retries": "0",  # the library's retry rebases without asking and could double a run
    "write.metadata.delete-after-commit.enabled": "true",
    "write.metadata.previous-versions-max": "20",
    "write.parquet.compression-codec": "zstd",
    "write.parquet.compression-level": "1",
    "write.target-file-size-bytes": str(1 << 30),
}

TABLE_FACTS = "lakehouse."  # given properties of this prefix are the table's, the others its new snapshot's


@dataclass(frozen=True, slots=True)
class Change:
    """files: the new ones. replaces: whether older files go. properties: facts and summary."""

    files: tuple[WrittenFile, ...]
    replaces: bool
    properties: Mapping[str, str]

    @property
    def facts(self) -> dict[str, str]:
        """What the table carries from now on."""
        return {name: value for name, value in self.properties.items() if name.startswith(TABLE_FACTS)}

    @property
    def summary(self) -> dict[str, str]:
        """What the new snapshot says about itself."""
        return {name: value for name, value in self.properties.items() if not name.startswith(TABLE_FACTS)}


def stage(
    catalog: StagingCatalog,
    storage: Storage,
    name: str,
    base: Table | None,
    location: str,
    wanted: pa.Schema,
    change: Change,
) -> StagedTable:
    """Write the version of `base` (None: a new table at `location`) that holds the change."""
    base_location = base.metadata_location if base else None
    transaction = _begin(catalog, name, base, location, wanted, change)
    _add_snapshot(storage, transaction, change, base)
    return _describe(name, transaction.commit_transaction(), base_location, change)


def _begin(
    catalog: StagingCatalog, name: str, base: Table | None, location: str, wanted: pa.Schema, change: Change
) -> Transaction:
    properties = {**TABLE_PROPERTIES, **change.facts}
    if base is None:
        namespace, _, short = name.partition(".")
        return catalog.begin_create((namespace, short), location, iceberg_schema(wanted), properties)
    transaction = base.transaction()
    new = {key: value for key, value in properties.items() if base.properties.get(key) != value}
    if new:
        transaction.set_properties(new)
    _evolve(transaction, evolved(name, base.schema(), wanted, base.metadata.last_column_id))
    return transaction


def _evolve(transaction: Transaction, target: Schema) -> None:
    published = transaction.table_metadata.schema()
    if published.fields == target.fields:
        return
    known = {field.field_id: field for field in published.fields}
    with transaction.update_schema() as update:
        for field in target.fields:
            if field.field_id not in known:
                update.add_column(field.name, field.field_type)
            elif known[field.field_id].field_type != field.field_type:
                update.update_column(field.name, field_type=field.field_type)
    if transaction.table_metadata.schema().fields != target.fields:
        raise Unexpected(f"The evolved schema is not the one files were written for: {target}")


def _add_snapshot(storage: Storage, transaction: Transaction, change: Change, base: Table | None) -> None:
    metadata = transaction.table_metadata
    old = live_files(base, base.current_snapshot()) if base and change.replaces else []
    update = transaction.update_snapshot(snapshot_properties=change.summary)
    with update.overwrite() if old else update.merge_append() as snapshot:
        for file in old:
            snapshot.delete_data_file(file)
        for file in change.files:
            snapshot.append_data_file(data_file(storage, metadata, file))


def _describe(name: str, table: Table, base_location: str | None, change: Change) -> StagedTable:
    snapshot = table.current_snapshot()
    if snapshot is None or snapshot.summary is None:
        raise Unexpected(f"{name} was staged without a snapshot")
    summary = snapshot.summary
    return StagedTable(
        name=name,
        base_location=base_location,
        metadata_location=table.metadata_location,
        snapshot_id=snapshot.snapshot_id,
        rows_added=sum(file.rows for file in change.files),
        rows=int(summary["total-records"] or 0),
        files=int(summary["total-data-files"] or 0),
        bytes=int(summary["total-files-size"] or 0),
        schema_hash=schema_hash(table.schema()),
        written=change.files,
    )
