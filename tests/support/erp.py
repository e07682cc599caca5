"""A generated ERP and the questions tests ask it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import asyncpg

from lakehouse.erp import ErpSummary

FAULTS = (Path(__file__).parent / "erp_faults.sql").read_text(encoding="utf-8")


class Erp:
    """A generated database, what its generation reported, and a few questions to ask it."""

    def __init__(self, dsn: str, summary: ErpSummary) -> None:
        self.dsn = dsn
        self.summary = summary

    async def rows(self, query: str, *arguments: Any) -> list[tuple[Any, ...]]:
        connection = await asyncpg.connect(self.dsn)
        try:
            return [tuple(row) for row in await connection.fetch(query, *arguments)]
        finally:
            await connection.close()

    async def value(self, query: str, *arguments: Any) -> Any:
        return (await self.rows(query, *arguments))[0][0]

    async def run(self, statement: str) -> None:
        connection = await asyncpg.connect(self.dsn)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    async def faults(self) -> dict[str, int]:
        """The rules of consistent books that some row breaks."""
        return {str(fault): int(rows) for fault, rows in await self.rows(FAULTS) if rows}
