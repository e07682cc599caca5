"""PyIceberg's SQL catalog, with a commit that writes metadata and moves no pointer.

`catalog.py` stages through it; pointers move only inside `ops.publish_run`. Two protected methods of PyIceberg are
used here and nowhere else (`_update_and_stage_table`, `_write_metadata`), and a test holds their meaning.
"""

from __future__ import annotations

from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.io import FileIO, load_file_io
from pyiceberg.partitioning import UNPARTITIONED_PARTITION_SPEC
from pyiceberg.schema import Schema
from pyiceberg.serializers import FromInputFile
from pyiceberg.table import CommitTableResponse, CreateTableTransaction, StagedTable, Table
from pyiceberg.table.metadata import TableMetadata, new_table_metadata
from pyiceberg.table.sorting import UNSORTED_SORT_ORDER
from pyiceberg.table.update import AssertCreate, TableRequirement, TableUpdate
from sqlalchemy.engine import URL, make_url

from opscore.lake.options import CATALOG_NAME, CATALOG_SCHEMA, LakeOptions


class StagingCatalog(SqlCatalog):
    """Reads pointers from schema `iceberg`; stages metadata files that nothing refers to."""

    def __init__(self, options: LakeOptions) -> None:
        super().__init__(
            CATALOG_NAME,
            uri=psycopg2_url(options.dsn),
            warehouse=options.warehouse,
            pool_pre_ping="true",
            **options.io_properties,
        )
        self.io = load_file_io(properties=self.properties, location=options.warehouse)

    def _init_catalog(self) -> None:
        """The tables are made by the migration, in a schema of their own; poolers may not carry a search path."""
        self._schema_version = "v1"
        self.engine = self.engine.execution_options(schema_translate_map={None: CATALOG_SCHEMA})

    def begin_create(
        self, identifier: tuple[str, str], location: str, schema: Schema, properties: dict[str, str]
    ) -> CreateTableTransaction:
        """Open the transaction that stages a table's first metadata file."""
        metadata = new_table_metadata(
            schema, UNPARTITIONED_PARTITION_SPEC, UNSORTED_SORT_ORDER, location, dict(properties)
        )
        return CreateTableTransaction(StagedTable(identifier, metadata, "", self.io, self))

    def at(self, identifier: tuple[str, str], metadata_location: str) -> Table:
        """A table at one metadata file, published or not."""
        metadata = FromInputFile.table_metadata(self.io.new_input(metadata_location))
        return Table(identifier, metadata, metadata_location, self.io, self)

    def commit_table(
        self, table: Table, requirements: tuple[TableRequirement, ...], updates: tuple[TableUpdate, ...]
    ) -> CommitTableResponse:
        """Write the next metadata file of exactly the version that was opened; move no pointer."""
        creates = any(isinstance(requirement, AssertCreate) for requirement in requirements)
        staged = self._update_and_stage_table(None if creates else table, table.name(), requirements, updates)
        self._write_metadata(staged.metadata, staged.io, staged.metadata_location)
        return CommitTableResponse.model_validate(
            {"metadata": staged.metadata, "metadata-location": staged.metadata_location}
        )

    @staticmethod
    def _delete_old_metadata(io: FileIO, base: TableMetadata, metadata: TableMetadata) -> None:
        """A staged version may never be published: what the published one refers to must stay."""


def psycopg2_url(dsn: str) -> str:
    """A `postgresql://` address as SQLAlchemy takes it for psycopg2; every other part stays."""
    url: URL = make_url(dsn.replace("postgres://", "postgresql://", 1))
    return url.set(drivername="postgresql+psycopg2").render_as_string(hide_password=False)
