from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from opscore.domain.errors import TransformFailed

if TYPE_CHECKING:
    from conftest import LakeBench

PARTNER = pa.schema([("id", pa.int32()), ("name", pa.string())])


async def test_a_first_load_becomes_one_row_for_each_entry_ordered_by_key(bench: LakeBench) -> None:
    await bench.log("res_partner", PARTNER, [("r", 0, 2, "b"), ("r", 1, 1, "a")])

    made = await bench.silver()

    assert bench.staged_rows(made, "silver.res_partner") == [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}]
    assert made["counts"]["silver.res_partner"] == {"rows_added": 2, "source_rows": 2}
    assert made["keys"] == {"silver.res_partner": ["id"]}


async def test_the_latest_entry_of_a_key_wins_and_a_delete_takes_the_row_away(bench: LakeBench) -> None:
    await bench.log("res_partner", PARTNER, [("r", 0, 1, "a"), ("r", 1, 2, "b"), ("r", 2, 3, "c")])
    await bench.log("res_partner", PARTNER, [("u", 3, 1, "a2"), ("d", 4, 2, None), ("u", 5, 4, "d")], run="second")

    made = await bench.silver()

    assert bench.staged_rows(made, "silver.res_partner") == [
        {"id": 1, "name": "a2"},
        {"id": 3, "name": "c"},
        {"id": 4, "name": "d"},
    ]
    assert made["counts"]["silver.res_partner"]["source_rows"] == 3


async def test_a_key_that_was_deleted_and_came_back_is_there(bench: LakeBench) -> None:
    await bench.log("res_partner", PARTNER, [("r", 0, 1, "a")])
    await bench.log("res_partner", PARTNER, [("d", 1, 1, None)], run="second")
    await bench.log("res_partner", PARTNER, [("u", 2, 1, "again")], run="third")

    made = await bench.silver()

    assert bench.staged_rows(made, "silver.res_partner") == [{"id": 1, "name": "again"}]


async def test_a_key_of_two_columns_tells_rows_apart(bench: LakeBench) -> None:
    schema = pa.schema([("tax_id", pa.int32()), ("line_id", pa.int32())])
    await bench.log("tax_rel", schema, [("r", 0, 2, 1), ("r", 1, 1, 2), ("r", 2, 1, 1)], key="tax_id,line_id")
    await bench.log("tax_rel", schema, [("d", 3, 1, 1)], key="tax_id,line_id", run="second")

    made = await bench.silver()

    assert bench.staged_rows(made, "silver.tax_rel") == [{"tax_id": 1, "line_id": 2}, {"tax_id": 2, "line_id": 1}]


async def test_an_empty_log_becomes_an_empty_table_with_its_columns(bench: LakeBench) -> None:
    await bench.log("res_partner", PARTNER, [])

    made = await bench.silver()

    (staged,) = made["tables"]
    version = bench.lake.open("silver.res_partner", staged["metadata_location"])
    assert (version.rows, version.column_names) == (0, ("id", "name"))


async def test_values_are_typed_as_odoo_means_them(bench: LakeBench) -> None:
    schema = pa.schema([("id", pa.int32()), ("active", pa.bool_()), ("write_date", pa.timestamp("us"))])
    facts: dict[str, dict[str, Any]] = {"active": {"pg_type": "boolean", "ttype": "boolean"}}
    at = datetime(2026, 1, 2, 3, 4, 5, 678901)  # noqa: DTZ001 - naive, as Odoo keeps it
    await bench.log("res_users", schema, [("r", 0, 1, None, at), ("r", 1, 2, True, None)], facts=facts)

    made = await bench.silver()

    assert bench.staged_rows(made, "silver.res_users") == [
        {"id": 1, "active": False, "write_date": at.replace(tzinfo=UTC)},
        {"id": 2, "active": True, "write_date": None},
    ]


async def test_a_boolean_that_odoo_does_not_know_keeps_its_nulls(bench: LakeBench) -> None:
    schema = pa.schema([("id", pa.int32()), ("flag", pa.bool_())])
    await bench.log("x_table", schema, [("r", 0, 1, None)], facts={"flag": {"pg_type": "boolean", "ttype": None}})

    made = await bench.silver()

    assert bench.staged_rows(made, "silver.x_table") == [{"id": 1, "flag": None}]


@pytest.mark.parametrize(
    ("stored", "text"),
    [
        ('{"en_US": "Cash", "fr_FR": "Caisse"}', "Caisse"),
        ('{"en_US": "Cash", "de_DE": "Kasse"}', "Cash"),
        ('{"de_DE": "Kasse", "nl_NL": "Kas"}', "Kasse"),
        ('{"de_DE": null, "nl_NL": "Kas"}', "Kas"),
        ('{"fr_FR": null, "en_US": "Cash"}', "Cash"),
        ('{"fr_FR": ""}', ""),
        ('{"fr_FR": "l\'\\u00e9t\\u00e9\\n\\"2\\""}', 'l\'été\n"2"'),
        ('"bare"', "bare"),
        ("{}", None),
        ("null", None),
        (None, None),
    ],
)
async def test_translated_text_is_unpacked_to_the_language_else_english_else_the_first(
    bench: LakeBench, stored: str | None, text: str | None
) -> None:
    facts = {"name": {"pg_type": "jsonb", "ttype": "char", "translate": True}}
    await bench.log("account_account", PARTNER, [("r", 0, 1, stored)], facts=facts)

    made = await bench.silver(language="fr_FR")

    assert bench.staged_rows(made, "silver.account_account") == [{"id": 1, "name": text}]


async def test_jsonb_that_is_no_translation_stays_as_it_is(bench: LakeBench) -> None:
    facts = {"name": {"pg_type": "jsonb", "ttype": "json", "translate": False}}
    await bench.log("account_move_line", PARTNER, [("r", 0, 1, '{"7": 100.0}')], facts=facts)

    made = await bench.silver()

    assert bench.staged_rows(made, "silver.account_move_line") == [{"id": 1, "name": '{"7": 100.0}'}]


async def test_a_log_that_has_not_moved_is_left_alone(bench: LakeBench) -> None:
    await bench.log("res_partner", PARTNER, [("r", 0, 1, "a")])
    await bench.log("res_users", PARTNER, [("r", 0, 1, "u")])
    await bench.publish(await bench.silver())
    await bench.log("res_partner", PARTNER, [("u", 1, 1, "b")], run="second")

    again = await bench.silver()

    assert [table["name"] for table in again["tables"]] == ["silver.res_partner"]
    assert again["unchanged"] == 1
    assert list(again["states"]) == ["silver.res_partner"]


async def test_another_language_makes_every_table_anew(bench: LakeBench) -> None:
    await bench.log("res_partner", PARTNER, [("r", 0, 1, "a")])
    await bench.publish(await bench.silver())

    again = await bench.silver(language="de_DE")

    assert len(again["tables"]) == 1


async def test_a_silver_table_that_is_gone_is_made_anew(bench: LakeBench) -> None:
    await bench.log("res_partner", PARTNER, [("r", 0, 1, "a")])
    made = await bench.silver()
    bench.memory.states.update(made["states"])  # remembered, yet never published

    again = await bench.silver()

    assert len(again["tables"]) == 1


async def test_the_same_log_gives_the_same_bytes(bench: LakeBench) -> None:
    entries = [("r", number, (number * 7919) % 20_011, f"partner {number}") for number in range(20_011)]
    await bench.log("res_partner", PARTNER, entries)
    await bench.log("res_partner", PARTNER, [("u", 20_011 + key, key, "new") for key in range(100)], run="second")

    first, second = await bench.silver(), await bench.silver()

    hashes = [[file["sha256"] for table in made["tables"] for file in table["written"]] for made in (first, second)]
    assert hashes[0] == hashes[1]
    assert hashes[0]


async def test_a_new_column_of_the_log_appears_and_a_lost_one_stays_null(bench: LakeBench) -> None:
    await bench.log("res_partner", PARTNER, [("r", 0, 1, "a")])
    await bench.publish(await bench.silver())
    wider = pa.schema([("id", pa.int32()), ("email", pa.string())])
    await bench.log("res_partner", wider, [("u", 1, 1, "a@example.com")], run="second")

    made = await bench.silver()

    assert bench.staged_rows(made, "silver.res_partner") == [{"id": 1, "name": None, "email": "a@example.com"}]


async def test_a_log_that_does_not_say_its_key_is_refused_by_name(bench: LakeBench) -> None:
    await bench.log("res_partner", PARTNER, [("r", 0, 1, "a")], key="")

    with pytest.raises(TransformFailed, match=r"bronze\.res_partner: it does not say which columns are its key"):
        await bench.silver()


async def test_a_fault_throws_away_what_was_staged_before_it(bench: LakeBench, monkeypatch: pytest.MonkeyPatch) -> None:
    discarded: list[str] = []
    monkeypatch.setattr("lakehouse_executor.silver_plan.TABLES_PER_TRIP", 1)
    monkeypatch.setattr(bench.lake, "discard", lambda staged: discarded.extend(table.name for table in staged))
    bench.workers.total_tokens = 1
    await bench.log("a_good", PARTNER, [("r", 0, 1, "a")])
    await bench.log("b_bad", PARTNER, [("r", 0, 1, "a")], key="")

    with pytest.raises(TransformFailed):
        await bench.silver()

    assert discarded == ["silver.a_good"]


async def test_progress_counts_tables(bench: LakeBench) -> None:
    await bench.log("res_partner", PARTNER, [("r", 0, 1, "a")])
    await bench.log("res_users", PARTNER, [("r", 0, 1, "a")])

    await bench.silver()

    assert bench.progress[-1] == {"done": 2, "total": 2, "unit": "tables"}
