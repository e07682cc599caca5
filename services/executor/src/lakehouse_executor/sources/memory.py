"""What a run remembers about a source table for the next one. Stored by publish, so it never runs ahead of the lake."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from lakehouse_executor.sources.tables import SourceTable
from opscore.ports.source import SourceMoment


@dataclass(frozen=True, slots=True)
class Memory:
    """One table as a published run left it.

    location: the bronze version it speaks of; of any other one it says nothing.
    system and database: whose transaction ids `xmin` and `xmax` are. rows and hash: count and key hash then.
    columns: name -> (attribute number, type, base type).
    """

    location: str | None
    system: str
    database: int
    xmin: int
    xmax: int
    watermark: str
    rows: int
    hash: int
    next_seq: int
    columns: Mapping[str, tuple[int, str, str]]

    @classmethod
    def of(
        cls, table: SourceTable, moment: SourceMoment, rows: int, key_hash: int, next_seq: int, *, location: str | None
    ) -> Self:
        """What to remember of a table that is up to date at this moment."""
        return cls(
            location=location,
            system=moment.system,
            database=moment.database,
            xmin=moment.xmin,
            xmax=moment.xmax,
            watermark=moment.watermark,
            rows=rows,
            hash=key_hash,
            next_seq=next_seq,
            columns=columns_of(table),
        )

    @classmethod
    def from_json(cls, state: Mapping[str, Any]) -> Self:
        """Read what `as_json` wrote."""
        columns = {name: (number, kind, base) for name, number, kind, base in state["columns"]}
        return cls(
            location=state.get("location"),
            system=state["system"],
            database=state["database"],
            xmin=int(state["xmin"]),
            xmax=int(state["xmax"]),
            watermark=state["watermark"],
            rows=state["rows"],
            hash=int(state["hash"]),
            next_seq=int(state["next_seq"]),
            columns=columns,
        )

    def as_json(self) -> dict[str, Any]:
        """The shape that publish stores; 64-bit numbers are text, JSON's cannot hold them."""
        return {
            "location": self.location,
            "system": self.system,
            "database": self.database,
            "xmin": str(self.xmin),
            "xmax": str(self.xmax),
            "watermark": self.watermark,
            "rows": self.rows,
            "hash": str(self.hash),
            "next_seq": str(self.next_seq),
            "columns": [[name, *about] for name, about in self.columns.items()],
        }

    def reaches(self, moment: SourceMoment) -> bool:
        """Whether transaction ids of then compare with those of now: same data, not turned back, not too far."""
        same = (self.system, self.database) == (moment.system, moment.database)
        return same and self.xmax <= moment.xmax and moment.xmax - self.xmin < 1 << 31


def columns_of(table: SourceTable) -> dict[str, tuple[int, str, str]]:
    """A table's columns as they are remembered."""
    return {column.name: (column.number, column.type, column.base) for column in table.columns}
