"""Rows as CSV that COPY understands."""

from __future__ import annotations

import numpy as np

from lakehouse.erp import batch as b


def test_money_is_exact_and_keeps_its_sign() -> None:
    amounts = np.array([0, 5, -5, 123_456, -(2**40)])

    assert [str(value) for value in b.money(amounts).to_pylist()] == [
        "0.00",
        "0.05",
        "-0.05",
        "1234.56",
        "-10995116277.76",
    ]


def test_null_and_empty_text_stay_apart() -> None:
    made = b.batch("t", 3, id=np.arange(3), note=b.pick(("", None, 'say "hi"\nthen go'), np.arange(3)))

    assert bytes(made.csv()).decode() == '0,""\n1,\n2,"say ""hi""\nthen go"\n'


def test_a_column_given_as_none_is_left_to_be_null() -> None:
    made = b.batch("t", 1, id=np.arange(1), gone=None)

    assert list(made.columns) == ["id"]
