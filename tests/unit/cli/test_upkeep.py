"""What `doctor` makes of the state the control plane's house is in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import click
import pytest

from lakehouse.cli.moment import MOMENT
from lakehouse.client.finding import FAIL, OK, WARN
from lakehouse.client.upkeep import judge

NOW = 1_800_000_000.0
WELL: dict[str, Any] = {
    "now": NOW,
    "clock_shift_s": 0,
    "tables": {"runs": {"live": 10, "dead": 25_000}},
    "stuck_leases": 0,
    "partition_room": 10_000_000,
    "partition_rows": 5_000_000,
    "partitions_gone": [],
    "retention_overdue_s": -5.0,
    "sealing": {"n": 12, "lag_s": None},
    "followers": {"scorer": 0.2, "notifier": None},
}


def results(**changes: Any) -> dict[str, str]:
    return {one.check: one.result for one in judge(WELL | changes, NOW - 0.01, NOW + 0.01)}


def test_a_house_in_order_has_nothing_to_remedy() -> None:
    findings = judge(WELL, NOW - 0.01, NOW + 0.01)

    assert {one.result for one in findings} == {OK}
    assert all(not one.remedy for one in findings)


@pytest.mark.parametrize(
    ("check", "result", "changes"),
    [
        ("dead rows", WARN, {"tables": {"runs": {"live": 1, "dead": 200_000}}}),
        ("dead rows", FAIL, {"tables": {"runs": {"live": 1, "dead": 0}, "cursors": {"live": 1, "dead": 2_000_000}}}),
        ("leases", FAIL, {"stuck_leases": 1}),
        ("clock", WARN, {"now": NOW + 3}),
        ("clock", FAIL, {"now": NOW - 60}),
        ("moved clock", WARN, {"clock_shift_s": 3600}),
        ("partitions", WARN, {"partition_room": 4_000_000}),
        ("partitions", FAIL, {"partition_room": 1_000}),
        ("partitions", FAIL, {"partition_room": None}),
        ("partitions", FAIL, {"partitions_gone": ["run_events_p000000000000000"]}),
        ("retention", WARN, {"retention_overdue_s": 2 * 86_400.0}),
        ("retention", FAIL, {"retention_overdue_s": 30 * 86_400.0}),
        ("sealing", WARN, {"sealing": {"n": 1, "lag_s": 100.0}}),
        ("sealing", FAIL, {"sealing": {"n": 1, "lag_s": 1000.0}}),
        ("follower scorer", FAIL, {"followers": {"scorer": 1000.0}}),
    ],
)
def test_what_is_wrong_is_told_and_nothing_else(check: str, result: str, changes: dict[str, Any]) -> None:
    found = results(**changes)

    assert found[check] == result
    assert {name for name, one in found.items() if one != OK} == {check}


def test_an_offset_that_the_round_trip_explains_is_none() -> None:
    slow = judge(WELL, NOW - 20, NOW + 20)

    assert {one.check: one.detail for one in slow}["clock"] == "they agree"


def test_every_fault_names_a_remedy() -> None:
    findings = judge(WELL | {"stuck_leases": 1, "now": NOW + 90, "partition_room": 0}, NOW, NOW)

    assert all(one.remedy for one in findings if one.result != OK)


def test_a_moment_is_a_time_a_date_or_how_long_ago() -> None:
    assert MOMENT.convert("2026-03-01", None, None) == datetime(2026, 3, 1, tzinfo=UTC)
    assert MOMENT.convert("2026-03-01T10:00:00+02:00", None, None) == datetime(2026, 3, 1, 8, tzinfo=UTC)
    assert abs(MOMENT.convert("7d", None, None) - (datetime.now(UTC) - timedelta(days=7))) < timedelta(minutes=1)


@pytest.mark.parametrize("text", ["yesterday", "7x", "", "2026-13-01"])
def test_what_is_no_moment_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is no time"):
        MOMENT.convert(text, None, None)
