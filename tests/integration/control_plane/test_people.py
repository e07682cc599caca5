"""Every cell of who may do what, asserted by pgTAP in supabase/tests."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from support import tap
from support.plane import Plane

TESTS = sorted((tap.ROOT / "supabase" / "tests").glob("*.sql"))


@pytest.fixture(scope="session")
def pgtap() -> str:
    try:
        return tap.pgtap()
    except tap.Missing as missing:
        pytest.skip(str(missing))


@pytest.mark.parametrize("file", TESTS, ids=lambda file: file.stem)
async def test_every_cell_is_as_the_matrix_says(plane: Plane, pgtap: str, file: Path) -> None:
    await tap.load(plane.db, pgtap)

    result = await tap.run(plane.db, file)

    assert result.failed == []
    assert result.passed > 1000


async def test_a_table_without_a_row_in_the_matrix_fails(plane: Plane, pgtap: str) -> None:
    await tap.load(plane.db, pgtap)
    await plane.db.execute("create table ops.planted (id integer primary key)")
    await plane.db.execute("set people.relations = 'ops.planted'")

    result = await tap.run(plane.db, tap.ROOT / "supabase" / "tests" / "people.sql")

    assert len(result.failed) == 1
    assert "every table and view has a row in the matrix" in result.failed[0]


async def test_a_policy_that_lets_strangers_in_fails(plane: Plane, pgtap: str) -> None:
    await tap.load(plane.db, pgtap)
    await plane.db.execute("create policy planted on ops.signals for select to authenticated using (true)")
    await plane.db.execute("set people.relations = 'ops.signals'")

    result = await tap.run(plane.db, tap.ROOT / "supabase" / "tests" / "people.sql")

    assert any(
        "select ops.signals: viewer, project asks about sibling_organization" in failed for failed in result.failed
    )
    assert all("signals" in failed for failed in result.failed)


def test_without_an_archive_the_text_says_what_is_missing(tmp_path: Path) -> None:
    script = tmp_path / "tools" / "pgtap.sh"
    script.parent.mkdir()
    for needed in ("pgtap.sh", "debian.sh"):
        shutil.copy(tap.ROOT / "tools" / needed, script.parent)
    for silent in ("find", "apt-cache", "apt-get"):  # nothing is installed, nothing answers
        (tmp_path / silent).write_text("#!/bin/sh\nexit 100\n", encoding="utf-8")
        (tmp_path / silent).chmod(0o755)

    ended = subprocess.run(
        ["bash", script], env={"PATH": f"{tmp_path}:{os.environ['PATH']}"}, capture_output=True, text=True, check=False
    )

    assert (ended.returncode, ended.stdout) == (tap.NOT_TO_BE_HAD, "")
    assert ended.stderr.startswith("pgTAP is not to be had: it is not installed, and Debian's archive does not answer.")


def test_statements_end_where_they_end() -> None:
    script = "select ';'; -- a ; here\nselect $$ ; $$, $a$ $$ ; $a$; /* ; */ select \"a;b\""

    assert [statement.strip() for statement in tap.statements(script)] == [
        "select ';'",
        "-- a ; here\nselect $$ ; $$, $a$ $$ ; $a$",
        '/* ; */ select "a;b"',
    ]
