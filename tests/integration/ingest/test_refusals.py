"""What a source can do wrong ends in one error that says what, where and what to do; nothing is staged."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from integration.ingest.bench import added
from lakehouse_executor.phases import ingest_plan, ingest_work
from lakehouse_executor.sources.extract import TableDone
from opscore.domain.errors import (
    OpsError,
    SourceNotOdoo,
    SourceRefused,
    SourceRightMissing,
    SourceUnavailable,
    StorageFull,
    TableWithoutKey,
    UnsupportedType,
    UnsupportedValue,
    WarehouseMissing,
)
from opscore.lake.storage import Storage

if TYPE_CHECKING:
    from integration.ingest.bench import Bench


async def refused(bench: Bench, *, because: str = "select 1") -> OpsError:
    await bench.source.execute(because)
    with pytest.raises(OpsError) as caught:
        await bench.stage()
    return caught.value


@pytest.mark.parametrize(
    ("value", "column"),
    [
        ("credit_limit = 'NaN'", "credit_limit"),
        ("write_date = 'infinity'", "write_date"),
        ("birthday = '-infinity'", "birthday"),
        ("birthday = '0044-03-15 BC'", "birthday"),
        ("seen = '12026-01-01'", "seen"),
        ("credit_limit = 1e30", "credit_limit"),  # Arrow's reader makes 1.3e28 of it
        ("credit_limit = -20000000000000000000000000000.5", "credit_limit"),
        ("credit_limit = 1e200", "credit_limit"),
        ("quota = 'NaN'", "quota"),
    ],
)
async def test_a_value_without_a_place_names_table_column_and_row(bench: Bench, value: str, column: str) -> None:
    error = await refused(bench, because=f"update res_partner set {value} where id = 3")

    assert isinstance(error, UnsupportedValue)
    assert f"Column {column} of source table res_partner" in error.message
    assert "row id=3" in error.message


async def test_infinity_in_a_numeric_is_refused(bench: Bench) -> None:
    if bench.source.get_server_version().major < 14:
        pytest.skip("numerics know infinity from Postgres 14 on")
    error = await refused(bench, because="update res_partner set credit_limit = 'infinity' where id = 1")

    assert isinstance(error, UnsupportedValue)


async def test_decimals_beyond_the_frozen_ones_are_refused_later(bench: Bench) -> None:
    await bench.run()

    error = await refused(bench, because="update sale_order set amount_total = 0.12345678901 where id = 4")

    assert isinstance(error, UnsupportedValue)
    assert "0.12345678901" in error.message
    assert "row id=4" in error.message


async def test_a_type_nobody_foresaw_is_named(bench: Bench) -> None:
    error = await refused(bench, because="alter table res_users add column place point")

    assert isinstance(error, UnsupportedType)
    assert "Column place of source table res_users has type point" in error.message


async def test_a_table_without_a_key_is_named(bench: Bench) -> None:
    error = await refused(bench, because="alter table res_users drop constraint res_users_pkey")

    assert isinstance(error, TableWithoutKey)
    assert "res_users" in error.message


async def test_a_unique_index_over_columns_never_null_serves_as_key(bench: Bench) -> None:
    await bench.source.execute(
        "alter table res_users drop constraint res_users_pkey; create unique index on res_users (id)"
    )

    assert (await bench.run())["keys"]["bronze.res_users"] == ["id"]


async def test_a_database_that_is_not_odoo_says_what_is_missing(bench: Bench) -> None:
    error = await refused(bench, because="drop table ir_model_fields")

    assert isinstance(error, SourceNotOdoo)
    assert "table ir_model_fields" in error.message


@pytest.mark.parametrize("table", ["ir_model", "sale_order"])
async def test_a_missing_right_names_role_right_and_object(bench: Bench, table: str) -> None:
    await bench.source.execute(
        "drop role if exists weak; create role weak login password 'weak';"
        "grant select on all tables in schema public to weak; "
        f"revoke select on {table} from weak"
    )
    bench.dsn = (
        bench.dsn.split("?", maxsplit=1)[0].replace("://", "://weak:weak@", 1)
        if "@" not in bench.dsn
        else (f"postgresql://weak:weak@{bench.dsn.split('@', maxsplit=1)[1]}")
    )

    error = await refused(bench)

    assert isinstance(error, SourceRightMissing)
    assert f"Role weak lacks SELECT on table {table}" in error.message


async def test_a_role_that_may_read_everything_and_nothing_else_is_enough(bench: Bench) -> None:
    await bench.source.execute(
        "drop role if exists reader; create role reader login password 'reader';"
        "grant select on all tables in schema public to reader"
    )
    bench.dsn = f"postgresql://reader:reader@{bench.dsn.split('@', maxsplit=1)[1]}"

    assert await bench.differences(await bench.run()) == {}


async def test_a_row_level_policy_that_would_hide_rows_is_refused(bench: Bench) -> None:
    await bench.source.execute(
        "drop role if exists seer; create role seer login password 'seer';"
        "grant select on all tables in schema public to seer;"
        "alter table sale_order enable row level security"
    )
    bench.dsn = f"postgresql://seer:seer@{bench.dsn.split('@', maxsplit=1)[1]}"

    error = await refused(bench)

    assert isinstance(error, SourceRightMissing)
    assert "sale_order" in error.message


@pytest.mark.parametrize(
    "address", ["postgresql://u:hidden@127.0.0.1:1/odoo", "postgresql://u:hidden@host.invalid/odoo"]
)
async def test_a_source_out_of_reach_is_told_without_its_password(bench: Bench, address: str) -> None:
    bench.dsn = address

    error = await refused(bench)

    assert isinstance(error, SourceUnavailable)
    assert "hidden" not in error.message


async def test_an_unknown_database_is_out_of_reach(bench: Bench) -> None:
    bench.dsn = bench.dsn.replace("/odoo", "/nowhere_")

    assert isinstance(await refused(bench), SourceUnavailable)


async def test_columns_that_differ_by_case_alone_are_refused(bench: Bench) -> None:
    error = await refused(bench, because='alter table res_users add "Login" text')

    assert isinstance(error, SourceRefused)
    assert "res_users.Login" in error.message


async def test_a_missing_warehouse_is_told(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "warehouse/.lakehouse-warehouse").unlink()

    assert isinstance(await refused(bench), WarehouseMissing)


async def test_a_full_disk_leaves_no_staged_table(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    create = Storage.create

    def full_for_orders(self: Storage, uri: str) -> object:
        if "/sale_order/" in uri:
            raise StorageFull(where=uri)
        return create(self, uri)

    monkeypatch.setattr(Storage, "create", full_for_orders)

    error = await refused(bench)

    assert isinstance(error, StorageFull)
    assert bench.lake.published() == {}
    assert files_of(tmp_path) == []


async def test_a_full_disk_at_staging_leaves_no_files_of_a_table_taken_in_parts(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(ingest_plan, "SMALL_BYTES", 0)

    stage_parts = ingest_work.stage_parts

    def full_for_orders(*args: Any) -> TableDone:
        if args[3].name == "bronze.sale_order":
            raise StorageFull(where="warehouse")
        return stage_parts(*args)

    monkeypatch.setattr(ingest_work, "stage_parts", full_for_orders)

    error = await refused(bench)

    assert isinstance(error, StorageFull)
    assert [path for path in files_of(tmp_path) if "/sale_order/" in path] == []


def files_of(folder: Path) -> list[str]:
    """Files below the warehouse's tables."""
    return [str(path) for path in (folder / "warehouse/bronze").rglob("*") if path.is_file()]


async def test_a_table_without_columns_has_no_key(bench: Bench) -> None:
    error = await refused(bench, because="create table mail_thread ()")

    assert isinstance(error, TableWithoutKey)
    assert "mail_thread" in error.message


@pytest.mark.parametrize("name", ["_op", "_lsn", "_seq", "_run_id", "_extracted_at", "_SEQ"])
async def test_a_column_named_as_one_of_the_log_is_named(bench: Bench, name: str) -> None:
    error = await refused(bench, because=f'alter table res_users add column "{name}" text')

    assert isinstance(error, UnsupportedType)
    assert f"Column {name} of source table res_users" in error.message
    assert "exclude_columns" in error.hint


async def test_a_table_name_the_lake_cannot_carry_is_refused(bench: Bench) -> None:
    error = await refused(
        bench,
        because="""create table "x-y" (id int primary key); insert into ir_model (model) values ('x-y')""",
    )

    assert isinstance(error, SourceRefused)
    assert "'x-y'" in error.message
    assert "exclude" in error.hint


async def test_helper_columns_do_not_clash_with_the_sources(bench: Bench) -> None:
    await bench.source.execute("alter table res_users add __hash text, add __place text, add __found text")
    await bench.run()
    await bench.source.execute("update res_users set __hash = 'a', __place = 'b', __found = 'c'")

    assert added(await bench.run()) == {"bronze.res_users": 1}
