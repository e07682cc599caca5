"""Moments named by schedules, where clocks change too, and which of the missed ones are acted on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opscore.domain.errors import InvalidInput
from opscore.domain.ticks import CatchUp, CatchUpRule, Rhythm, next_tick

BRUSSELS = "Europe/Brussels"
SPRING, AUTUMN = datetime(2026, 3, 29, tzinfo=UTC), datetime(2026, 10, 25, tzinfo=UTC)  # the changes are at 01:00 UTC
NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


def ticks(cron: str, after: datetime, count: int, timezone: str = BRUSSELS) -> list[str]:
    found = islice(Rhythm(cron, None, timezone).after(after), count)
    return [f"{tick:%d %H:%M}" for tick in found]


def test_cron_fields_mean_wall_clock_time_in_their_zone() -> None:
    assert ticks("0 6 * * *", NOON, 1) == ["02 04:00"]
    assert ticks("0 6 * * *", datetime(2026, 1, 1, 12, tzinfo=UTC), 1) == ["02 05:00"]


def test_a_fixed_time_in_the_spring_gap_ticks_once_when_the_clocks_jump() -> None:
    assert ticks("30 2 * * *", SPRING - timedelta(hours=1), 2) == ["29 01:00", "30 00:30"]


def test_two_fixed_times_in_and_behind_the_gap_share_one_tick() -> None:
    assert ticks("30 2,3 * * *", SPRING, 3) == ["29 01:00", "29 01:30", "30 00:30"]


def test_a_fixed_time_in_the_doubled_autumn_hour_ticks_the_first_time_only() -> None:
    assert ticks("30 2 * * *", AUTUMN, 2) == ["25 00:30", "26 01:30"]


def test_from_within_the_second_autumn_hour_no_tick_of_the_first_comes_again() -> None:
    assert ticks("30 2 * * *", AUTUMN.replace(hour=1, minute=15), 1) == ["26 01:30"]


def test_quarter_hours_tick_by_real_time_through_both_changes() -> None:
    assert ticks("*/30 * * * *", SPRING.replace(minute=29), 3) == ["29 00:30", "29 01:00", "29 01:30"]
    assert ticks("*/30 * * * *", AUTUMN.replace(minute=29), 4) == ["25 00:30", "25 01:00", "25 01:30", "25 02:00"]


def test_intervals_are_counted_from_1970_whenever_they_were_applied() -> None:
    found = islice(Rhythm(None, 900).after(NOON + timedelta(seconds=1)), 2)

    assert [f"{tick:%H:%M:%S}" for tick in found] == ["12:15:00", "12:30:00"]


def test_a_tick_at_the_very_moment_is_not_after_it() -> None:
    assert next_tick(Rhythm("0 12 * * *", None), NOON) == NOON + timedelta(days=1)
    assert next_tick(Rhythm(None, 3600), NOON) == NOON + timedelta(hours=1)


@pytest.mark.parametrize(
    ("cron", "zone"),
    [("0 12 * * *", "Mars/Base"), ("0 12 * * *", "../UTC"), ("61 * * * *", "UTC"), ("0 0 30 2 *", "UTC")],
)
def test_what_names_no_moments_is_refused(cron: str, zone: str) -> None:
    with pytest.raises(InvalidInput, match="names no moments"):
        next_tick(Rhythm(cron, None, zone), NOON)


HOURLY = Rhythm("0 * * * *", None)


@pytest.mark.parametrize(
    ("rule", "chosen"),
    [
        (CatchUpRule(CatchUp.NONE), []),
        (CatchUpRule(CatchUp.LATEST), ["11:00"]),
        (CatchUpRule(CatchUp.ALL), ["08:00", "09:00", "10:00", "11:00"]),
        (CatchUpRule(CatchUp.ALL, runs=2), ["10:00", "11:00"]),
        (CatchUpRule(CatchUp.ALL, window=timedelta(hours=3)), ["09:00", "10:00", "11:00"]),
        (CatchUpRule(CatchUp.LATEST, window=timedelta(minutes=10)), []),
    ],
    ids=["none", "latest", "all", "all up to two", "all within three hours", "latest, too old"],
)
def test_missed_ticks_are_caught_up_on_by_the_rule(rule: CatchUpRule, chosen: list[str]) -> None:
    found = rule.chosen(HOURLY, NOON.replace(hour=7), NOON - timedelta(minutes=30))

    assert [f"{tick:%H:%M}" for tick in found] == chosen


@pytest.mark.parametrize("kind", list(CatchUp))
def test_a_tick_that_is_hardly_late_is_acted_on_by_every_rule(kind: CatchUp) -> None:
    found = CatchUpRule(kind).chosen(HOURLY, NOON.replace(hour=11), NOON + timedelta(seconds=30))

    assert found == [NOON]


@given(
    since=st.datetimes(datetime(2026, 3, 27), datetime(2026, 10, 27), timezones=st.just(UTC)),  # noqa: DTZ001 - made aware by the strategy
    looks=st.lists(st.integers(1, 7200), min_size=1, max_size=20),
    cron=st.sampled_from(["*/20 * * * *", "30 2 * * *", "0,30 2,3 * * *", "15 * * * *", "*/7 2 * * *"]),
)
def test_however_often_one_looks_every_tick_is_found_exactly_once(since: datetime, looks: list[int], cron: str) -> None:
    rhythm, rule = Rhythm(cron, None, BRUSSELS), CatchUpRule(CatchUp.ALL, runs=1000, window=timedelta(days=31))
    moments = [since]
    for seconds in looks:
        moments.append(moments[-1] + timedelta(seconds=seconds))

    piecewise = [t for start, end in pairwise(moments) for t in rule.chosen(rhythm, start, end)]

    assert piecewise == rule.chosen(rhythm, since, moments[-1])
