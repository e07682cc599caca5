"""Which events become alerts, and which end them."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opscore.domain.alert import AlertRule, Occasion
from opscore.domain.event import RunEvent

HERE, ELSEWHERE = uuid.UUID(int=3), uuid.UUID(int=4)
RUN = uuid.UUID(int=7)


def rule(*types: str, condition: Any = None, summary: str = "{pipeline} failed: {message}") -> AlertRule:
    return AlertRule.from_row(
        {
            "environment_id": str(HERE),
            "name": "r",
            "event_types": list(types or ("RUN_FAILED",)),
            "condition": {} if condition is None else condition,
            "severity": "error",
            "summary": summary,
        }
    )


def occasion(kind: str = "RUN_FAILED", *, pipeline: str = "silver_to_gold", **data: Any) -> Occasion:
    return Occasion(RunEvent(1, RUN, 1, kind, datetime(2026, 3, 1, tzinfo=UTC), 1, data), HERE, pipeline)


@pytest.mark.parametrize(
    ("condition", "data", "matches"),
    [
        ({}, {}, True),
        ({"pipeline": "silver_*"}, {}, True),
        ({"pipeline": "odoo_*"}, {}, False),
        ({"code": ["GATE_BLOCKED"]}, {"code": "GATE_BLOCKED"}, True),
        ({"code": "GATE_BLOCKED"}, {"code": "GATE_BLOCKED"}, True),
        ({"code": ["GATE_BLOCKED"]}, {"code": "TIMED_OUT"}, False),
        ({"code": ["GATE_BLOCKED"]}, {}, False),
        ({"min_score": 50}, {}, True),
    ],
)
def test_a_failure_is_matched_by_pipeline_and_code(condition: Any, data: dict[str, Any], *, matches: bool) -> None:
    assert (rule(condition=condition).raised(occasion(**data)) is not None) is matches


@pytest.mark.parametrize(("score", "matches"), [(49.99, True), (50, False), (99.5, False), (None, True)])
def test_a_score_is_matched_when_it_is_below_the_least_wanted(score: float | None, *, matches: bool) -> None:
    low = rule("RUN_SCORED", condition={"min_score": 50})

    assert (low.raised(occasion("RUN_SCORED", score=score)) is not None) is matches


@pytest.mark.parametrize(
    "condition",
    [
        [],
        3,
        "x",
        {"pipelin": "*"},
        {"pipeline": 3},
        {"code": 3},
        {"code": [3]},
        {"min_score": "low"},
        {"min_score": True},
    ],
)
def test_a_rule_that_cannot_be_read_matches_nothing(condition: Any) -> None:
    unreadable = rule("RUN_FAILED", "RUN_SCORED", condition=condition)

    assert unreadable.raised(occasion()) is None
    assert not unreadable.recovers(occasion("RUN_SUCCEEDED"))


def test_a_rule_sees_its_own_environment_only() -> None:
    event = occasion().event

    assert rule().raised(Occasion(event, ELSEWHERE, "p")) is None


def test_an_alert_says_what_happened() -> None:
    alert = rule().raised(occasion(code="GATE_BLOCKED", message="Gate x blocked y."))

    assert alert is not None
    assert alert.summary == "silver_to_gold failed: Gate x blocked y."
    assert alert.dedup_key == "r:silver_to_gold"
    assert alert.told("https://room/runs/7") == {
        "type": "alert.opened",
        "timestamp": "2026-03-01T00:00:00+00:00",
        "rule": "r",
        "severity": "error",
        "summary": "silver_to_gold failed: Gate x blocked y.",
        "pipeline": "silver_to_gold",
        "run_id": str(RUN),
        "event": "RUN_FAILED",
        "code": "GATE_BLOCKED",
        "message": "Gate x blocked y.",
        "url": "https://room/runs/7",
    }


@pytest.mark.parametrize(
    ("summary", "shown"),
    [
        ("{code} {unknown} {0} {} {message.__class__}", "C {unknown} {0} {} {message.__class__}"),
        ("{message}", "{run_id} and {pipeline!r}"),
        ("%s {", "%s {"),
    ],
)
def test_only_known_placeholders_are_filled_and_facts_are_never_formatted(summary: str, shown: str) -> None:
    alert = rule(summary=summary).raised(occasion(code="C", message="{run_id} and {pipeline!r}"))

    assert alert is not None
    assert alert.summary == shown


def test_a_long_message_is_cut_visibly() -> None:
    alert = rule(summary="{message}").raised(occasion(message="x" * 5000))

    assert alert is not None
    assert (len(alert.summary), alert.summary[-1]) == (2000, "…")


@pytest.mark.parametrize(
    ("types", "condition", "kind", "data", "recovers"),
    [
        (["DEADLINE_MISSED"], {}, "RUN_SUCCEEDED", {}, True),
        (["RUN_FAILED"], {}, "RUN_SUCCEEDED", {}, True),
        (["RUN_FAILED"], {}, "RUN_CANCELED", {}, False),
        (["RUN_FAILED"], {"pipeline": "other"}, "RUN_SUCCEEDED", {}, False),
        (["RUN_FAILED", "RUN_SUCCEEDED"], {}, "RUN_SUCCEEDED", {}, False),
        (["RUN_CANCELED"], {}, "RUN_SUCCEEDED", {}, False),
        (["RUN_SCORED"], {"min_score": 50}, "RUN_SCORED", {"score": 50}, True),
        (["RUN_SCORED"], {"min_score": 50}, "RUN_SCORED", {"score": 49}, False),
        (["RUN_SCORED"], {}, "RUN_SCORED", {"score": 100}, False),
        (["RUN_FAILED", "RUN_SCORED"], {"min_score": 50}, "RUN_SCORED", {"score": 90}, False),
    ],
)
def test_an_alert_is_over_when_its_pipeline_does_well_again(
    types: list[str], condition: Any, kind: str, data: dict[str, Any], *, recovers: bool
) -> None:
    assert rule(*types, condition=condition).recovers(occasion(kind, **data)) is recovers


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from(["pipeline", "code", "min_score", "x"]), anything) | anything, anything)
def test_whatever_a_condition_and_an_event_say_a_rule_speaks_once_and_only_when_it_is_readable(
    condition: Any, value: Any
) -> None:
    read = rule("RUN_FAILED", "RUN_SCORED", condition=condition, summary="{code} {message} {score}")

    seen = [
        occasion(kind, code=value, message=value, score=value) for kind in ("RUN_FAILED", "RUN_SCORED", "RUN_SUCCEEDED")
    ]

    said = [(read.raised(one) is not None) + read.recovers(one) for one in seen]
    assert max(said) <= int(read.readable)
