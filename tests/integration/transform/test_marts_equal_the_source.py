"""The five marts, made from a real Odoo database by the product's own specs, against SQL on that database.

Phase by phase and without services: when this fails, the data path is wrong and nothing else.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest

from lakehouse.embedded.throwaway import ThrowawayPostgres
from lakehouse_executor.context import PhaseContext
from lakehouse_executor.phases.ingest import ingest
from lakehouse_executor.phases.transform import transform
from lakehouse_executor.phases.validate import validate
from opscore.domain.phase import Phase
from opscore.domain.pipeline import PipelineSpec, phases
from opscore.specs import bundle
from support.marts import at_the_source, in_the_lake, restore

if TYPE_CHECKING:
    from conftest import LakeBench

AS_OF = "2026-03-01"
HANDLERS: dict[Phase, Callable[[PhaseContext], Awaitable[dict[str, Any]]]] = {
    Phase.INGEST: ingest,
    Phase.TRANSFORM: transform,
    Phase.VALIDATE: validate,
}


@pytest.fixture
async def odoo(postgres: ThrowawayPostgres) -> AsyncIterator[str]:
    """A real Odoo 17 database of this test's own."""
    dump = os.environ.get("LAKEHOUSE_TEST_ODOO_DUMP")
    if not dump:
        pytest.skip("set LAKEHOUSE_TEST_ODOO_DUMP to a gzipped plain SQL dump of an Odoo 17 database")
    dsn = await postgres.create_database("odoo")
    restore(postgres.embedded.binaries.tool("psql"), Path(dump), dsn)
    yield dsn
    await postgres.drop_database(dsn)


@pytest.fixture
def carry(bench: LakeBench, pipelines: Path, odoo: str) -> Callable[[], Awaitable[dict[str, int]]]:
    """Carry the product's three pipelines through their phases and publish each; returns rows by table."""

    async def one(name: str, **params: str) -> dict[str, int]:
        packed = bundle(pipelines / f"{name}.yaml")
        bench.files = packed.files
        context = replace(bench.context(packed.spec, params, {}), secret=lambda _: odoo)
        for phase in phases(PipelineSpec.model_validate(packed.spec)):
            if phase in HANDLERS:
                context.results[phase.value] = await HANDLERS[phase](context)
        made = context.results.get("ingest") or context.results["transform"]
        await bench.publish(made)
        return {table["name"]: table["rows"] for table in made["tables"]}

    async def all_three() -> dict[str, int]:
        bronze = await one("odoo_ingest_bronze")
        silver = await one("bronze_to_silver")
        return {**bronze, **silver, **await one("silver_to_gold", as_of=AS_OF)}

    return all_three


async def counts_at(dsn: str, tables: list[str]) -> dict[str, int]:
    connection = await asyncpg.connect(dsn)
    try:
        return {name: await connection.fetchval(f'select count(*) from "{name}"') for name in tables}
    finally:
        await connection.close()


@pytest.mark.odoo
@pytest.mark.timeout(300)
async def test_every_table_and_mart_equals_the_source_round_after_round(
    bench: LakeBench, odoo: str, carry: Callable[[], Awaitable[dict[str, int]]]
) -> None:
    made = await carry()

    names = [name.removeprefix("bronze.") for name in made if name.startswith("bronze.")]
    assert len(names) > 200
    assert {name: made[f"silver.{name}"] for name in names} == await counts_at(odoo, names)
    expected = await at_the_source(odoo, date.fromisoformat(AS_OF))
    assert {name: in_the_lake(bench.lake, name) for name in expected} == expected

    assert await carry() == {}

    connection = await asyncpg.connect(odoo)
    await connection.execute("update sale_order set amount_total = amount_total + 0.01 where state = 'sale'")
    await connection.execute("delete from stock_quant where id in (select min(id) from stock_quant)")
    await connection.close()
    changed = await carry()

    assert {"silver.sale_order", "silver.stock_quant", "gold.sales_by_customer", "gold.stock_on_hand"} <= set(changed)
    expected = await at_the_source(odoo, date.fromisoformat(AS_OF))
    assert {name: in_the_lake(bench.lake, name) for name in expected} == expected
