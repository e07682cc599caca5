"""The helpers that prepare a server, on a real one."""

from __future__ import annotations

from urllib.parse import urlsplit

import asyncpg
import pytest

from lakehouse.embedded.throwaway import ThrowawayPostgres
from opscore.db import admin
from opscore.domain.errors import ControlPlaneUnavailable, NotAllowed


async def test_a_database_is_created_once(postgres: ThrowawayPostgres) -> None:
    made = [await admin.create_database(postgres.dsn(), "made once") for _ in range(2)]

    assert made == [True, False]
    assert await admin.server_version(postgres.dsn("made once")) == postgres.version


async def test_a_clone_holds_what_its_template_holds(postgres: ThrowawayPostgres) -> None:
    template = await postgres.create_database("original")
    connection = await asyncpg.connect(template)
    await connection.execute("create table kept as select 42 as answer")
    await connection.close()

    clone = await postgres.create_database("clone", template=urlsplit(template).path[1:])

    connection = await asyncpg.connect(clone)
    assert await connection.fetchval("select answer from kept") == 42
    await connection.close()


async def test_dropping_a_database_ends_its_sessions_and_may_be_repeated(postgres: ThrowawayPostgres) -> None:
    dsn = await postgres.create_database("dropped")
    session = await asyncpg.connect(dsn)

    for _ in range(2):
        await postgres.drop_database(dsn)

    with pytest.raises((asyncpg.PostgresConnectionError, asyncpg.PostgresError, asyncpg.InterfaceError)):
        await session.fetchval("select 1")


async def test_a_role_logs_in_with_the_password_it_was_given_and_no_other(postgres: ThrowawayPostgres) -> None:
    connection = await asyncpg.connect(postgres.dsn())
    await connection.execute('create role "odd ""name" nologin')
    await connection.close()

    await admin.set_role_password(postgres.dsn(), 'odd "name', "p@ss/word")

    as_role = postgres.embedded.dsn(user='odd "name', password="p@ss/word")
    assert await admin.server_version(as_role) == postgres.version
    with pytest.raises(NotAllowed, match="does not accept the password") as refused:
        await admin.server_version(postgres.embedded.dsn(user='odd "name', password="guess"))
    assert "guess" not in str(refused.value)


async def test_a_server_that_is_not_there_is_named_as_unavailable(unused_tcp_port: int) -> None:
    dsn = f"postgresql://nobody:secret@127.0.0.1:{unused_tcp_port}/postgres"

    with pytest.raises(ControlPlaneUnavailable) as refused:
        await admin.server_version(dsn)

    assert "secret" not in str(refused.value)
