"""The lake: versions to read, files to write, versions to stage. Implements `opscore.ports.lake.Lake`.

Blocking; called from worker processes and threads. Pointers are read here and never moved: that is done by
`ops.publish_run`, for all tables of a run at once.
"""

from __future__ import annotations

import functools
import secrets
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
from pyiceberg.table import Table
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from opscore.domain.errors import ControlPlaneUnavailable, NotFound
from opscore.domain.table import StagedTable, TableVersion, WrittenFile
from opscore.lake import versions
from opscore.lake.options import CATALOG_NAME, LakeOptions
from opscore.lake.schemas import evolved, file_schema, iceberg_schema
from opscore.lake.staging import Change, stage
from opscore.lake.staging_catalog import StagingCatalog
from opscore.lake.storage import Storage, translated
from opscore.lake.writer import ParquetFiles

POINTERS = text(
    "select table_namespace || '.' || table_name as name, metadata_location"
    " from iceberg.iceberg_tables"
    " where catalog_name = :catalog and metadata_location is not null"
    " and (iceberg_type is null or iceberg_type = 'TABLE')"
    " and (cast(:namespace as text) is null or table_namespace = :namespace)"
    " order by 1"
)


class LakeCatalog:
    """One lake over one catalog and warehouse. Cheap to make: connections open on first use.

    pinned: pointers to work on instead of the published ones, so that all parts of a run build on one state, whatever
    is published meanwhile (publish then refuses). Every table that a pinned lake does not name is new to it.
    """

    def __init__(self, options: LakeOptions, *, pinned: Mapping[str, str] | None = None) -> None:
        self.options = options
        self.storage = Storage(options)
        self._pinned = pinned

    @cached_property
    def _catalog(self) -> StagingCatalog:
        return StagingCatalog(self.options)

    def at(self, pointers: Mapping[str, str]) -> LakeCatalog:
        """The same lake, building on these metadata locations by full table name."""
        lake = LakeCatalog(self.options, pinned=pointers)
        lake.__dict__["_catalog"] = self._catalog  # one connection pool and one file system for both
        return lake

    def published(self, namespace: str | None = None) -> dict[str, str]:
        """Full table name -> published metadata location, in one query. Raises ControlPlaneUnavailable."""
        if self._pinned is not None:
            return {name: at for name, at in self._pinned.items() if namespace in {None, name.split(".")[0]}}
        try:
            with self._catalog.engine.connect() as connection:
                rows = connection.execute(POINTERS, {"catalog": CATALOG_NAME, "namespace": namespace}).all()
        except SQLAlchemyError as error:
            raise ControlPlaneUnavailable(reason=str(error.__cause__ or error).splitlines()[0]) from error
        return {row.name: row.metadata_location for row in rows}

    def version(self, name: str, *, as_of: datetime | int | None = None) -> TableVersion:
        """The published version, or the one at a time or snapshot id. Raises NotFound."""
        table = self._published_table(name)
        if table is None:
            raise NotFound(kind="table", name=name, noun="table")
        return self._version(table, as_of)

    def open(self, name: str, metadata_location: str) -> TableVersion:
        """A version by its metadata file: published, staged or past. Raises NotFound when the file is gone."""
        return self._version(self._table(name, metadata_location), None)

    def dataset(self, version: TableVersion) -> ds.Dataset:
        """A version's rows for Arrow's scanner; columns that older files lack read as null."""
        fields = [pa.field(column.name, versions.arrow_type_of(column)) for column in version.columns]
        paths = [self.storage.path(uri) for uri in version.files]
        with translated(version.name):
            return ds.dataset(paths, schema=pa.schema(fields), format="parquet", filesystem=self.storage.fs)

    def writer(self, name: str, schema: Any, *, run_id: str, part: str) -> ParquetFiles:
        """Open a file writer for a table, published or new. Raises WarehouseMissing, SchemaDrift.

        Each writer's files carry a token of their own: a stalled attempt that wakes up after another one has published
        cannot write into the published files.
        """
        self.storage.require()
        prefix = f"{self.location(name)}/data/{run_id}-{part}-{secrets.token_hex(4)}"
        return ParquetFiles(self.storage, prefix, file_schema(self._next_schema(name, schema)))

    def stage_append(
        self, name: str, schema: Any, files: Sequence[WrittenFile], *, run_id: str, properties: Mapping[str, str]
    ) -> StagedTable:
        """Stage a version that adds files to the published one (or starts the table).

        properties: those named `lakehouse.*` become the table's, the others stand in the snapshot's summary.
        """
        return self._stage(
            name, schema, Change(tuple(files), replaces=False, properties={**properties, "run_id": run_id})
        )

    def stage_replace(
        self, name: str, schema: Any, files: Sequence[WrittenFile], *, run_id: str, properties: Mapping[str, str]
    ) -> StagedTable:
        """Stage a version that holds exactly these files. properties: as for `stage_append`."""
        return self._stage(
            name, schema, Change(tuple(files), replaces=True, properties={**properties, "run_id": run_id})
        )

    def discard(self, staged: Iterable[StagedTable]) -> None:
        """Remove the files of versions that will not be published. Missing files are no fault."""
        for table in staged:
            self.discard_files(table.written)
            self.storage.delete(self._metadata_files(table))

    def discard_files(self, files: Iterable[WrittenFile]) -> None:
        """Remove files that no version will refer to. Missing ones are no fault."""
        self.storage.delete(file.path for file in files)

    def location(self, name: str) -> str:
        """The folder of a table."""
        return f"{self.options.warehouse}/{name.replace('.', '/')}"

    def _metadata_files(self, staged: StagedTable) -> list[str]:
        try:
            table = self._table(staged.name, staged.metadata_location)
            with translated(staged.name):
                return [*versions.own_metadata(table, staged.snapshot_id), staged.metadata_location]
        except (NotFound, FileNotFoundError):
            return [staged.metadata_location]

    def _stage(self, name: str, schema: Any, change: Change) -> StagedTable:
        self.storage.require()
        table = self._published_table(name)
        with translated(self.location(name)):
            staged = stage(self._catalog, self.storage, name, table, self.location(name), schema, change)
        self.storage.make_durable([*(file.path for file in change.files), *self._metadata_files(staged)])
        return staged

    def _next_schema(self, name: str, wanted: pa.Schema) -> Any:
        table = self._published_table(name)
        if table is None:
            return iceberg_schema(wanted)
        return evolved(name, table.schema(), wanted, table.metadata.last_column_id)

    def _published_table(self, name: str) -> Table | None:
        location = self.published(name.split(".", maxsplit=1)[0]).get(name)
        return self._table(name, location) if location else None

    def _table(self, name: str, metadata_location: str) -> Table:
        namespace, _, short = name.partition(".")
        try:
            with translated(metadata_location):
                return self._catalog.at((namespace, short), metadata_location)
        except FileNotFoundError:
            self.storage.require()  # a warehouse that is gone is another fault than a file that is
            raise NotFound(kind="table version", name=f"{name} at {metadata_location}", noun="table") from None

    def _version(self, table: Table, as_of: datetime | int | None) -> TableVersion:
        with translated(table.metadata_location):
            return versions.describe(table, as_of)


@functools.lru_cache(maxsize=4)
def lake_for(options: LakeOptions) -> LakeCatalog:
    """The lake of this process for these options, made once."""
    return LakeCatalog(options)
