from __future__ import annotations

from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from lakehouse_executor.result_json import json_rows, json_value
from opscore.domain.errors import QueryFailed


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, None),
        (True, True),
        (2**53, 2**53),
        (2**53 + 1, "9007199254740993"),
        (-(2**63), "-9223372036854775808"),
        (0.1, 0.1),
        (float("nan"), "NaN"),
        (float("inf"), "Infinity"),
        (float("-inf"), "-Infinity"),
        (Decimal("1.5000000000"), "1.5000000000"),
        (Decimal("1E+3"), "1000"),
        (Decimal("0E-10"), "0.0000000000"),
        (date(2026, 1, 2), "2026-01-02"),
        (time(1, 2, 3), "01:02:03"),
        (datetime(2026, 1, 2, 3, 4, 5, 6, UTC), "2026-01-02T03:04:05.000006+00:00"),
        (b"\x00\xff", "00ff"),
        ([1, Decimal("0.1")], [1, "0.1"]),
        ({"a": {"b": float("nan")}}, {"a": {"b": "NaN"}}),
        (pa.MonthDayNano([1, 2, 3_500_000_000]), "P1M2DT3.5S"),
    ],
)
def test_values_lose_nothing(value: Any, shown: Any) -> None:
    assert json_value(value) == shown
    assert type(json_value(value)) is type(shown)


def test_rows_follow_the_batch() -> None:
    batch = pa.record_batch({"a": [1, 2], "b": ["x", None]})

    assert json_rows(batch) == [[1, "x"], [2, None]]


def test_a_day_that_python_does_not_know_names_its_column() -> None:
    batch = pa.record_batch({"day": pa.array([2**30], pa.int32()).view(pa.date32())})

    with pytest.raises(QueryFailed, match="Column day holds a value that cannot be shown"):
        json_rows(batch)
