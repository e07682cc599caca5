"""A rule may leave pipelines out."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

import pytest

from opscore.domain.alert import AlertRule, Occasion
from opscore.domain.event import RunEvent

ENVIRONMENT = uuid.uuid4()


def rule(condition: object) -> AlertRule:
    row = {"environment_id": ENVIRONMENT, "name": "r", "event_types": ["RUN_FAILED"], "severity": "error"}
    return AlertRule.from_row(row | {"summary": "{pipeline} failed", "condition": condition})


def failure(pipeline: str) -> Occasion:
    event = RunEvent(1, uuid.uuid4(), 1, "RUN_FAILED", datetime(2026, 1, 1, tzinfo=UTC), 1, {})
    return Occasion(event, ENVIRONMENT, pipeline)


@pytest.mark.parametrize("excepted", ["query", ["query"], ["q*", "other"]])
def test_an_excepted_pipeline_raises_no_alert_and_others_do(excepted: object) -> None:
    watching = rule({"except": excepted})

    assert watching.raised(failure("query")) is None
    assert watching.raised(failure("books")) is not None


def test_an_exception_that_cannot_be_read_matches_nothing() -> None:
    assert rule({"except": 7}).raised(failure("books")) is None
