"""The catalog of models."""

from __future__ import annotations

from lakehouse.erp.catalog import models, relations


def test_journal_items_have_odoos_columns() -> None:
    line = next(model for model in models() if model.name == "account.move.line")

    names = [column.name for column in line.columns]

    assert len(names) == len(set(names)) == 57
    assert {"balance", "amount_residual", "analytic_distribution", "parent_state", "matching_number"} <= set(names)
    assert {column.name: column.sql_type for column in line.columns}["balance"] == "numeric"


def test_every_relation_joins_two_tables_of_the_catalog() -> None:
    tables = {model.table for model in models()}

    assert all({relation.left, relation.right} <= tables for relation in relations())
    assert len({relation.table for relation in relations()}) == len(relations()) == 20


def test_no_model_repeats_a_field() -> None:
    repeated = [model.name for model in models() if len({f.name for f in model.fields}) < len(model.fields)]

    assert repeated == []
