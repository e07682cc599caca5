"""Median, deviation and exact sums."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opscore.domain.signal import exact_score
from opscore.domain.statistic import exact, median, on_scale, rounded

amounts = st.decimals(min_value=-(10**9), max_value=10**9, places=4)


@pytest.mark.parametrize(("values", "middle"), [([3], 3), ([1, 9, 2], 2), ([4, 1, 3, 2], Fraction(5, 2))])
def test_the_median_is_the_middle_or_the_mean_of_the_middle_two(values: list[int], middle: Fraction) -> None:
    assert median([Fraction(each) for each in values]) == middle


@pytest.mark.parametrize(
    ("value", "text"),
    [("0.0000005", "0.000001"), ("-0.0000005", "-0.000001"), ("1.0000004", "1.000000"), ("0", "0.000000")],
)
def test_rounding_takes_halves_away_from_nought(value: str, text: str) -> None:
    assert str(rounded(Fraction(value))) == text


@given(amounts)
def test_exact_text_loses_nothing(amount: Decimal) -> None:
    assert Decimal(exact(Fraction(amount))) == amount


@given(amounts)
def test_values_stay_on_the_scale(amount: Decimal) -> None:
    assert 0 <= on_scale(Fraction(amount)) <= 1


def test_a_score_is_one_exact_division() -> None:
    thirds = [(Decimal("0.333333"), Decimal(1)), (Decimal(1), Decimal(1)), (Decimal(1), Decimal(1))]

    assert exact_score(thirds) == Decimal("77.78")
    assert exact_score([(Decimal("0.34375"), Decimal(7))]) == Decimal("34.38")  # a half goes up
    assert exact_score([(Decimal(1), Decimal(0))]) is None
