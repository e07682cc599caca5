"""Odoo in, five marts out, and the next rounds: only what changed, to the last digit."""

from __future__ import annotations

from datetime import date
from typing import Any

import asyncpg
import pytest

from lakehouse import erp
from opscore.lake.catalog import LakeCatalog
from opscore.lake.options import LakeOptions
from support.house import House
from support.marts import SQL, at_the_source, in_the_lake

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(600)]

AS_OF = date(2026, 6, 30)


def catalog(house: House) -> LakeCatalog:
    return LakeCatalog(LakeOptions(dsn=house.control_dsn, warehouse=f"file://{house.warehouse}"))


async def assert_marts_equal_the_source(house: House) -> None:
    lake, truth = catalog(house), await at_the_source(house.source_dsn, AS_OF)
    for name in SQL:
        assert in_the_lake(lake, name) == truth[name], name
    assert all(truth.values()), "a mart without rows proves nothing"


async def source_tables_in_scope(dsn: str) -> set[str]:
    """Tables of stored, non-transient models and the many2many tables between them, by the metadata alone."""
    connection = await asyncpg.connect(dsn)
    try:
        rows = await connection.fetch(
            """
            with ordinary as (
              select relname::text as name from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'p')
            ),
            kept as (
              select m.model, replace(m.model, '.', '_') as name from ir_model m
               where not m.transient and m.model <> 'ir.logging' and m.model not like 'bus.%'
                 and not exists (select from pg_class v where v.relname = replace(m.model, '.', '_') and v.relkind in ('v', 'm'))
            )
            select name from kept join ordinary using (name)
            union
            select f.relation_table from ir_model_fields f
              join kept a on a.model = f.model
              join kept b on b.model = f.relation
              join ordinary on ordinary.name = f.relation_table
             where f.ttype = 'many2many' and f.store
            """
        )
        return {row["name"] for row in rows}
    finally:
        await connection.close()


async def source_counts(dsn: str, tables: set[str]) -> dict[str, int]:
    connection = await asyncpg.connect(dsn)
    try:
        return {table: await connection.fetchval(f'select count(*) from "{table}"') for table in sorted(tables)}
    finally:
        await connection.close()


def lake_counts(house: House, layer: str) -> dict[str, int]:
    lake = catalog(house)
    return {name.split(".", 1)[1]: lake.version(name).rows for name in lake.published(layer)}


@pytest.mark.odoo
async def test_the_real_odoo_arrives_whole_and_its_marts_agree_to_the_last_digit(odoo_house: House) -> None:
    await odoo_house.apply()
    odoo_house.start_all()

    runs = await odoo_house.through(as_of="2026-06-30", within=180)

    counts = await source_counts(odoo_house.source_dsn, await source_tables_in_scope(odoo_house.source_dsn))
    assert lake_counts(odoo_house, "bronze") == counts
    assert lake_counts(odoo_house, "silver") == counts
    await assert_marts_equal_the_source(odoo_house)
    assert [run["state"] for run in runs] == ["succeeded"] * 3


async def test_a_second_round_brings_the_new_truth_and_a_third_commits_nothing(house: House) -> None:
    await house.apply()
    house.start_all()
    await house.through()
    await assert_marts_equal_the_source(house)
    await erp.mutate(house.source_dsn, seed=5)

    second = await house.through()

    await assert_marts_equal_the_source(house)
    published = catalog(house).published()
    third = await house.through()
    assert all(run["tables"] for run in second)
    assert [run["tables"] for run in third] == [[], [], []]
    assert catalog(house).published() == published


async def test_an_update_an_insert_and_a_delete_outside_the_orm_are_found(house: House) -> None:
    await house.apply()
    house.start_all()
    await house.through("odoo_ingest_bronze", "bronze_to_silver")
    before = {row[0]: row for row in silver_partners(house)}
    gone, changed = max(before), min(before)
    connection = await asyncpg.connect(house.source_dsn)
    await connection.execute("update res_partner set name = 'renamed without a write_date' where id = $1", changed)
    await connection.execute("insert into res_partner (id, name, active) values (990001, 'new', true)")
    await connection.execute("set session_replication_role = replica; delete from res_partner where id = " + str(gone))
    await connection.close()

    await house.through("odoo_ingest_bronze", "bronze_to_silver")

    after = {row[0]: row for row in silver_partners(house)}
    assert after[changed][1] == "renamed without a write_date"
    assert 990001 in after
    assert gone not in after
    assert len(after) == len(before)


def silver_partners(house: House) -> list[tuple[Any, ...]]:
    lake = catalog(house)
    names = lake.version("silver.res_partner").column_names
    rows = in_the_lake(lake, "silver.res_partner")
    return [(row[names.index("id")], row[names.index("name")]) for row in rows]


async def test_publishing_new_data_runs_the_pipelines_that_follow(house: House) -> None:
    await house.apply()
    house.start_all()

    first = await house.enqueue("odoo_ingest_bronze", chain=True)
    await house.ended(first)
    chain = await house.until(
        lambda: house.db.fetch("select pipeline, state::text from ops.runs order by created_at"),
        lambda rows: len(rows) == 3 and all(row["state"] == "succeeded" for row in rows),
        within=120,
        waiting_for="the chain of three",
    )

    assert [row["pipeline"] for row in chain] == ["odoo_ingest_bronze", "bronze_to_silver", "silver_to_gold"]
