"""The lake as phases see it. Implemented by `opscore.lake`; blocking, so called from worker processes or threads.

Nothing here moves a published pointer: staging writes files that nothing refers to, and
`ControlPlane.publish` makes a whole group visible in one transaction with the run ledger.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from opscore.domain.table import StagedTable, TableVersion, WrittenFile


class FileWriter(Protocol):
    """Streams record batches into Parquet files of one table (zstd, field ids in the schema, rolling by size)."""

    def write(self, batch: Any) -> None:
        """Append one pyarrow.RecordBatch or Table whose columns match the schema by name."""
        ...

    def close(self) -> tuple[WrittenFile, ...]:
        """Finish the files. A writer that wrote no row leaves no file."""
        ...

    def abort(self) -> None:
        """Remove what was written."""
        ...


class Lake(Protocol):
    """Read versions, write files, stage new versions."""

    def published(self, namespace: str | None = None) -> dict[str, str]:
        """Full table name -> published metadata location, in one query."""
        ...

    def version(self, name: str, *, as_of: datetime | int | None = None) -> TableVersion:
        """The published version, or the one at a time or snapshot id. Raises NotFound."""
        ...

    def open(self, name: str, metadata_location: str) -> TableVersion:
        """A version by its metadata file: published, staged or past."""
        ...

    def writer(self, name: str, schema: Any, *, run_id: str, part: str) -> FileWriter:
        """Open a file writer for a table, published or new.

        schema: pyarrow.Schema. For a published table its Iceberg schema is evolved (columns are added, types widened)
        and field ids follow it. part: distinguishes parallel writers of one table within a run.
        """
        ...

    def stage_append(
        self, name: str, schema: Any, files: Sequence[WrittenFile], *, run_id: str, properties: Mapping[str, str]
    ) -> StagedTable:
        """Stage a version that adds files to the published one (or starts the table)."""
        ...

    def stage_replace(
        self, name: str, schema: Any, files: Sequence[WrittenFile], *, run_id: str, properties: Mapping[str, str]
    ) -> StagedTable:
        """Stage a version that holds exactly these files."""
        ...

    def discard(self, staged: Iterable[StagedTable]) -> None:
        """Remove the files of versions that will not be published. Missing files are no fault."""
        ...

    def discard_files(self, files: Iterable[WrittenFile]) -> None:
        """Remove written files that no version refers to. Missing ones are no fault."""
        ...
