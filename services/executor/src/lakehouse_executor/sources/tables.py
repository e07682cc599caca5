"""Source tables as extraction sees them: which columns, which key, how big. Values only; they cross process borders."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class SourceColumn:
    """type: as Postgres writes it (`numeric(16,2)`). base: its name without sizes, a domain's base type.

    category: Postgres' letter for the kind of type. facts: what Odoo says about the field behind it.
    """

    name: str
    number: int
    type: str
    base: str
    category: str
    facts: dict[str, object] = field(default_factory=dict[str, object], compare=False)

    @property
    def lake_name(self) -> str:
        """Lower case, as every name in the lake."""
        return self.name.lower()

    @property
    def quoted(self) -> str:
        """As SQL takes it."""
        return quoted(self.name)


@dataclass(frozen=True, slots=True)
class SourceTable:
    """One ordinary table in scope. key: columns that identify a row.

    pages: of the heap, 8 KiB each. bytes: of the heap and its out-of-line values, compressed as they may be.
    """

    schema: str
    name: str
    model: str
    group: str
    partitioned: bool
    pages: int
    bytes: int
    columns: tuple[SourceColumn, ...]
    key: tuple[str, ...]

    @property
    def lake_name(self) -> str:
        """The bronze table that holds it."""
        return f"bronze.{self.name.lower()}"

    @property
    def lake_key(self) -> tuple[str, ...]:
        """The key's columns as the lake names them."""
        return tuple(name.lower() for name in self.key)

    @property
    def rows_of(self) -> str:
        """What stands after `from`: without the rows of tables that inherit from it."""
        only = "" if self.partitioned else "only "
        return f"{only}{quoted(self.schema)}.{quoted(self.name)}"

    @property
    def stamp(self) -> SourceColumn | None:
        """Odoo's own record of the last write, where the table has one."""
        found = (column for column in self.columns if column.name == "write_date" and column.base == "timestamp")
        return next(found, None)

    def column(self, name: str) -> SourceColumn:
        """One column by its source name."""
        return next(column for column in self.columns if column.name == name)


def quoted(name: str) -> str:
    """An identifier as SQL takes it."""
    return '"' + name.replace('"', '""') + '"'
