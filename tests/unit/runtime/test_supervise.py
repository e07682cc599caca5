"""A process says how it is, drains when asked, hurries when asked twice, and ends with a code that says how."""

from __future__ import annotations

import os
import signal
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import anyio
import anyio.lowlevel
import httpx
import pytest

from opscore.config import Settings
from opscore.domain.errors import ControlPlaneUnavailable
from opscore.observe.metrics import Metrics
from opscore.observe.observation import ServiceCrashed, ServiceDraining, ServiceHurried, ServiceStarted
from opscore.runtime import supervise as module
from opscore.runtime.clock import SystemClock
from opscore.runtime.service import Service
from opscore.runtime.supervise import start, supervise
from opscore.testing.factories import TestService, make_service

DSN = "postgresql://user:very-secret@127.0.0.1:1/none"


def me(number: int) -> None:
    os.kill(os.getpid(), number)


async def supervised(
    main: Callable[[Service, Settings], Awaitable[None]], **settings: object
) -> tuple[int, TestService]:
    """Run `main` as a service does, on the system's clock."""
    test = make_service()
    service = replace(test.service, clock=SystemClock())
    loaded = Settings.load(database_url=DSN, **settings)
    with anyio.fail_after(60):
        code = await supervise(service, Metrics("test"), loaded, main)
    return code, test


async def test_the_first_sigterm_drains_and_a_drained_service_ends_with_zero() -> None:
    async def main(service: Service, _: Settings) -> None:
        me(signal.SIGTERM)
        await service.stopping.asked()

    code, test = await supervised(main)

    assert code == 0
    assert test.observer.of(ServiceDraining) == [ServiceDraining("SIGTERM")]


async def test_the_second_sigterm_hurries_and_what_still_does_not_end_is_cut_short(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "HURRY_GRACE", 0.01)

    async def main(service: Service, _: Settings) -> None:
        me(signal.SIGTERM)
        await service.stopping.asked()
        me(signal.SIGINT)
        await service.stopping.hurried()
        await anyio.sleep_forever()

    code, test = await supervised(main)

    assert code == 130
    assert test.observer.of(ServiceHurried) == [ServiceHurried("SIGINT")]


async def test_a_third_signal_cancels_at_once() -> None:
    async def main(service: Service, _: Settings) -> None:
        me(signal.SIGTERM)
        await service.stopping.asked()
        me(signal.SIGTERM)
        await service.stopping.hurried()
        me(signal.SIGTERM)
        await anyio.sleep_forever()

    started = anyio.current_time()
    code, _ = await supervised(main)

    assert code == 130
    assert anyio.current_time() - started < module.HURRY_GRACE


async def test_a_crash_ends_with_one_and_is_noticed_with_its_cause() -> None:
    async def main(_service: Service, _settings: Settings) -> None:
        async with anyio.create_task_group():
            raise ValueError("boom")

    code, test = await supervised(main)

    assert code == 1
    assert [str(seen.error) for seen in test.observer.of(ServiceCrashed)] == ["boom"]


async def test_a_stop_while_waiting_for_the_database_is_a_clean_stop() -> None:
    async def main(service: Service, _: Settings) -> None:
        me(signal.SIGTERM)
        await service.stopping.asked()
        raise ControlPlaneUnavailable(reason="still starting")

    code, test = await supervised(main)

    assert code == 0
    assert test.observer.of(ServiceCrashed) == []


async def test_health_and_metrics_are_served_on_the_port_that_the_file_names(tmp_path: Path) -> None:
    answers: list[httpx.Response] = []
    port_file = tmp_path / "state" / "test.port"

    async def main(service: Service, _: Settings) -> None:
        base = f"http://127.0.0.1:{int(port_file.read_text())}"
        async with httpx.AsyncClient(base_url=base, trust_env=False) as client:
            answers.append(await client.get("/health"))
            service.health.well("database")
            answers.append(await client.get("/health"))
            service.health.ill("listener", "its notifications do not come back")
            answers.append(await client.get("/health"))
            answers.append(await client.get("/metrics"))

    code, test = await supervised(main, health_file=str(port_file))

    assert code == 0
    assert [answer.status_code for answer in answers] == [503, 200, 503, 200]
    assert answers[2].json()["components"]["listener"] == {
        "healthy": False,
        "fault": "its notifications do not come back",
    }
    assert b"lakehouse_service_state" in answers[3].content
    assert test.observer.of(ServiceStarted)[0].port == int(port_file.read_text())


async def test_a_taken_health_port_is_told_as_a_setting() -> None:
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1", reuse_port=False)
    port = listener.extra(anyio.abc.SocketAttribute.local_port)
    async with listener:
        code, test = await supervised(lambda *_: anyio.lowlevel.checkpoint(), health_port=port)

    assert code == 2
    assert "LAKEHOUSE_HEALTH_PORT" in str(test.observer.of(ServiceCrashed)[0].error)


def test_a_setting_that_cannot_be_used_ends_the_start_with_two_and_tells_no_secret(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LAKEHOUSE_DATABASE_URL", "mysql://user:very-secret@host/db")

    async def main(_service: Service, _settings: Settings) -> None:
        raise AssertionError("not started")

    code = start("dispatcher", Settings, main, lambda _: [])

    text = capsys.readouterr().err
    assert code == 2
    assert "LAKEHOUSE_DATABASE_URL" in text
    assert "very-secret" not in text
