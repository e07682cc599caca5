"""Later runs add what has changed, all of it and nothing else."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import asyncpg
import pytest

from integration.ingest.bench import IN_SCOPE, SOURCE, added
from opscore.domain.errors import InvalidParameter, SchemaDrift

if TYPE_CHECKING:
    from integration.ingest.bench import Bench


@pytest.fixture(autouse=True)
async def first(bench: Bench) -> None:
    await bench.run()


async def test_an_unchanged_source_adds_nothing(bench: Bench) -> None:
    result = await bench.run()

    assert (result["tables"], result["states"], result["drift"]) == ([], {}, [])
    assert set(result["counts"]) == IN_SCOPE
    assert bench.told[-1]["total"] == 0


async def test_updates_inserts_and_deletes_become_entries(bench: Bench) -> None:
    await bench.source.execute(
        "update res_partner set name = 'New' where id = 1; insert into res_partner (name) values ('More');"
        "delete from res_partner where id = 2; delete from res_partner_category_rel where partner_id = 3"
    )

    result = await bench.run()

    assert added(result) == {"bronze.res_partner": 3, "bronze.res_partner_category_rel": 1}
    assert [(e["_op"], e["id"], e["name"]) for e in bench.log("bronze.res_partner")[3:]] == [
        ("u", 1, "New"),
        ("u", 4, "More"),
        ("d", 2, None),
    ]
    assert await bench.differences(result) == {}


async def test_a_write_that_changes_nothing_adds_nothing(bench: Bench) -> None:
    await bench.source.execute("update res_partner set name = name")

    assert (await bench.run())["tables"] == []


async def test_a_change_without_a_new_write_date_is_found(bench: Bench) -> None:
    await bench.source.execute("update sale_order set amount_total = 5 where id = 3")

    assert added(await bench.run()) == {"bronze.sale_order": 1}


async def test_a_change_inside_a_savepoint_is_found(bench: Bench) -> None:
    await bench.source.execute(
        "begin; savepoint s; update sale_order set partner_id = 9 where id = 3; release s; commit"
    )

    assert added(await bench.run()) == {"bronze.sale_order": 1}


async def test_a_transaction_that_was_open_during_a_run_is_taken_by_the_next(bench: Bench) -> None:
    late = await asyncpg.connect(bench.dsn)
    await late.execute("begin; update sale_order set partner_id = 9 where id = 3")  # Odoo did not stamp it
    await bench.source.execute("update sale_order set partner_id = 8 where id = 4")
    assert added(await bench.run()) == {"bronze.sale_order": 1}

    await late.execute("commit")
    await late.close()

    assert added(await bench.run()) == {"bronze.sale_order": 1}


async def test_a_transaction_that_had_not_written_yet_during_a_run_is_taken_by_the_next(bench: Bench) -> None:
    late = await asyncpg.connect(bench.dsn)
    await late.execute("begin; select 1")
    await bench.source.execute("update sale_order set partner_id = 8 where id = 4")
    await bench.run()

    await late.execute("update sale_order set partner_id = 9, write_date = now() where id = 3; commit")
    await late.close()

    assert added(await bench.run()) == {"bronze.sale_order": 1}


async def test_a_key_that_changes_is_one_row_gone_and_one_come(bench: Bench) -> None:
    await bench.source.execute("update res_category set id = 77 where id = 1")

    result = await bench.run()

    assert [(e["_op"], e["id"]) for e in bench.log("bronze.res_category")[2:]] == [("u", 77), ("d", 1)]
    assert await bench.differences(result) == {}


async def test_a_row_that_comes_back_is_in_force_again(bench: Bench) -> None:
    await bench.source.execute("delete from res_category where id = 1")
    await bench.run()
    await bench.source.execute("insert into res_category values (1, 'a')")

    result = await bench.run()

    assert added(result) == {"bronze.res_category": 1}
    assert await bench.differences(result) == {}


async def test_one_row_gone_and_one_come_do_not_hide_each_other(bench: Bench) -> None:
    await bench.source.execute("delete from res_partner_category_rel where partner_id = 3")
    await bench.source.execute("insert into res_partner_category_rel values (2, 2)")

    result = await bench.run()

    assert added(result) == {"bronze.res_partner_category_rel": 2}
    assert await bench.differences(result) == {}


async def test_an_unpublished_run_is_done_again_by_the_next(bench: Bench) -> None:
    await bench.source.execute("update sale_order set partner_id = 9 where id = 3")
    await bench.stage()

    assert added(await bench.run()) == {"bronze.sale_order": 1}


async def test_a_table_that_appears_later_is_loaded(bench: Bench) -> None:
    await bench.source.execute("create table mail_thread (id int primary key); insert into mail_thread values (1)")

    assert added(await bench.run()) == {"bronze.mail_thread": 1}


async def test_a_table_that_vanishes_is_told_and_kept(bench: Bench) -> None:
    await bench.source.execute("drop table res_users")

    result = await bench.run()

    assert [(drift["table"], drift["change"]) for drift in result["drift"]] == [("bronze.res_users", "gone")]
    assert bench.lake.version("bronze.res_users").rows == 1


async def test_a_full_reload_repeats_every_row_and_drops_what_is_gone(bench: Bench) -> None:
    await bench.source.execute("delete from res_category where id = 2")

    result = await bench.run(mode="snapshot")

    assert added(result)["bronze.res_category"] == 2
    assert [(e["_op"], e["id"]) for e in bench.log("bronze.res_category")[2:]] == [("r", 1), ("d", 2)]
    assert await bench.differences(result) == {}
    assert (await bench.run())["tables"] == []


async def test_lost_states_cost_a_comparison_and_add_nothing(bench: Bench) -> None:
    bench.control.states.clear()

    result = await bench.run()

    assert result["tables"] == []
    assert set(result["states"]) == IN_SCOPE


async def test_another_database_with_the_same_rows_adds_its_differences_only(bench: Bench, postgres: object) -> None:
    restored = await postgres.create_database("restored")  # type: ignore[attr-defined]
    connection = await asyncpg.connect(restored)
    await connection.execute(SOURCE)
    await connection.execute("update res_category set name = 'other' where id = 2; delete from sale_order where id = 1")
    await connection.close()
    bench.dsn = restored

    result = await bench.run()

    assert added(result) == {"bronze.res_category": 1, "bronze.sale_order": 1}
    assert await bench.differences(result) == {}


async def test_a_new_column_with_a_default_reaches_rows_nobody_touched(bench: Bench) -> None:
    await bench.source.execute("alter table res_category add column x_rank integer default 7")

    result = await bench.run()

    assert [(d["column"], d["change"]) for d in result["drift"]] == [("x_rank", "added")]
    assert [row["x_rank"] for row in bench.current("bronze.res_category").to_pylist()] == [7, 7]
    assert (await bench.run())["tables"] == []


async def test_a_new_column_without_values_appears_at_once(bench: Bench) -> None:
    await bench.source.execute("alter table res_category add column x_rank integer")

    result = await bench.run()

    assert added(result) == {"bronze.res_category": 0}
    assert "x_rank" in bench.lake.version("bronze.res_category").column_names
    assert (await bench.run())["drift"] == []


async def test_a_dropped_column_stays_and_is_null_from_then_on(bench: Bench) -> None:
    await bench.source.execute("alter table sale_order drop column amount_total")
    await bench.run()
    await bench.source.execute("update sale_order set partner_id = 9 where id = 3")

    assert added(await bench.run()) == {"bronze.sale_order": 1}

    entries = [entry["amount_total"] for entry in bench.log("bronze.sale_order") if entry["id"] == 3]
    assert entries == [Decimal("3.3000000000"), None]


async def test_a_renamed_column_is_a_new_one_beside_the_old(bench: Bench) -> None:
    await bench.source.execute("alter table res_category rename column name to title")

    result = await bench.run()

    assert [(d["column"], d["change"], d["after"]) for d in result["drift"]] == [("name", "renamed", "title")]
    current = bench.current("bronze.res_category").to_pylist()
    assert [(row["name"], row["title"]) for row in current] == [(None, "a"), (None, "b")]


async def test_a_widened_integer_is_taken(bench: Bench) -> None:
    await bench.source.execute("alter table sale_order alter partner_id type bigint")
    await bench.source.execute("update sale_order set partner_id = 5000000000 where id = 1")

    result = await bench.run()

    assert added(result) == {"bronze.sale_order": 1}
    assert bench.log("bronze.sale_order")[-1]["partner_id"] == 5_000_000_000


@pytest.mark.parametrize(
    "change", ["partner_id type text", "amount_total type double precision", "write_date type date"]
)
async def test_another_type_change_is_refused_by_name(bench: Bench, change: str) -> None:
    await bench.source.execute(f"alter table sale_order alter {change}")

    with pytest.raises(SchemaDrift, match=f"{change.split(maxsplit=1)[0]}.*sale_order"):
        await bench.run()


async def test_text_that_becomes_translated_is_refused(bench: Bench) -> None:
    await bench.source.execute("alter table res_category alter name type jsonb using jsonb_build_object('en_US', name)")

    with pytest.raises(SchemaDrift, match="character varying to jsonb"):
        await bench.run()


async def test_a_mode_of_a_later_release_is_refused_with_the_known_ones(bench: Bench) -> None:
    with pytest.raises(InvalidParameter, match="incremental or snapshot"):
        await bench.run(mode="cdc")


async def test_an_older_memory_does_not_turn_the_sequence_back(bench: Bench) -> None:
    older = dict(bench.control.states)
    await bench.source.execute("update sale_order set partner_id = 8 where id = 3")
    await bench.run()
    bench.control.states = older
    await bench.source.execute("update sale_order set partner_id = 9 where id = 3")

    await bench.run()

    last = bench.log("bronze.sale_order")[-2:]
    assert [(entry["_seq"], entry["partner_id"]) for entry in last] == [(50, 8), (51, 9)]
