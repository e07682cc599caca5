"""The demo's source: dumps load where their roles and extensions are missing, once, and are only read."""

from __future__ import annotations

import gzip
import os
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from lakehouse.demo.database import SourceServer, source_server
from lakehouse.demo.dump import database_of, restored
from lakehouse.demo.source import Wanted, source_url
from lakehouse.embedded import bringup, lock, source
from lakehouse.embedded.service import Program
from lakehouse.embedded.settings import StackSettings
from lakehouse.embedded.throwaway import ThrowawayPostgres
from opscore.db import admin
from opscore.db.load import loading
from opscore.domain.errors import Conflict, InvalidInput, InvalidSetting, OpsError

DUMP = r"""
\restrict theirs
create extension if not exists not_on_this_machine with schema public;
comment on extension not_on_this_machine is 'gone';
create table public.account_move (id integer primary key, name text);
alter table public.account_move owner to odoo_of_somebody_else;
grant select on public.account_move to accountant_of_somebody_else;
COPY public.account_move (id, name) FROM stdin;
1	\\restrict is a word
2	INV/2026/0042
\.
create index by_trigram on public.account_move using gin (name public.gin_not_here_ops);
\unrestrict theirs
"""


@pytest.fixture
def settings(postgres: ThrowawayPostgres, tmp_path: Path) -> StackSettings:
    return StackSettings.load({"LAKEHOUSE_DATABASE_URL": postgres.dsn(), "LAKEHOUSE_HOME": str(tmp_path / "home")})


@pytest.fixture
def home_of_its_own(control_dsn: str, tmp_path: Path) -> StackSettings:
    """Settings of a stack on a control plane of this test's own."""
    return StackSettings.load({"LAKEHOUSE_DATABASE_URL": control_dsn, "LAKEHOUSE_HOME": str(tmp_path / "home")})


@pytest.fixture
async def server(settings: StackSettings) -> AsyncIterator[SourceServer]:
    async with source_server(settings) as opened:
        yield opened


@pytest.fixture
async def clean(postgres: ThrowawayPostgres) -> AsyncIterator[list[str]]:
    """Databases to drop in the end, by name."""
    names: list[str] = []
    yield names
    for name in names:
        await admin.drop_database(postgres.dsn(), name)


def dump_file(folder: Path, text: str = DUMP) -> Path:
    file = folder / "odoo.sql.gz"
    file.write_bytes(gzip.compress(text.encode()))
    return file


def silent(_: str) -> None:
    """Tells nobody."""


async def test_a_dump_loads_without_its_roles_and_extensions(
    server: SourceServer, tmp_path: Path, clean: list[str]
) -> None:
    dump = dump_file(tmp_path)
    clean.append(database_of(dump))

    name = await restored(server, dump, silent)

    async with loading(admin.with_database(server.dsn, name)) as session:
        rows = await session.fetch("select id, name from public.account_move order by id")
    assert rows == [(1, r"\restrict is a word"), (2, "INV/2026/0042")]


async def test_a_dump_is_loaded_once(server: SourceServer, tmp_path: Path, clean: list[str]) -> None:
    dump, said = dump_file(tmp_path), list[str]()
    clean.append(database_of(dump))

    first = await restored(server, dump, said.append)
    second = await restored(server, dump, said.append)

    assert first == second
    assert len(said) == 1


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (r"\! touch /tmp/lakehouse-was-here", "restricted"),
        ("select 1;\n\\copy account_move from program 'id'\n", "restricted"),
        ("create table a (id int);\nCOPY a (id) FROM stdin;\nnot a number\n\\.\n", "invalid input syntax"),
        ("this is no dump;", "syntax error"),
    ],
    ids=["shell", "program", "rows", "text"],
)
async def test_a_dump_that_does_not_load_leaves_nothing(
    server: SourceServer, tmp_path: Path, clean: list[str], text: str, fault: str
) -> None:
    dump = dump_file(tmp_path, text)
    clean.append(f"{database_of(dump)}_draft")

    with pytest.raises(InvalidInput, match=fault):
        await restored(server, dump, silent)

    async with loading(server.dsn) as session:
        found = await session.fetch("select 1 from pg_database where datname = $1", database_of(dump))
    assert found == []


async def test_a_dump_that_was_cut_off_is_refused(server: SourceServer, tmp_path: Path, clean: list[str]) -> None:
    dump = dump_file(tmp_path, DUMP * 200)
    dump.write_bytes(dump.read_bytes()[:-20])
    clean.append(f"{database_of(dump)}_draft")

    with pytest.raises(InvalidInput, match="not a whole gzip file"):
        await restored(server, dump, silent)


async def test_the_executor_may_read_the_source_and_change_nothing(
    server: SourceServer, tmp_path: Path, clean: list[str]
) -> None:
    dump = dump_file(tmp_path)
    clean.append(database_of(dump))
    url = await server.reader_url(await restored(server, dump, silent))

    async with loading(url) as session:
        rows = await session.fetch("select count(*) from public.account_move")
    with pytest.raises(Exception, match="permission denied"):
        async with loading(url) as session:
            await session.execute("delete from public.account_move")

    assert rows == [(2,)]


async def test_an_erp_is_generated_once(settings: StackSettings, clean: list[str]) -> None:
    said: list[str] = []
    wanted = Wanted(scale=0.02)
    clean.append("odoo_demo_0_02")

    first = await source_url(wanted, settings, said.append)
    told = len(said)
    second = await source_url(wanted, settings, said.append)

    assert first == second
    assert (told, len(said)) == (2, 2)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The environment that the services of the next stack would be given; none is started."""
    told: dict[str, str] = {}

    def programs(*given: Any) -> list[Program]:
        told.clear()
        told.update(given[-1])
        return []

    monkeypatch.setattr(bringup, "all_programs", programs)
    return told


async def environment_of_a_start(settings: StackSettings, told: dict[str, str], **more: str) -> dict[str, str]:
    environ = {"PATH": os.environ["PATH"], "LAKEHOUSE_DATABASE_URL": settings.database_url or "", **more}
    async with bringup.bring_up(settings.home, port=0, environ=environ):
        pass
    return dict(told)


async def test_a_stack_started_after_a_demo_reads_the_demos_source(
    home_of_its_own: StackSettings, told: dict[str, str], tmp_path: Path, clean: list[str]
) -> None:
    dump = dump_file(tmp_path)
    clean.append(database_of(dump))

    url = await source_url(Wanted(dump=dump), home_of_its_own, silent)

    found = (await environment_of_a_start(home_of_its_own, told))["ODOO_DATABASE_URL"]
    assert found == url
    async with loading(found) as session:
        assert await session.fetch("select count(*) from public.account_move") == [(2,)]
    password = urlsplit(url).password or ""
    holders = [file.name for file in home_of_its_own.home.glob("*.json") if password in file.read_text()]
    assert holders == ["secrets.json"]


async def test_a_source_that_is_given_wins_over_a_demos(
    home_of_its_own: StackSettings, told: dict[str, str], tmp_path: Path, clean: list[str]
) -> None:
    dump, given = dump_file(tmp_path), "postgresql://reader:secret@erp.example:5432/odoo"
    clean.append(database_of(dump))
    await source_url(Wanted(dump=dump), home_of_its_own, silent)

    named = await environment_of_a_start(home_of_its_own, told, ODOO_DATABASE_URL=given)
    await source_url(Wanted(given=given), home_of_its_own, silent)
    later = await environment_of_a_start(home_of_its_own, told)

    assert named["ODOO_DATABASE_URL"] == given
    assert "ODOO_DATABASE_URL" not in later


async def test_a_demos_source_is_not_looked_for_on_another_server(
    home_of_its_own: StackSettings, tmp_path: Path, clean: list[str]
) -> None:
    dump = dump_file(tmp_path)
    clean.append(database_of(dump))
    await source_url(Wanted(dump=dump), home_of_its_own, silent)
    other = replace(home_of_its_own, database_url="postgresql://owner:secret@db.example:5432/lakehouse")

    assert source.remembered(other, other.database_url or "") == {}


async def test_a_given_source_is_used_as_it_is(settings: StackSettings) -> None:
    url = "postgresql://reader:secret@erp.example:5432/odoo"

    assert await source_url(Wanted(given=url), settings, silent) == url


async def test_a_given_source_that_is_no_address_is_named(settings: StackSettings) -> None:
    with pytest.raises(InvalidSetting, match="ODOO_DATABASE_URL") as caught:
        await source_url(Wanted(given="mysql://root:secret@erp/odoo"), settings, silent)

    assert "secret" not in caught.value.message


async def test_a_home_whose_stack_runs_is_left_alone(settings: StackSettings) -> None:
    with lock.only_supervisor(settings.home), pytest.raises(Conflict, match="runs on") as caught:
        await source_url(Wanted(), settings, silent)

    assert isinstance(caught.value, OpsError)
    assert "lakehouse down" in caught.value.hint
