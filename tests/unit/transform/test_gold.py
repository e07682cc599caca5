from __future__ import annotations

from typing import Any

import pytest

from lakehouse_executor.gold import Mart, in_waves, mart, order_of
from opscore.domain.errors import TransformFailed
from opscore.domain.transform import SqlTransform


def made(table: str, *inputs: str, sql: str = "select 1", **values: Any) -> Mart:
    return Mart(table=table, file="f.sql", sql=sql, key=("id",), inputs=inputs, parameters=values)


def test_marts_wait_only_for_those_they_read() -> None:
    a, b, c, d = made("gold.a"), made("gold.b"), made("gold.c", "gold.b"), made("gold.d", "gold.c")

    assert in_waves([a, b, c, d]) == [[a, b], [c], [d]]


def test_rows_are_ordered_by_key_then_by_everything_else() -> None:
    assert order_of(made("gold.a"), ("name", "id")) == '"id" asc nulls last, "name" asc nulls last'


def test_a_key_that_the_query_does_not_return_is_refused() -> None:
    with pytest.raises(TransformFailed, match=r"f\.sql: its key names id, which the query does not return"):
        order_of(made("gold.a"), ("name",))


def test_inputs_are_read_from_the_query_unless_the_spec_names_them() -> None:
    sql = "select id, $as_of as day from silver.a join silver.b using (id)"
    found = SqlTransform(kind="sql", table="gold.m", file="m.sql", key=("id",))
    named = found.model_copy(update={"inputs": ("silver.c",)})

    assert mart(found, sql, {"as_of": 1, "unused": 2}).inputs == ("silver.a", "silver.b")
    assert mart(found, sql, {"as_of": 1, "unused": 2}).parameters == {"as_of": 1}
    assert mart(named, sql, {"as_of": 1}).inputs == ("silver.c",)


def test_the_digest_follows_query_and_key() -> None:
    digests = {made("gold.a").digest, made("gold.a", sql="select 2").digest, made("gold.b", day=1).digest}

    assert len(digests) == 2
