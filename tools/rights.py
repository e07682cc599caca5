"""Writes supabase/rights.txt: every right that a role has after all migrations. Run it when a grant was meant.

A test holds the database to the committed list, so that no right is given in passing.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import asyncpg

from lakehouse.embedded.throwaway import throwaway_postgres
from opscore.db.migrate import migrate

ROOT = Path(__file__).parents[1]
LIST = ROOT / "supabase" / "rights.txt"
QUERY = ROOT / "supabase" / "rights.sql"


async def rights(connection: asyncpg.Connection) -> str:
    """The list as the database has it now."""
    rows = await connection.fetch(QUERY.read_text(encoding="utf-8"))
    return "".join(f"{row['line']}\n" for row in rows)


async def main() -> None:
    """Migrate an empty database and write down what it grants."""
    async with throwaway_postgres() as server:
        dsn = await server.create_database("rights")
        await migrate(dsn)
        connection = await asyncpg.connect(dsn)
        LIST.write_text(await rights(connection), encoding="utf-8")
        await connection.close()


if __name__ == "__main__":
    asyncio.run(main())
