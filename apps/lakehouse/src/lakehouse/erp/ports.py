"""What the generator asks of a database. `opscore.db.load` is the one adapter; tests may count calls with another."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol


class Loader(Protocol):
    """One connection inside one transaction."""

    async def execute(self, script: str) -> None:
        """Run one or more statements."""
        ...

    async def copy_csv(self, table: str, columns: Sequence[str], chunks: Iterable[bytes | memoryview]) -> int:
        """Append CSV rows (no header, empty field = null) and return how many."""
        ...

    async def fetch(self, query: str, *arguments: Any) -> list[tuple[Any, ...]]:
        """Rows of one query."""
        ...
