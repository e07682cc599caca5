from __future__ import annotations

from datetime import UTC, datetime

import pytest

from lakehouse_executor.query_run import Query, as_of_each, tables_of
from opscore.domain.errors import QueryFailed

PUBLISHED = ("bronze.sale_order", "silver.sale_order", "gold.trial_balance")


def test_a_statement_names_its_tables() -> None:
    assert tables_of("select * from gold.trial_balance, silver.sale_order", PUBLISHED) == (
        "gold.trial_balance",
        "silver.sale_order",
    )


def test_a_misspelt_table_is_answered_with_close_names() -> None:
    with pytest.raises(QueryFailed, match=r"no table silver\.sale_orders: did you mean silver\.sale_order"):
        tables_of("select * from silver.sale_orders", PUBLISHED)


def test_a_table_without_its_layer_is_answered_with_the_layers_that_have_it() -> None:
    with pytest.raises(QueryFailed, match=r"did you mean bronze\.sale_order or silver\.sale_order\?"):
        tables_of("select * from sale_order", PUBLISHED)


def test_names_outside_the_lake_are_left_to_the_engine() -> None:
    assert tables_of("select * from information_schema.tables, duckdb_types", PUBLISHED) == ()


def test_text_that_cannot_be_read_still_mounts_what_it_spells() -> None:
    assert tables_of("select (* from silver.sale_order", PUBLISHED) == ("silver.sale_order",)


def test_without_as_of_the_present_is_read() -> None:
    assert as_of_each(None, ("gold.a", "gold.b")) == {"gold.a": None, "gold.b": None}


def test_a_time_holds_for_all_tables_and_is_utc_unless_it_says() -> None:
    noon = datetime(2026, 1, 1, 12, tzinfo=UTC)

    assert as_of_each("2026-01-01T12:00:00", ("gold.a", "gold.b")) == {"gold.a": noon, "gold.b": noon}
    assert as_of_each("2026-01-01T13:00:00+01:00", ("gold.a",)) == {"gold.a": noon}


def test_versions_can_be_given_table_by_table() -> None:
    assert as_of_each("gold.a=7, gold.b=2026-01-01", ("gold.a", "gold.b", "gold.c")) == {
        "gold.a": 7,
        "gold.b": datetime(2026, 1, 1, tzinfo=UTC),
        "gold.c": None,
    }


def test_a_snapshot_id_needs_a_statement_of_one_table() -> None:
    assert as_of_each("7", ("gold.a",)) == {"gold.a": 7}
    with pytest.raises(QueryFailed, match="belongs to one table; the statement names 2"):
        as_of_each("7", ("gold.a", "gold.b"))


def test_a_query_is_read_from_a_runs_parameters() -> None:
    assert Query.of({"sql": "select 1", "limit": None, "as_of": "", "engine": None}) == Query("select 1")
