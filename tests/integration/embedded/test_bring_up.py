"""The whole stack around pretended services: order, healing, stopping, leftovers, one supervisor per home."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import anyio
import asyncpg
import psutil
import pytest

from lakehouse.embedded import bringup, lock, programs, stack, supervisor
from lakehouse.embedded.bringup import bring_up
from lakehouse.embedded.postgres import EmbeddedPostgres
from lakehouse.embedded.process import Identity
from lakehouse.embedded.status import StackStatus, State
from opscore.domain.errors import Conflict, NotAllowed, NotFound, Unexpected

PRETEND = str(Path(__file__).with_name("pretend_service.py"))
PATIENCE = 60.0
LOOK = 0.02


@pytest.fixture
def home(open_folder: Path) -> Path:
    return open_folder / "home"


@pytest.fixture
def environ() -> Mapping[str, str]:
    """The environment of a stack on the binaries the tests run on."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("LAKEHOUSE_", "SUPABASE_"))}
    return {**kept, "LAKEHOUSE_PG_BINDIR": os.environ.get("LAKEHOUSE_TEST_PG", "")}


@pytest.fixture
def behave(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Put pretended services in place of the real ones; name=manner gives one of them a manner."""
    real = programs.all_programs

    def install(**manners: str) -> None:
        def pretended(*facts: object) -> list[programs.Program]:
            return [
                replace(one, argv=(sys.executable, PRETEND, manners.get(one.name, "good")))
                for one in real(*facts)  # type: ignore[arg-type]
            ]

        monkeypatch.setattr(bringup, "all_programs", pretended)
        monkeypatch.setattr(supervisor, "EmbeddedPostgres", partial(EmbeddedPostgres, durable=False))

    install()
    return install


@pytest.fixture
def brief_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "GRACE_SECONDS", 0.3)


async def until(condition: Callable[[], bool]) -> None:
    with anyio.fail_after(PATIENCE):
        while not condition():  # noqa: ASYNC110 - other processes cannot set our events
            await anyio.sleep(LOOK)


async def fetch(dsn: str, statement: str) -> object:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


@pytest.mark.usefixtures("behave")
async def test_everything_runs_inside_the_block_and_nothing_after_it(home: Path, environ: Mapping[str, str]) -> None:
    steps: list[str] = []

    async with bring_up(home, port=0, environ=environ, on_progress=steps.append) as up:
        inside = await stack.status(home)
        migrated = await fetch(up.status.database.url, "select count(*) > 0 from ops.runs having true")

    after = await stack.status(home)
    assert inside.healthy
    assert [one.name for one in inside.services] == [*programs.SERVICES, "postgres"]
    assert len({one.pid for one in inside.services}) == 6
    assert migrated is False
    assert (home / "warehouse" / ".lakehouse-warehouse").exists()
    assert steps[0].startswith("Postgres ")
    assert steps[-1] == f"The control room is open at {inside.url}"
    assert not after.healthy
    assert {one.state for one in after.services} == {State.STOPPED}
    assert not any(one.identity and one.identity.alive() for one in inside.services)


@pytest.mark.usefixtures("behave")
async def test_each_service_logs_in_as_its_own_role_and_none_is_given_the_owners_password(
    home: Path, environ: Mapping[str, str]
) -> None:
    async with bring_up(home, port=0, environ={**environ, "LAKEHOUSE_LOG_LEVEL": "debug"}) as up:
        owner = up.status.database.url
        for name in programs.SERVICES:
            given = psutil.Process(up.status.service(name).pid).environ()
            assert await fetch(given["LAKEHOUSE_DATABASE_URL"], "select current_user") == f"lakehouse_{name}"
            assert given["LAKEHOUSE_LOG_LEVEL"] == "debug"
            assert owner.split("@")[0] not in json.dumps(given)


@pytest.mark.usefixtures("behave")
async def test_what_is_killed_comes_back_where_it_was(home: Path, environ: Mapping[str, str]) -> None:
    async with bring_up(home, port=0, environ=environ) as up:
        url = up.status.database.url
        for name in ("executor", "postgres", "controlroom"):
            os.kill(up.status.service(name).pid or 0, signal.SIGKILL)
        await until(
            lambda: all(up.status.service(name).restarts == 1 for name in ("executor", "postgres", "controlroom"))
        )
        await until(lambda: up.status.healthy)

        assert up.status.database.url == url
        assert await fetch(url, "select 1") == 1
        assert (await stack.status(home)).healthy


async def test_a_killed_services_workers_go_with_it(
    home: Path, environ: Mapping[str, str], behave: Callable[..., None]
) -> None:
    behave(executor="leaves_a_worker")
    async with bring_up(home, port=0, environ=environ) as up:
        worker = Identity.of(int((home / "run" / "executor.worker").read_text(encoding="ascii")))
        assert worker is not None
        assert worker.alive()

        os.kill(up.status.service("executor").pid or 0, signal.SIGKILL)
        await until(lambda: up.status.service("executor").restarts == 1)

        assert not worker.alive()


async def test_a_service_that_does_not_start_is_named_with_its_last_words(
    home: Path, environ: Mapping[str, str], behave: Callable[..., None]
) -> None:
    behave(scorer="broken")

    with pytest.raises(Unexpected, match=r"Service scorer does not start: the setting X is missing") as refused:
        async with bring_up(home, port=0, environ=environ):
            pass

    assert str(home / "logs" / "scorer.log") in refused.value.hint
    assert StackStatus.read(home).fault == refused.value.as_json()
    assert {one.state for one in (await stack.status(home)).services} == {State.STOPPED}


@pytest.mark.usefixtures("behave")
async def test_an_error_in_the_block_passes_through_as_it_is(home: Path, environ: Mapping[str, str]) -> None:
    with pytest.raises(NotFound, match="There is no run 7"):
        async with bring_up(home, port=0, environ=environ):
            raise NotFound(kind="run", name="7", noun="run")

    assert StackStatus.read(home).fault is None


@pytest.mark.usefixtures("behave")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_ends_the_block_and_the_stack(
    home: Path, environ: Mapping[str, str], number: signal.Signals
) -> None:
    async with bring_up(home, port=0, environ=environ) as up:
        running = [one.identity for one in up.status.services]
        os.kill(os.getpid(), number)
        await anyio.sleep_forever()

    assert up.interrupted
    assert not any(one and one.alive() for one in running)


@pytest.mark.usefixtures("brief_grace")
async def test_a_service_that_will_not_end_is_ended(
    home: Path, environ: Mapping[str, str], behave: Callable[..., None]
) -> None:
    behave(notifier="stubborn")

    async with bring_up(home, port=0, environ=environ) as up:
        stubborn = up.status.service("notifier").identity

    assert stubborn is not None
    assert not stubborn.alive()


async def test_a_second_signal_hurries(home: Path, environ: Mapping[str, str], behave: Callable[..., None]) -> None:
    behave(notifier="stubborn")

    async with bring_up(home, port=0, environ=environ):
        asked = anyio.current_time()
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
        await anyio.sleep_forever()

    assert anyio.current_time() - asked < supervisor.GRACE_SECONDS


@pytest.mark.usefixtures("behave")
async def test_a_second_supervisor_on_the_same_home_is_refused(home: Path, environ: Mapping[str, str]) -> None:
    async with bring_up(home, port=0, environ=environ):
        with pytest.raises(Conflict, match="A stack runs on"):
            async with bring_up(home, port=0, environ=environ):
                pass

        assert (await stack.status(home)).healthy


@pytest.mark.usefixtures("behave")
async def test_two_homes_run_side_by_side(open_folder: Path, environ: Mapping[str, str]) -> None:
    async with (
        bring_up(open_folder / "one", port=0, environ=environ) as one,
        bring_up(open_folder / "two", port=0, environ={**environ, "LAKEHOUSE_PG_BINDIR": "wheel"}) as two,
    ):
        both = [await stack.status(open_folder / name) for name in ("one", "two")]

    assert all(status.healthy for status in both)
    assert one.status.url != two.status.url
    assert one.status.database.url != two.status.database.url


@pytest.mark.usefixtures("behave")
async def test_a_database_that_is_given_is_used_and_no_postgres_is_started(
    home: Path, environ: Mapping[str, str], control_dsn: str
) -> None:
    given = {**environ, "LAKEHOUSE_DATABASE_URL": control_dsn}

    async with bring_up(home, port=0, environ=given) as up:
        status = up.status
        seen = psutil.Process(status.service("executor").pid).environ()["LAKEHOUSE_DATABASE_URL"]

    assert [one.name for one in status.services] == list(programs.SERVICES)
    assert not status.database.embedded
    assert seen == control_dsn
    assert not (home / "postgres").exists()


@pytest.mark.usefixtures("behave")
async def test_a_given_database_with_a_wrong_password_is_refused_without_showing_it(
    home: Path, environ: Mapping[str, str], control_dsn: str
) -> None:
    wrong = control_dsn.replace(":", ":not-this-", 2).replace(":not-this-//", "://", 1)

    with pytest.raises(NotAllowed, match="does not accept the password of role postgres") as refused:
        async with bring_up(home, port=0, environ={**environ, "LAKEHOUSE_DATABASE_URL": wrong}):
            pass

    assert "not-this" not in str(refused.value.as_json())


@pytest.fixture
async def background(
    open_folder: Path, home: Path, environ: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Path]:
    """An environment whose console scripts are pretended services, for stacks in the background; stopped at the end."""
    folder = open_folder / "environment"
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "python").symlink_to(sys.executable)
    real = Path(sys.executable).parents[1]
    if (real / "pyvenv.cfg").exists():
        (folder / "pyvenv.cfg").write_text((real / "pyvenv.cfg").read_text(encoding="utf-8"), encoding="utf-8")
        (folder / "lib").symlink_to(real / "lib")
    for name in programs.SERVICES:
        script = folder / "bin" / f"lakehouse-{name}"
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{PRETEND}" good\n', encoding="utf-8")
        script.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(folder / "bin" / "python"))
    for name in [name for name in os.environ if name.startswith("LAKEHOUSE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("LAKEHOUSE_PG_BINDIR", environ["LAKEHOUSE_PG_BINDIR"])
    monkeypatch.setenv("LAKEHOUSE_HOME", str(home))
    yield home
    await stack.down(home)


@pytest.mark.usefixtures("background")
async def test_a_stack_in_the_background_is_healthy_when_up_returns_and_gone_when_down_does(home: Path) -> None:
    steps: list[str] = []

    first = await stack.up(home, port=0, on_progress=steps.append)
    second = await stack.up(home, port=0)
    stopped = await stack.down(home)
    again = await stack.down(home)

    assert first.healthy
    assert "Starting the services." in steps
    assert [one.pid for one in second.services] == [one.pid for one in first.services]
    assert (stopped, again) == (True, False)
    assert not any(one.identity and one.identity.alive() for one in first.services)


@pytest.mark.usefixtures("background")
async def test_a_service_that_is_slow_to_answer_has_not_failed(open_folder: Path, home: Path) -> None:
    script = open_folder / "environment" / "bin" / "lakehouse-executor"
    script.write_text(script.read_text(encoding="utf-8").replace(" good", " slow"), encoding="utf-8")

    started = await stack.up(home, port=0)

    assert started.healthy


@pytest.mark.usefixtures("background")
async def test_a_stack_comes_back_after_everything_was_killed(home: Path) -> None:
    before = await stack.up(home, port=0)
    assert before.supervisor is not None
    for victim in (before.supervisor, *(one.identity for one in before.services)):
        assert victim is not None
        victim.signal(signal.SIGKILL)
    await until(lambda: not any(one.identity and one.identity.alive() for one in before.services))

    seen = await stack.status(home)
    after = await stack.up(home, port=0)

    assert not seen.healthy
    assert {one.state for one in seen.services} == {State.STOPPED}
    assert after.healthy
    assert after.database.url == before.database.url


@pytest.mark.usefixtures("background")
async def test_services_that_outlived_their_supervisor_are_ended_by_the_next_one(home: Path) -> None:
    before = await stack.up(home, port=0)
    assert before.supervisor is not None
    before.supervisor.signal(signal.SIGKILL)
    await until(lambda: before.supervisor is not None and not before.supervisor.alive())
    left = [one.identity for one in before.services if one.identity is not None]
    assert all(one.alive() for one in left)

    after = await stack.up(home, port=0)

    assert after.healthy
    assert [one.alive() for one in left] == [False] * 5 + [True]  # Postgres is adopted
    assert after.service("postgres").pid == before.service("postgres").pid


@pytest.mark.usefixtures("background")
async def test_down_ends_what_a_killed_supervisor_left(home: Path) -> None:
    before = await stack.up(home, port=0)
    assert before.supervisor is not None
    before.supervisor.signal(signal.SIGKILL)
    await until(lambda: not lock.is_held(home))

    assert await stack.down(home)

    assert not any(one.identity and one.identity.alive() for one in before.services)
    assert not psutil.pid_exists(before.supervisor.pid)  # not even as a zombie of ours


@pytest.mark.usefixtures("background")
async def test_up_raises_what_kept_the_stack_from_coming_up(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as nobody_listens:
        nobody_listens.bind(("127.0.0.1", 0))
        url = f"postgresql://user:geheim@127.0.0.1:{nobody_listens.getsockname()[1]}/lakehouse"
        monkeypatch.setenv("LAKEHOUSE_DATABASE_URL", url)

        with pytest.raises(Exception, match="does not answer") as refused:
            await stack.up(home, port=0)

    assert type(refused.value).__name__ == "ControlPlaneUnavailable"
    assert "geheim" not in (home / "logs" / "supervisor.log").read_text(encoding="utf-8")
