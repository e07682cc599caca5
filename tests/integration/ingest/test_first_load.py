"""The first run takes everything in scope, exactly as the source holds it."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime
from decimal import Decimal

import pyarrow as pa

from integration.ingest.bench import IN_SCOPE, Bench, added


async def test_every_table_in_scope_arrives_with_the_sources_row_count(bench: Bench) -> None:
    result = await bench.run()

    assert set(added(result)) == IN_SCOPE
    assert await bench.differences(result) == {}
    assert result["counts"]["bronze.sale_order"] == {"source_rows": 50, "rows_added": 50}
    assert result["keys"]["bronze.res_partner_category_rel"] == ["partner_id", "category_id"]


async def test_values_arrive_exactly_and_null_is_not_the_empty_string(bench: Bench) -> None:
    await bench.run()

    first, second, third = bench.log("bronze.res_partner")
    assert first["comment"] == 'two\nlines, "quoted"'
    assert first["credit_limit"] == Decimal("1234567890123456.7890000000")
    assert (first["quota"], first["big"], first["active"]) == (Decimal("12.50"), 9007199254740993, True)
    assert (first["birthday"], third["birthday"]) == (date(2020, 2, 29), date(1, 1, 1))
    assert (first["photo"], second["photo"], third["photo"]) == (b"\x00\xff\x10", b"", None)
    assert (first["tags"], third["tags"]) == ('{a,"b c"}', "{}")
    assert first["write_date"] == datetime(2026, 1, 1, 10, 11, 12, 131415)  # noqa: DTZ001 - naive as Odoo stores it
    assert first["seen"] == datetime(2026, 1, 1, 10, tzinfo=UTC)
    assert (second["name"], second["comment"], third["comment"], third["name"]) == ("", None, "", "Gemini")
    assert math.isnan(second["rate"])


async def test_types_are_those_of_the_lake(bench: Bench) -> None:
    await bench.run()

    types = {column.name: column.type for column in bench.lake.version("bronze.res_partner").columns}
    assert types["credit_limit"] == "decimal(38, 10)"
    assert types["quota"] == "decimal(16, 2)"
    assert (types["id"], types["big"], types["rate"], types["active"]) == ("int", "long", "double", "boolean")
    assert (types["lang"], types["photo"], types["birthday"]) == ("string", "binary", "date")
    assert (types["write_date"], types["seen"]) == ("timestamp", "timestamptz")
    assert (types["_op"], types["_lsn"], types["_seq"]) == ("string", "long", "long")


async def test_secrets_never_leave_the_source(bench: Bench) -> None:
    await bench.run()

    assert {"password", "totp_secret"}.isdisjoint(bench.lake.version("bronze.res_users").column_names)
    assert "signup_token" not in bench.lake.version("bronze.res_partner").column_names


async def test_entries_say_their_run_their_place_and_their_moment(bench: Bench) -> None:
    result = await bench.run()

    entries = bench.log("bronze.res_partner_category_rel")
    assert [(entry["partner_id"], entry["category_id"]) for entry in entries] == [(1, 1), (1, 2), (3, 1)]
    assert [entry["_seq"] for entry in entries] == [0, 1, 2]
    assert {entry["_op"] for entry in entries} == {"r"}
    assert {str(entry["_lsn"]) for entry in entries} == {result["source"]["lsn"]}
    assert {entry["_extracted_at"].isoformat() for entry in entries} == {result["source"]["taken_at"]}


async def test_a_table_carries_its_key_its_model_and_what_odoo_says(bench: Bench) -> None:
    await bench.run()

    properties = bench.lake.version("bronze.res_partner").properties
    assert (properties["lakehouse.key"], properties["lakehouse.model"]) == ('["id"]', "res.partner")
    assert '"lang":{"pg_type":"jsonb","ttype":"char","translate":true' in properties["lakehouse.source.columns"]


async def test_numerics_with_more_than_ten_decimals_get_the_room_they_need(bench: Bench) -> None:
    await bench.source.execute("update res_partner set credit_limit = 1.1234567890123456789 where id = 1")
    await bench.source.execute("update res_partner set credit_limit = 1.5000000000000000000000000 where id = 2")

    await bench.run()

    column = bench.lake.dataset(bench.lake.version("bronze.res_partner")).schema.field("credit_limit")
    assert column.type == pa.decimal128(38, 19)
    assert bench.log("bronze.res_partner")[0]["credit_limit"] == Decimal("1.1234567890123456789")


async def test_a_group_takes_its_own_tables_only(bench: Bench) -> None:
    result = await bench.run(group="ops")

    assert set(added(result)) == {"bronze.sale_order"}


async def test_the_spec_adds_and_takes_away(bench: Bench) -> None:
    bench.spec |= {"include": ["ir_logging", "sale_order_wizard"], "exclude": ["res_*", "ir_*"]}
    bench.spec |= {"exclude_columns": ["sale_order.amount_*"], "groups": {"finance": ["sale.*"]}}

    result = await bench.run(group="finance")

    assert set(added(result)) == {"bronze.sale_order", "bronze.sale_order_wizard"}
    assert "amount_total" not in bench.lake.version("bronze.sale_order").column_names


async def test_names_are_lower_case_in_the_lake(bench: Bench) -> None:
    await bench.source.execute(
        'alter table res_category add "x_Studio" text; update res_category set "x_Studio" = name'
    )

    await bench.run()

    assert [row["x_studio"] for row in bench.log("bronze.res_category")] == ["a", "b"]


async def test_rows_of_an_inheriting_table_are_not_taken_twice(bench: Bench) -> None:
    await bench.source.execute("create table sale_order_special () inherits (sale_order)")
    await bench.source.execute("insert into sale_order_special (id, partner_id) values (999, 1)")

    result = await bench.run()

    assert result["counts"]["bronze.sale_order"]["rows_added"] == 50


async def test_a_partitioned_table_is_taken_with_all_its_partitions(bench: Bench) -> None:
    await bench.source.execute(
        "create table mail_thread (id int primary key, body text) partition by range (id);"
        "create table mail_thread_a partition of mail_thread for values from (0) to (10);"
        "create table mail_thread_b partition of mail_thread for values from (10) to (20);"
        "insert into mail_thread values (1, 'a'), (11, 'b')"
    )
    await bench.run()
    await bench.source.execute("update mail_thread set body = 'c' where id = 11")

    result = await bench.run()

    assert added(result) == {"bronze.mail_thread": 1}
    assert [row["id"] for row in bench.log("bronze.mail_thread")] == [1, 11, 11]


async def test_progress_counts_tables_and_rows(bench: Bench) -> None:
    await bench.run()

    assert bench.told[0]["done"] == 0
    assert {key: bench.told[-1][key] for key in ("done", "total", "unit", "rows")} == {
        "done": 5,
        "total": 5,
        "unit": "tables",
        "rows": 59,
    }
