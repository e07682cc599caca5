"""Makes one whole database: schema, master data, chunks of business, keys. Called by the CLI, the demo and the benches.

Chunks are computed in a thread while the one before streams into Postgres; at most two are in memory. All of it is one
transaction, so a stopped generation leaves the database as empty as it was.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from time import perf_counter

import numpy as np

from lakehouse.erp import schema
from lakehouse.erp.batch import Batch
from lakehouse.erp.books import books
from lakehouse.erp.cash import cash
from lakehouse.erp.counters import Counters
from lakehouse.erp.deals import deals
from lakehouse.erp.documents import documents
from lakehouse.erp.entries import entries
from lakehouse.erp.goods import goods
from lakehouse.erp.invoicing import invoices
from lakehouse.erp.masterdata import masterdata
from lakehouse.erp.metadata import metadata
from lakehouse.erp.orders import order_rows, orders
from lakehouse.erp.plan import TODAY, Plan, plan
from lakehouse.erp.ports import Loader
from lakehouse.erp.settlement import settlement
from lakehouse.erp.stock import OnHand, opening, quants, transfers
from lakehouse.erp.world import World, world
from opscore.db.load import loading
from opscore.domain.errors import Conflict

Progress = Callable[[str, int, int], None]
Encoded = tuple[Batch, memoryview]


@dataclass(frozen=True)
class ErpSummary:
    """What one generation made: rows by table, and how long the load and the whole took, in seconds."""

    tables: dict[str, int]
    scale: float
    seed: int
    today: date
    load_seconds: float
    seconds: float

    @property
    def rows(self) -> int:
        """Rows over all tables."""
        return sum(self.tables.values())

    @property
    def lines(self) -> int:
        """Rows of account_move_line."""
        return self.tables["account_move_line"]


async def generate(
    dsn: str,
    *,
    scale: float = 1.0,
    seed: int = 17,
    today: date = TODAY,
    progress: Progress | None = None,
) -> ErpSummary:
    """Fill an empty database; the same arguments make the same rows.

    scale: 1 makes about 2,200 moves with 6,500 lines, 1,000 a thousand times that. today: the last day of business.
    progress: told (stage, done, total); stages are `data` (chunks) and `keys` (scripts).
    Raises SourceUnavailable, Conflict when the database holds tables, InvalidInput for an impossible scale.
    """
    size, tell = plan(scale, seed, today), progress or _silent
    started = perf_counter()
    async with loading(dsn) as load:
        await _refuse_unless_empty(load)
        await load.execute(schema.tables())
        rows = await _filled(load, size, tell)
        loaded = perf_counter()
        await _finished(load, tell)
    return ErpSummary(dict(sorted(rows.items())), scale, seed, today, loaded - started, perf_counter() - started)


def pieces(size: Plan) -> Iterator[list[Batch]]:
    """Every row of the database in order: master data, then one list of batches for each chunk, then what is left."""
    made = world(size)
    counters, on_hand = Counters(), OnHand(size.products)
    yield [*masterdata(made), *books(made), *goods(made), *metadata(made), *opening(made, on_hand, counters)]
    for number in range(size.chunks):
        yield list(_chunk(made, number, counters, on_hand))
    yield [quants(made, on_hand)]


def _chunk(made: World, number: int, counters: Counters, on_hand: OnHand) -> Iterator[Batch]:
    rng = np.random.default_rng([made.plan.seed, 3, number])
    drawn = deals(made, number)
    ordered = orders(made, drawn, rng, counters)
    docs = documents(made, drawn, counters)
    settled = settlement(made, docs, rng, counters)
    yield from order_rows(made, ordered, docs)
    yield from invoices(made, docs, settled, ordered, counters)
    yield from cash(made, docs, settled, counters)
    yield from entries(made, number, drawn.day[drawn.origin < 0], counters)
    yield from transfers(made, ordered, on_hand, counters)


async def _refuse_unless_empty(load: Loader) -> None:
    found = await load.fetch("select count(*) from pg_catalog.pg_tables where schemaname = 'public'")
    if found[0][0]:
        raise Conflict(
            f"The database already holds {found[0][0]} tables; an ERP is generated only into an empty one.",
            hint="Create a new database and generate there.",
        )


async def _filled(load: Loader, size: Plan, tell: Progress) -> Counter[str]:
    rows: Counter[str] = Counter()
    source, total, done = pieces(size), size.chunks + 2, 0
    with ThreadPoolExecutor(max_workers=1) as thread:
        ahead = thread.submit(_next, source)
        while encoded := await asyncio.wrap_future(ahead):
            ahead = thread.submit(_next, source)
            for made, data in encoded:
                rows[made.table] += await load.copy_csv(made.table, list(made.columns), [data])
            done += 1
            tell("data", done, total)
    return rows


def _next(source: Iterator[list[Batch]]) -> list[Encoded]:
    return [(made, made.csv()) for made in next(source, []) if made.rows]


async def _finished(load: Loader, tell: Progress) -> None:
    scripts = ["set local maintenance_work_mem = '256MB';", *schema.finish()]
    for done, script in enumerate(scripts, 1):
        if script:
            await load.execute(script)
        tell("keys", done, len(scripts))


def _silent(_stage: str, _done: int, _total: int) -> None:
    """Nobody watches."""
