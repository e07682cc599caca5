"""Parquet files as Iceberg manifests name them, with statistics from their footers; the data is not read again."""

from __future__ import annotations

import pyarrow.parquet as pq
from pyiceberg.io.pyarrow import (
    compute_statistics_plan,
    data_file_statistics_from_parquet_metadata,
    parquet_path_to_id_mapping,
)
from pyiceberg.manifest import DataFile, DataFileContent, FileFormat
from pyiceberg.schema import Schema
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.typedef import Record

from opscore.domain.errors import Unexpected
from opscore.domain.table import WrittenFile
from opscore.lake.schemas import FIELD_ID
from opscore.lake.storage import Storage, translated


def data_file(storage: Storage, metadata: TableMetadata, written: WrittenFile) -> DataFile:
    """Describe one written file for a manifest. Raises Unexpected when its field ids are not the table's."""
    with translated(written.path), storage.fs.open_input_file(storage.path(written.path)) as stream:
        footer = pq.read_metadata(stream)
    schema = metadata.schema()
    _same_ids(schema, footer, written.path)
    statistics = data_file_statistics_from_parquet_metadata(
        parquet_metadata=footer,
        stats_columns=compute_statistics_plan(schema, metadata.properties),
        parquet_column_mapping=parquet_path_to_id_mapping(schema),
    )
    return DataFile.from_args(
        content=DataFileContent.DATA,
        file_path=written.path,
        file_format=FileFormat.PARQUET,
        partition=Record(),
        file_size_in_bytes=written.bytes,
        sort_order_id=None,
        spec_id=metadata.default_spec_id,
        equality_ids=None,
        key_metadata=None,
        **statistics.to_serialized_dict(),
    )


def _same_ids(schema: Schema, footer: pq.FileMetaData, path: str) -> None:
    """Readers map columns by id: a file written against another version of the schema would swap its columns."""
    for field in footer.schema.to_arrow_schema():
        stored = int((field.metadata or {}).get(FIELD_ID, b"-1"))
        if schema.find_field(field.name).field_id != stored:
            raise Unexpected(f"{path} carries field id {stored} for column {field.name}, which is not the table's")
