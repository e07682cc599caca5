"""One try, and what follows from it."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

import pytest

from lakehouse_notifier.attempt import attempt, wait_asked_for
from opscore.domain.errors import DeliveryFailed, DeliveryRefused
from opscore.domain.notification import DELIVERY_RETRIES
from opscore.domain.retry import retry_delay
from opscore.ports.event_log import DueNotification, SendOutcome

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def due(attempts: int = 1, channel: str = "webhook") -> DueNotification:
    return DueNotification(uuid.UUID(int=1), uuid.UUID(int=2), channel, {}, {}, attempts)


class Channel:
    def __init__(self, error: Exception | None = None) -> None:
        self._error = error

    async def send(self, _notification: DueNotification) -> None:
        if self._error is not None:
            raise self._error


async def tried(error: Exception | None, attempts: int = 1) -> SendOutcome:
    return await attempt(due(attempts), {"webhook": Channel(error)}, now=NOW, jitter=0.5)


async def test_what_was_taken_is_delivered() -> None:
    assert (await tried(None)).outcome == "delivered"


async def test_what_was_refused_is_never_tried_again() -> None:
    outcome = await tried(DeliveryRefused(target="t", reason="r"))

    assert (outcome.outcome, outcome.retry_in_ms) == ("failed", None)
    assert outcome.error is not None
    assert outcome.error["code"] == "DELIVERY_REFUSED"


async def test_what_failed_is_tried_again_ever_later_and_given_up_after_eight_tries_within_about_an_hour() -> None:
    outcomes = [await tried(DeliveryFailed(target="t", reason="r"), attempts) for attempts in range(1, 9)]

    waits = [outcome.retry_in_ms for outcome in outcomes]
    assert [outcome.outcome for outcome in outcomes] == ["retry"] * 7 + ["failed"]
    assert waits[:-1] == sorted(wait for wait in waits if wait is not None)
    longest = sum((retry_delay(DELIVERY_RETRIES, n, 1.0) or timedelta() for n in range(1, 8)), timedelta())
    assert timedelta(minutes=45) < longest < timedelta(minutes=75)


@pytest.mark.parametrize(("header", "least_ms"), [("120", 120_000), ("0", 3_750), (None, 3_750), ("soon", 3_750)])
async def test_a_receiver_may_ask_for_more_time_but_not_for_less(header: str | None, least_ms: int) -> None:
    outcome = await tried(DeliveryFailed(target="t", reason="r", retry_after=header))

    assert outcome.retry_in_ms == least_ms


@pytest.mark.parametrize(
    ("header", "wait"),
    [
        (None, 0),
        ("90", 90),
        (" 90 ", 90),
        ("-5", 0),
        ("", 0),
        ("9" * 40, 3600),
        ("Sun, 01 Mar 2026 12:05:00 GMT", 300),
        ("Sun, 01 Mar 2026 11:00:00 GMT", 0),
        ("Sun, 01 Mar 2099 11:00:00 GMT", 3600),
        ("Sun, 99 Mar 2026 12:05:00 GMT", 0),
        ("٣", 3),
    ],
)
def test_retry_after_is_read_as_seconds_or_as_a_date(header: str | None, wait: int) -> None:
    assert wait_asked_for(header, NOW) == timedelta(seconds=wait)


async def test_an_unforeseen_fault_is_told_by_its_kind_alone_and_tried_again() -> None:
    outcome = await tried(RuntimeError("https://hooks.slack.example/services/SECRET"))

    assert outcome.outcome == "retry"
    assert outcome.error is not None
    assert "RuntimeError" in outcome.error["message"]
    assert "SECRET" not in str(outcome)


async def test_a_channel_without_a_sender_is_refused_and_named() -> None:
    outcome = await attempt(due(channel="email"), {"webhook": Channel(), "slack": Channel()}, now=NOW, jitter=0)

    assert outcome.outcome == "failed"
    assert outcome.error is not None
    assert "no sender for channel email is installed; webhook and slack are" in outcome.error["message"]
