from __future__ import annotations

import pytest

from lakehouse_executor.statements import names_in, tables_spelled_in
from opscore.domain.errors import InvalidInput


@pytest.mark.parametrize(
    ("sql", "tables"),
    [
        ("select * from silver.a join Silver.B using (id)", {"silver.a", "silver.b"}),
        ("with a as (select * from silver.x) select * from a", {"silver.x"}),
        ("select (select max(id) from gold.m) from lakehouse.gold.n", {"gold.m", "gold.n"}),
        ('from "silver"."order"', {"silver.order"}),
        ("explain analyze select * from silver.a", {"silver.a"}),
        ("describe gold.m", {"gold.m"}),
        ("select * from read_parquet('x'), range(3)", set[str]()),
        ("select 'silver.text' as a -- silver.comment", set[str]()),
        ("select a.b.c from silver.t as a; -- the end", {"silver.t"}),
    ],
)
def test_tables_are_named_in_full_and_in_lower_case(sql: str, tables: set[str]) -> None:
    assert names_in(sql).tables == tables


def test_tables_without_a_layer_are_told_apart_from_a_statements_own_names() -> None:
    names = names_in("with mine as (select 1) select * from mine, theirs")

    assert names.unplaced == {"theirs"}


def test_parameters_are_what_stands_behind_a_dollar() -> None:
    assert names_in("select $as_of, $other from silver.a where b = $as_of").parameters == {"as_of", "other"}


@pytest.mark.parametrize("sql", ["select 1; select 2", "", "select (1"])
def test_text_that_is_not_one_statement_is_refused(sql: str) -> None:
    with pytest.raises(InvalidInput):
        names_in(sql)


def test_spelled_tables_are_found_in_text_that_cannot_be_read() -> None:
    assert tables_spelled_in('selec * from Silver.a, "gold" . "b", other.c') == {"silver.a", "gold.b"}
