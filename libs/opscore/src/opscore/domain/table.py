"""Tables of the lake as runs see them: a version to read, a staged version to publish."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Column:
    """One column of an Iceberg schema. type: Iceberg's name, e.g. `decimal(38, 10)`."""

    field_id: int
    name: str
    type: str
    required: bool = False


@dataclass(frozen=True, slots=True)
class WrittenFile:
    """A Parquet data file that no table refers to yet. path: full URI. bytes: size of the file."""

    path: str
    rows: int
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class TableVersion:
    """One table at one metadata file: published, staged or past. files: live data files, full URIs."""

    name: str
    metadata_location: str
    snapshot_id: int | None
    columns: tuple[Column, ...]
    files: tuple[str, ...]
    rows: int
    bytes: int
    properties: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def column_names(self) -> tuple[str, ...]:
        """Names in schema order."""
        return tuple(column.name for column in self.columns)


@dataclass(frozen=True, slots=True)
class StagedTable:
    """A table's next version, written but pointed at by nothing until publish.

    base_location: the published metadata file it was built on, None for a new table; publish refuses when it has moved.
    rows_added: rows of the new files; rows: all rows of the new version.
    """

    name: str
    base_location: str | None
    metadata_location: str
    snapshot_id: int
    rows_added: int
    rows: int
    files: int
    bytes: int
    schema_hash: str
    written: tuple[WrittenFile, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The shape that checkpoints and `ops.publish_run` take; snapshot ids are text: JSON numbers are too short."""
        return asdict(self) | {"snapshot_id": str(self.snapshot_id), "written": [asdict(file) for file in self.written]}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> StagedTable:
        """Read what `as_json` wrote."""
        known = {name: data[name] for name in cls.__slots__ if name not in {"snapshot_id", "written"}}
        written = tuple(WrittenFile(**file) for file in data["written"])
        return cls(**known, snapshot_id=int(data["snapshot_id"]), written=written)
