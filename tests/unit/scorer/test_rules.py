"""What a run is judged by."""

from __future__ import annotations

import uuid
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakehouse_scorer.rules import judged
from lakehouse_scorer.rules.duration import duration
from lakehouse_scorer.rules.outcome import outcome
from lakehouse_scorer.rules.quality import quality
from lakehouse_scorer.rules.retries import retries
from lakehouse_scorer.rules.volume import volume
from opscore.domain.signal import Signal, weighted_score
from opscore.ports.event_log import RunFacts

WEIGHTS = {"outcome": 40, "quality": 30, "duration": 10, "volume": 10, "retries": 10}

GOOD = RunFacts(
    run_id=uuid.UUID(int=1),
    environment_id=uuid.UUID(int=2),
    pipeline="silver_to_gold",
    state="succeeded",
    attempt=1,
    failures=0,
    losses=0,
    duration_ms=1000,
    rows_added=500,
    checks_passed=4,
    checks_warned=0,
    checks_failed=0,
    usual_duration_ms=Decimal(1000),
    usual_rows=Decimal(500),
    earlier_runs=20,
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
    ("took", "expected"), [(0, "1"), (1000, "1"), (1500, "1"), (2750, "0.5"), (4000, "0"), (90_000, "0")]
)
def test_duration_falls_from_one_and_a_half_times_the_usual_to_nothing_at_four_times(took: int, expected: str) -> None:
    assert value(duration(replace(GOOD, duration_ms=took))) == Decimal(expected)


@pytest.mark.parametrize(
    ("rows", "expected"), [(500, "1"), (250, "0.5"), (1000, "0.5"), (0, "0"), (5_000_000, "0.0001")]
)
def test_volume_falls_with_fewer_rows_than_usual_and_with_more(rows: int, expected: str) -> None:
    assert value(volume(replace(GOOD, rows_added=rows))) == Decimal(expected)


@pytest.mark.parametrize(
    ("failures", "losses", "expected"), [(0, 0, "1"), (1, 0, "0.5"), (0, 1, "0.5"), (1, 1, "0.333333")]
)
def test_retries_count_failures_and_losses(failures: int, losses: int, expected: str) -> None:
    assert value(retries(replace(GOOD, failures=failures, losses=losses))) == Decimal(expected)


@pytest.mark.parametrize(
    "facts",
    [
        replace(GOOD, earlier_runs=2),
        replace(GOOD, usual_duration_ms=None, usual_rows=None, earlier_runs=0),
        replace(GOOD, usual_duration_ms=Decimal(0), usual_rows=Decimal(0)),
        replace(GOOD, state="failed"),
        replace(GOOD, state="canceled"),
    ],
)
def test_duration_and_volume_say_nothing_where_nothing_is_usual(facts: RunFacts) -> None:
    assert duration(facts) is None
    assert volume(facts) is None


def test_a_run_that_never_started_has_no_duration() -> None:
    assert duration(replace(GOOD, duration_ms=None)) is None


def test_every_signal_carries_the_numbers_behind_it() -> None:
    assert {signal.name: signal.evidence for signal in judged(GOOD)} == {
        "outcome": {"state": "succeeded"},
        "quality": {"passed": 4, "warned": 0, "failed": 0},
        "duration": {"duration_ms": 1000, "usual_duration_ms": "1000", "earlier_runs": 20},
        "volume": {"rows": 500, "usual_rows": "500", "earlier_runs": 20},
        "retries": {"failures": 0, "losses": 0},
    }


def test_a_good_run_has_the_full_score() -> None:
    assert score(GOOD) == Decimal("100.00")


def test_a_blocked_gate_scores_clearly_lower_than_a_good_run_even_when_one_check_of_many_failed() -> None:
    blocked = replace(GOOD, state="failed", failures=1, rows_added=0, checks_passed=99, checks_failed=1)

    assert score(blocked) < 50


counts = st.integers(min_value=0, max_value=10**12)
usual = st.none() | st.decimals(min_value=0, max_value=10**12, places=3)
any_facts = st.builds(
    RunFacts,
    run_id=st.just(GOOD.run_id),
    environment_id=st.just(GOOD.environment_id),
    pipeline=st.just(GOOD.pipeline),
    state=st.sampled_from(["succeeded", "failed", "canceled"]),
    attempt=counts,
    failures=counts,
    losses=counts,
    duration_ms=st.none() | counts,
    rows_added=counts,
    checks_passed=counts,
    checks_warned=counts,
    checks_failed=counts,
    usual_duration_ms=usual,
    usual_rows=usual,
    earlier_runs=counts,
)


@given(any_facts)
def test_signals_are_decimals_between_nought_and_one_whatever_the_facts(facts: RunFacts) -> None:
    for signal in judged(facts):
        assert isinstance(signal.value, Decimal)
        assert 0 <= signal.value <= 1


@given(any_facts)
def test_failing_never_scores_better_than_succeeding(facts: RunFacts) -> None:
    succeeded, failed = replace(facts, state="succeeded", earlier_runs=0), replace(facts, state="failed")

    assert score(failed) < score(succeeded)


@given(any_facts, st.integers(min_value=1, max_value=10**6))
def test_taking_longer_never_scores_better(facts: RunFacts, longer: int) -> None:
    before = duration(facts)
    after = duration(replace(facts, duration_ms=(facts.duration_ms or 0) + longer))

    assert before is None or (after is not None and after.value <= before.value)
