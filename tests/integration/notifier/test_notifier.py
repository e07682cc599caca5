"""From an event to a person: real Postgres as the notifier's own role, and a real receiver."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from standardwebhooks.webhooks import Webhook

from lakehouse.embedded.throwaway import ThrowawayPostgres
from lakehouse_notifier.app import main
from lakehouse_notifier.bell import Bell
from lakehouse_notifier.follow import Following
from lakehouse_notifier.settings import NotifierSettings
from opscore.db.notifier_rpc import NotifierRpc
from opscore.db.pool import open_database
from opscore.observe.observation import AlertOpened, AlertResolved, NotificationFailed, NotificationSent
from opscore.ports.event_log import SendOutcome
from opscore.runtime.clock import SystemClock
from opscore.runtime.service import Service
from support.keeper import keeping_time
from support.plane import ENVIRONMENT, Plane
from support.seen import Seen, serving
from support.webhooks import Answer, Receiver, receiving

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
BLOCKED = {"code": "GATE_BLOCKED", "message": "Gate balanced blocked the publish of gold.x: 2 entries differ."}


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as receiver:
        yield receiver


class Notifiers:
    """Starts notifiers on a control plane, logged in as their own role."""

    def __init__(self, postgres: ThrowawayPostgres, plane: Plane) -> None:
        self.plane = plane
        self.dsn = postgres.dsn(urlsplit(plane.dsn).path.removeprefix("/"), role="lakehouse_notifier")

    def running(self, seen: Seen, **settings: Any) -> AbstractAsyncContextManager[Service]:
        read = NotifierSettings.load(**{"database_url": self.dsn, "webhook_allow": "127.0.0.1"} | settings)
        return serving("notifier", lambda service: main(service, read), seen)

    async def fail(self, **error: Any) -> None:
        """One run that fails."""
        work = await self.plane.work()
        await self.plane.finish(work, "failed", error=BLOCKED | error)

    async def succeed(self) -> None:
        """One run that succeeds."""
        await self.plane.finish(await self.plane.work())

    async def route(self, url: str, *, channel: str = "webhook", **rest: Any) -> None:
        target = {"url": url} | rest
        await self.plane.db.fetch("select ops.set_route($1, 'all', '{}', $2, $3)", ENVIRONMENT, channel, target)

    async def notifications(self) -> list[dict[str, Any]]:
        rows = await self.plane.db.fetch("select * from ops.notifications order by created_at")
        return [dict(row) for row in rows]

    async def alerts(self) -> list[dict[str, Any]]:
        return [dict(row) for row in await self.plane.db.fetch("select * from ops.alerts order by created_at")]


@pytest.fixture
def notifiers(postgres: ThrowawayPostgres, plane: Plane) -> Notifiers:
    return Notifiers(postgres, plane)


async def test_one_failure_makes_exactly_one_notification_with_two_notifiers_running(
    notifiers: Notifiers, receiver: Receiver
) -> None:
    await notifiers.route(receiver.url)
    seen = Seen()
    async with AsyncExitStack() as both:
        for _ in range(2):
            await both.enter_async_context(notifiers.running(seen, api_url="https://room.example/"))

        await notifiers.fail()

        await seen.until(NotificationSent)

    (got,) = receiver.received
    (sent,) = await notifiers.notifications()
    (alert,) = await notifiers.alerts()
    assert len(seen.of(AlertOpened)) == 1
    assert (sent["state"], sent["attempts"]) == ("delivered", 1)
    assert got.headers["webhook-id"] == str(sent["id"])
    assert got.json()["type"] == "alert.opened"
    assert got.json()["data"] == {
        "alert_id": str(alert["id"]),
        "rule": "run_failed",
        "severity": "error",
        "summary": f"query failed: {BLOCKED['message']}",
        "pipeline": "query",
        "run_id": str(alert["run_id"]),
        "event": "RUN_FAILED",
        "code": "GATE_BLOCKED",
        "message": BLOCKED["message"],
        "url": f"https://room.example/runs/{alert['run_id']}",
    }


async def test_a_repeated_failure_is_counted_on_the_open_alert_and_a_success_resolves_it(
    notifiers: Notifiers, receiver: Receiver
) -> None:
    await notifiers.route(receiver.url)
    seen = Seen()
    async with notifiers.running(seen):
        await notifiers.fail()
        await notifiers.fail()
        await seen.until(AlertOpened, 2)
        await notifiers.succeed()
        await seen.until(AlertResolved)
        await notifiers.fail()
        await seen.until(NotificationSent, 2)

    first, second = await notifiers.alerts()
    assert (first["state"], first["occurrences"]) == ("resolved", 2)
    assert (second["state"], second["occurrences"]) == ("open", 1)
    assert len(receiver.received) == 2
    assert len({got.headers["webhook-id"] for got in receiver.received}) == 2


async def test_a_receiver_that_fails_twice_gets_the_same_message_until_it_takes_it(
    notifiers: Notifiers, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOOK_SECRET", SECRET)
    await notifiers.route(receiver.url, secret="env:HOOK_SECRET")
    receiver.script = [Answer(500), Answer(429, {"retry-after": "600"})]
    seen = Seen()
    async with notifiers.running(seen):
        await notifiers.fail()
        await seen.until(NotificationFailed, 1)
        await notifiers.plane.pass_time(timedelta(minutes=1))
        await seen.until(NotificationFailed, 2)
        await notifiers.plane.pass_time(timedelta(minutes=11))
        await seen.until(NotificationSent)

    (sent,) = await notifiers.notifications()
    assert (sent["state"], sent["attempts"], sent["last_error"]) == ("delivered", 3, None)
    assert [got.headers["webhook-id"] for got in receiver.received] == [str(sent["id"])] * 3
    assert len({got.body for got in receiver.received}) == 1
    assert all(Webhook(SECRET).verify(got.body, got.headers) for got in receiver.received)


async def test_a_private_address_is_refused_unless_it_is_allowed(notifiers: Notifiers, receiver: Receiver) -> None:
    await notifiers.route(receiver.url)
    seen = Seen()
    async with notifiers.running(seen, webhook_allow="10.0.0.0/8"):
        await notifiers.fail()
        (failure,) = await seen.until(NotificationFailed)

    (refused,) = await notifiers.notifications()
    assert failure.final
    assert refused["state"] == "failed"
    assert refused["last_error"]["code"] == "DELIVERY_REFUSED"
    assert "127.0.0.1, which is not a public address" in refused["last_error"]["message"]
    assert receiver.received == []


async def test_a_channel_without_a_sender_fails_with_its_reason(notifiers: Notifiers) -> None:
    await notifiers.route("mailto:a@example.com", channel="email")
    seen = Seen()
    async with notifiers.running(seen):
        await notifiers.fail()
        await seen.until(NotificationFailed)

    (refused,) = await notifiers.notifications()
    assert (refused["state"], refused["last_error"]["code"]) == ("failed", "DELIVERY_REFUSED")


async def test_a_silenced_alert_is_kept_and_nobody_is_told(notifiers: Notifiers, receiver: Receiver) -> None:
    await notifiers.route(receiver.url)
    await notifiers.plane.db.fetch(
        "select ops.silence($1, '{\"pipeline\": \"que*\"}', 'migration', 'ann', interval '1 hour')", ENVIRONMENT
    )
    seen = Seen()
    async with notifiers.running(seen):
        await notifiers.fail()
        await seen.until(AlertOpened)

    (alert,) = await notifiers.alerts()
    assert alert["details"]["silenced"]["reason"] == "migration"
    assert await notifiers.notifications() == []
    assert receiver.received == []


async def test_what_a_killed_sender_left_is_sent_again_under_the_same_id(
    notifiers: Notifiers, receiver: Receiver
) -> None:
    await notifiers.route(receiver.url)
    receiver.script = [Answer(silent=True)]
    environment = {**os.environ, "LAKEHOUSE_DATABASE_URL": notifiers.dsn, "LAKEHOUSE_WEBHOOK_ALLOW": "127.0.0.1"}
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "lakehouse_notifier", env=environment)
    try:
        await notifiers.fail()
        await receiver.until(1)
    finally:
        process.kill()
        await process.wait()

    seen = Seen()
    async with notifiers.running(seen):
        await notifiers.plane.pass_time(timedelta(minutes=1))
        await seen.until(NotificationSent)

    (sent,) = await notifiers.notifications()
    assert (sent["state"], sent["attempts"]) == ("delivered", 2)
    assert [got.headers["webhook-id"] for got in receiver.received] == [str(sent["id"])] * 2


async def test_a_send_in_flight_is_carried_to_its_end_when_the_notifier_is_told_to_stop(
    notifiers: Notifiers, receiver: Receiver
) -> None:
    await notifiers.route(receiver.url)
    answered = asyncio.Event()
    receiver.script = [Answer(after=answered)]
    seen = Seen()
    async with notifiers.running(seen) as service:
        await notifiers.fail()
        await receiver.until(1)
        service.stopping.drain()
        answered.set()

    (sent,) = await notifiers.notifications()
    assert (sent["state"], sent["attempts"]) == ("delivered", 1)


async def test_a_sender_that_was_overtaken_settles_nothing(notifiers: Notifiers) -> None:
    await notifiers.route("http://127.0.0.1:1/")
    async with open_database(notifiers.dsn, application="test") as database:
        control, clock = NotifierRpc(database), SystemClock()
        await notifiers.fail()
        await Following(control, Seen(), clock, Bell()).step()
        (first,) = await control.lease_notifications(10, 30_000)
        await notifiers.plane.pass_time(timedelta(minutes=1))
        (second,) = await control.lease_notifications(10, 30_000)

        late = await control.settle_notifications([SendOutcome(first.id, first.token, "failed")])
        timely = await control.settle_notifications([SendOutcome(second.id, second.token, "delivered")])

    (sent,) = await notifiers.notifications()
    assert (late, timely) == ({first.id: False}, {first.id: True})
    assert sent["state"] == "delivered"


async def test_a_run_in_quarantine_is_told_of_as_critical(notifiers: Notifiers, receiver: Receiver) -> None:
    """Its executors died too often; nobody called it failed, and somebody must hear of it."""
    plane = notifiers.plane
    await plane.pipeline("poison", retries={"max_losses": 1})
    await notifiers.route(receiver.url)
    seen = Seen()
    async with notifiers.running(seen):
        await plane.work("poison")
        await plane.pass_lease()
        await plane.rescue()
        await receiver.until(2)

    told = {got.json()["data"]["rule"]: got.json()["data"] for got in receiver.received}
    assert set(told) == {"run_failed", "run_quarantined"}
    assert (told["run_quarantined"]["severity"], told["run_quarantined"]["code"]) == ("critical", "RUN_QUARANTINED")
    assert told["run_quarantined"]["summary"].startswith("poison is in quarantine: Phase transform lost its executor")


async def test_a_deadline_missed_in_an_environment_made_later_is_told_of(
    notifiers: Notifiers, receiver: Receiver, postgres: ThrowawayPostgres
) -> None:
    db = notifiers.plane.db
    later = await db.fetchval(
        "select ops.create_environment(e.project_id, 'later') from ops.environments as e where e.id = $1", ENVIRONMENT
    )
    target = {"url": receiver.url}
    await db.fetch("select ops.set_route($1, 'all', '{}', 'webhook', $2)", later, target)
    await notifiers.plane.set_time(datetime(2026, 6, 1, 12, tzinfo=UTC))
    spec = {"name": "books", "expected_by": {"cron": "0 13 * * *", "within_seconds": 3600}}
    bundle = {"digest": "b" * 64, "spec": spec, "files": {}, "phases": ["publish"]}
    await db.fetch("select * from ops.apply_pipeline($1, $2)", later, bundle)
    dispatcher = postgres.dsn(urlsplit(notifiers.plane.dsn).path.removeprefix("/"), role="lakehouse_dispatcher")

    async with keeping_time(dispatcher) as keeper, notifiers.running(Seen()):
        await keeper.one_pass()
        await notifiers.plane.pass_time(timedelta(minutes=61))
        await keeper.one_pass()
        await receiver.until(1)

    told = receiver.received[0].json()["data"]
    (alert,) = await notifiers.alerts()
    assert (told["rule"], told["pipeline"], told["event"]) == ("deadline_missed", "books", "DEADLINE_MISSED")
    assert told["summary"].startswith("books missed its deadline: no run succeeded between 2026-06-01 12:00")
    assert alert["environment_id"] == later


async def test_the_command_checks_its_settings_and_connections(notifiers: Notifiers) -> None:
    async def check(**settings: str) -> tuple[int | None, str]:
        environment = {**os.environ, "LAKEHOUSE_DATABASE_URL": notifiers.dsn, **settings}
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "lakehouse_notifier", "--check", env=environment, stderr=asyncio.subprocess.PIPE
        )
        _, said = await process.communicate()
        return process.returncode, said.decode()

    fine, wrong = await check(), await check(LAKEHOUSE_WEBHOOK_ALLOW="localhost,10.0.0.1/8")

    assert fine[0] == 0
    assert wrong[0] == 2
    assert "LAKEHOUSE_WEBHOOK_ALLOW is not usable: `10.0.0.1/8` is neither" in wrong[1]
