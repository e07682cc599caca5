"""What a run is judged by."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakehouse_scorer.rules import judged
from lakehouse_scorer.rules.cost import cost
from lakehouse_scorer.rules.drift import drift
from lakehouse_scorer.rules.duration import duration
from lakehouse_scorer.rules.failure_streak import failure_streak
from lakehouse_scorer.rules.freshness import freshness
from lakehouse_scorer.rules.outcome import outcome
from lakehouse_scorer.rules.quality import quality
from lakehouse_scorer.rules.retries import retries
from lakehouse_scorer.rules.volume import volume
from opscore.domain.signal import Signal, recomputed, weighted_score
from opscore.ports.event_log import RunFacts

WEIGHTS = {
    "outcome": 40, "quality": 30, "duration": 10, "volume": 10, "retries": 10, "freshness": 10, "failure_streak": 10, "drift": 5, "cost": 5,
}  # fmt: skip
SPREAD = [1000, 1010, 990, 1100, 900]  # median 1000, MAD 10

GOOD = RunFacts(
    run_id=uuid.UUID(int=1),
    environment_id=uuid.UUID(int=2),
    pipeline="silver_to_gold",
    comparable=True,
    state="succeeded",
    attempt=1,
    failures=0,
    losses=0,
    duration_ms=1000,
    rows_added=500,
    cost=Decimal("2.5"),
    cost_unit="cost",
    gap_ms=3_600_000,
    streak=0,
    checks_passed=4,
    checks_warned=0,
    checks_failed=0,
    tables_known=5,
    tables_changed=0,
    durations=SPREAD,
    volumes=[500, 500, 500, 500, 500],
    costs=[Decimal("2.5")] * 5,
    gaps=[3_600_000] * 5,
)


def value(signal: Signal | None) -> Decimal | None:
    return signal and signal.value


def score(facts: RunFacts) -> Decimal:
    found = weighted_score(judged(facts), {name: Decimal(weight) for name, weight in WEIGHTS.items()})
    assert found is not None
    return found


@pytest.mark.parametrize(("state", "expected"), [("succeeded", "1"), ("canceled", "0.5"), ("failed", "0")])
def test_the_outcome_follows_the_end_of_the_run(state: str, expected: str) -> None:
    assert value(outcome(replace(GOOD, state=state))) == Decimal(expected)


@pytest.mark.parametrize(
    ("passed", "warned", "failed", "expected"),
    [(4, 0, 0, "1"), (3, 1, 0, "0.875"), (3, 0, 1, "0.75"), (0, 0, 2, "0"), (1, 1, 1, "0.5"), (0, 0, 0, None)],
)
def test_quality_is_the_share_of_checks_that_passed_with_warnings_counting_half(
    passed: int, warned: int, failed: int, expected: str | None
) -> None:
    facts = replace(GOOD, checks_passed=passed, checks_warned=warned, checks_failed=failed)

    assert value(quality(facts)) == (expected and Decimal(expected))


@pytest.mark.parametrize(
    ("took", "expected"), [(0, "1"), (1000, "1"), (2500, "1"), (3750, "0.5"), (5000, "0"), (90_000, "0")]
)
def test_duration_falls_from_three_deviations_above_the_median_to_nothing_at_eight(took: int, expected: str) -> None:
    assert value(duration(replace(GOOD, duration_ms=took))) == Decimal(expected)  # the floor, 500 ms, is one deviation


def test_the_spread_of_the_history_sets_the_scale_once_it_is_above_the_floor() -> None:
    wide = [100_000, 120_000, 80_000, 140_000, 60_000]  # median 100,000, MAD 20,000: a deviation is 29,652 ms

    found = duration(replace(GOOD, duration_ms=248_260, durations=wide))

    assert found is not None
    assert (found.evidence["mad"], found.evidence["scale"], found.evidence["deviations"]) == (
        "20000",
        "29652",
        "5.000000",
    )
    assert found.value == Decimal("0.6")


def test_one_wild_run_in_the_history_does_not_change_what_is_usual() -> None:
    calm = duration(replace(GOOD, duration_ms=4000))

    wild = duration(replace(GOOD, duration_ms=4000, durations=[10**9, *SPREAD[:4]]))

    assert calm is not None
    assert wild is not None
    assert abs(calm.value - wild.value) < Decimal("0.01")


@pytest.mark.parametrize(
    ("rows", "expected"), [(500, "1"), (350, "1"), (650, "1"), (225, "0.5"), (775, "0.5"), (0, "0"), (5_000_000, "0")]
)
def test_volume_falls_with_fewer_rows_than_usual_and_with_more(rows: int, expected: str) -> None:
    assert value(volume(replace(GOOD, rows_added=rows))) == Decimal(expected)


@pytest.mark.parametrize(("amount", "expected"), [("0", "1"), ("3.25", "1"), ("3.875", "0.5"), ("4.5", "0")])
def test_cost_falls_with_what_is_above_the_usual(amount: str, expected: str) -> None:
    assert value(cost(replace(GOOD, cost=Decimal(amount)))) == Decimal(expected)


def test_compute_seconds_stand_in_for_a_cost_that_nobody_knows() -> None:
    found = cost(replace(GOOD, cost=Decimal(30), cost_unit="compute_seconds", costs=[Decimal(10)] * 5))

    assert found is not None
    assert (found.value, found.evidence["unit"]) == (0, "compute_seconds")


@pytest.mark.parametrize(("hours", "expected"), [(1, "1"), (Decimal("1.75"), "1"), (Decimal("2.375"), "0.5"), (3, "0")])
def test_freshness_falls_when_the_last_success_is_longer_ago_than_usual(hours: Decimal, expected: str) -> None:
    assert value(freshness(replace(GOOD, gap_ms=int(hours * 3_600_000)))) == Decimal(expected)


def test_a_failed_run_leaves_the_result_as_old_as_it_is() -> None:
    assert value(freshness(replace(GOOD, state="failed", gap_ms=86_400_000))) == 0


@pytest.mark.parametrize(("streak", "expected"), [(0, "1"), (1, "0.8"), (4, "0.2"), (5, "0"), (60, "0")])
def test_a_streak_of_failures_costs_a_fifth_each(streak: int, expected: str) -> None:
    assert value(failure_streak(replace(GOOD, streak=streak))) == Decimal(expected)


@pytest.mark.parametrize(("known", "changed", "expected"), [(5, 0, "1"), (5, 1, "0.8"), (2, 2, "0"), (0, 0, None)])
def test_drift_is_the_share_of_tables_that_kept_their_columns(known: int, changed: int, expected: str | None) -> None:
    found = value(drift(replace(GOOD, tables_known=known, tables_changed=changed)))

    assert found == (expected and Decimal(expected))


@pytest.mark.parametrize(
    ("failures", "losses", "expected"), [(0, 0, "1"), (1, 0, "0.5"), (0, 1, "0.5"), (1, 1, "0.333333")]
)
def test_retries_count_failures_and_losses(failures: int, losses: int, expected: str) -> None:
    assert value(retries(replace(GOOD, failures=failures, losses=losses))) == Decimal(expected)


@pytest.mark.parametrize("rule", [duration, volume, cost])
@pytest.mark.parametrize(
    "facts",
    [
        replace(GOOD, durations=SPREAD[:4], volumes=[500] * 4, costs=[Decimal(1)] * 4),
        replace(GOOD, durations=[], volumes=[], costs=[]),
        replace(GOOD, state="failed"),
        replace(GOOD, state="canceled"),
        replace(GOOD, comparable=False),
    ],
)
def test_speed_amount_and_cost_say_nothing_where_nothing_is_usual(
    rule: Callable[[RunFacts], Any], facts: RunFacts
) -> None:
    assert rule(facts) is None


def test_runs_of_built_in_pipelines_have_neither_streak_nor_age() -> None:
    assert {signal.name for signal in judged(replace(GOOD, comparable=False, tables_known=0))} == {
        "outcome",
        "quality",
        "retries",
    }


def test_evidence_states_the_statistic_the_window_the_minimum_and_every_input() -> None:
    found = duration(GOOD)

    assert found is not None
    assert found.evidence == {
        "statistic": "median_mad", "unit": "ms", "side": "above", "observed": "1000", "median": "1000", "mad": "10", "scale": "500",
        "deviations": "0.000000", "fine_up_to": "3", "bad_from": "8", "floor_share": "0.1", "floor_least": "500", "window_runs": 20,
        "minimum_runs": 5, "history": ["1000", "1010", "990", "1100", "900"],
    }  # fmt: skip


def test_a_good_run_has_the_full_score() -> None:
    assert len(judged(GOOD)) == 9
    assert score(GOOD) == Decimal("100.00")


def test_a_blocked_gate_scores_clearly_lower_than_a_good_run_even_when_one_check_of_many_failed() -> None:
    blocked = replace(GOOD, state="failed", failures=1, streak=1, rows_added=0, checks_passed=99, checks_failed=1)

    assert score(blocked) < 65


counts = st.integers(min_value=0, max_value=10**12)
amounts = st.decimals(min_value=0, max_value=10**12, places=3)
any_facts = st.builds(
    RunFacts,
    run_id=st.just(GOOD.run_id),
    environment_id=st.just(GOOD.environment_id),
    pipeline=st.just(GOOD.pipeline),
    comparable=st.booleans(),
    state=st.sampled_from(["succeeded", "failed", "canceled"]),
    attempt=counts,
    failures=counts,
    losses=counts,
    duration_ms=st.none() | counts,
    rows_added=counts,
    cost=amounts,
    cost_unit=st.sampled_from(["cost", "compute_seconds"]),
    gap_ms=st.none() | counts,
    streak=counts,
    checks_passed=counts,
    checks_warned=counts,
    checks_failed=counts,
    tables_known=st.just(7),
    tables_changed=st.integers(0, 7),
    durations=st.lists(counts, max_size=20),
    volumes=st.lists(counts, max_size=20),
    costs=st.lists(amounts, max_size=20),
    gaps=st.lists(counts, max_size=20),
)


@given(any_facts)
def test_signals_are_decimals_between_nought_and_one_whatever_the_facts(facts: RunFacts) -> None:
    for signal in judged(facts):
        assert isinstance(signal.value, Decimal)
        assert 0 <= signal.value <= 1


@given(any_facts)
def test_every_signal_is_found_again_to_the_digit_from_its_evidence_alone(facts: RunFacts) -> None:
    for signal in judged(facts):
        assert recomputed(signal.evidence) == (signal.value, signal.evidence)


@given(any_facts, st.integers(min_value=1, max_value=10**6))
def test_taking_longer_never_scores_better(facts: RunFacts, longer: int) -> None:
    before = duration(facts)
    after = duration(replace(facts, duration_ms=(facts.duration_ms or 0) + longer))

    assert before is None or (after is not None and after.value <= before.value)
