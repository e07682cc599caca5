"""A statement with what is put around it, so that faults are told in the author's own lines and columns."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import duckdb

from opscore.domain.errors import OpsError
from opscore.engines.duckdb_faults import explain


@dataclass(frozen=True, slots=True)
class Text:
    """sql: as its author wrote it. before, behind: what DuckDB is given around it."""

    sql: str
    before: str = ""
    behind: str = ""

    @classmethod
    def alone(cls, sql: str) -> Self:
        """The statement itself, without its semicolon."""
        return cls(without_end(sql))

    @classmethod
    def ordered(cls, sql: str, order_by: str) -> Self:
        """The statement's rows in an order; it may end in a semicolon and comments."""
        return cls(without_end(sql), "select * from (", f"\n) order by {order_by}")

    @property
    def whole(self) -> str:
        """What DuckDB is given."""
        return f"{self.before}{self.sql}{self.behind}"

    def after(self, prefix: str) -> Text:
        """The same behind one more prefix."""
        return replace(self, before=prefix + self.before)

    def explain(self, error: Exception) -> OpsError:
        """The error to raise instead of DuckDB's."""
        return explain(error, self.sql, prefix=self.before)


def without_end(sql: str) -> str:
    """One statement up to its semicolon."""
    text = sql.encode()
    ends = (at for at, kind in duckdb.tokenize(sql) if kind == duckdb.token_type.operator and text[at : at + 1] == b";")
    return text[: next(ends, len(text))].decode()
