"""Whole-column arithmetic."""

from __future__ import annotations

import numpy as np

from lakehouse.erp.arrays import occurrence, ratio, spread, sums, years


def test_ratios_round_half_away_from_zero_to_the_granule() -> None:
    values = np.array([1, -1, 3, 149, -150])

    assert ratio(values, 1, 2).tolist() == [1, -1, 2, 75, -75]
    assert ratio(values, 1, 1, 100).tolist() == [0, 0, 0, 100, -200]


def test_children_know_their_owner_and_their_rank() -> None:
    owner, rank = spread(np.array([2, 0, 3]))

    assert owner.tolist() == [0, 0, 2, 2, 2]
    assert rank.tolist() == [0, 1, 0, 1, 2]
    assert sums(owner, np.array([1, 2, 3, 4, 5]), 3).tolist() == [3, 0, 12]


def test_occurrence_counts_equal_keys_before() -> None:
    assert occurrence(np.array([7, 3, 7, 7, 3])).tolist() == [0, 0, 1, 2, 1]
    assert occurrence(np.array([], dtype=np.int64)).tolist() == []


def test_years_are_calendar_years() -> None:
    days = np.array(["1999-12-31", "2000-01-01", "2024-02-29"], dtype="datetime64[D]").astype(np.int64)

    assert years(days).tolist() == [1999, 2000, 2024]
