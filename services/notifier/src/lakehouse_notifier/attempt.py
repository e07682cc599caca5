"""One try to deliver one notification, and what follows from how it went. Called by `sending.py`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from lakehouse_notifier.channels import Channel
from opscore.domain.errors import DeliveryRefused, OpsError, Temporary, Unexpected
from opscore.domain.notification import DELIVERY_RETRIES
from opscore.domain.retry import retry_delay
from opscore.ports.event_log import DueNotification, SendOutcome

LONGEST_WAIT = timedelta(hours=1)  # whatever a receiver asks for


async def attempt(
    notification: DueNotification, channels: Mapping[str, Channel], *, now: datetime, jitter: float
) -> SendOutcome:
    """Send once. Never raises: one message's fault must not stop the others.

    jitter: in [0, 1), for the wait before the next try. now: for receivers that name a time in Retry-After.
    """
    try:
        await _channel(notification, channels).send(notification)
    except Temporary as error:
        return _later(notification, error, now, jitter)
    except OpsError as error:
        return _failed(notification, error)
    except Exception as error:  # noqa: BLE001 - see above; only its kind is told, its text may hold a secret
        unforeseen = Unexpected(f"Sending on {notification.channel} ended by an unforeseen {type(error).__name__}.")
        return _later(notification, unforeseen, now, jitter)
    return SendOutcome(notification.id, notification.token, "delivered")


def wait_asked_for(header: str | None, now: datetime) -> timedelta:
    """What a Retry-After header asks for: seconds or a date. Nothing for none, for nonsense and for the past."""
    if header is None:
        return timedelta(0)
    if header.strip().isdecimal():
        return timedelta(seconds=min(int(header.strip()[:9]), LONGEST_WAIT.total_seconds()))
    try:
        until = parsedate_to_datetime(header)
    except ValueError:
        return timedelta(0)
    aware = until if until.tzinfo else until.replace(tzinfo=UTC)
    return min(max(aware - now, timedelta(0)), LONGEST_WAIT)


def _channel(notification: DueNotification, channels: Mapping[str, Channel]) -> Channel:
    channel = channels.get(notification.channel)
    if channel is None:
        known = " and ".join(channels)
        reason = f"no sender for channel {notification.channel} is installed; {known} are"
        raise DeliveryRefused(target="the route", reason=reason)
    return channel


def _later(notification: DueNotification, error: OpsError, now: datetime, jitter: float) -> SendOutcome:
    delay = retry_delay(DELIVERY_RETRIES, notification.attempts, jitter)
    if delay is None:
        return _failed(notification, error)
    wait = max(delay, wait_asked_for(error.facts.get("retry_after"), now))
    wait_ms = int(wait.total_seconds() * 1000)
    return SendOutcome(notification.id, notification.token, "retry", wait_ms, error.as_json())


def _failed(notification: DueNotification, error: OpsError) -> SendOutcome:
    return SendOutcome(notification.id, notification.token, "failed", error=error.as_json())
