"""Every cell of who may do what, asserted by pgTAP in supabase/tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from support import tap
from support.plane import Plane

TESTS = sorted((tap.ROOT / "supabase" / "tests").glob("*.sql"))


@pytest.fixture(scope="session")
def pgtap() -> str:
    found = tap.pgtap()
    if found is None and not os.environ.get("CI"):
        pytest.skip("pgTAP comes from Debian's archive, and this is no Debian")
    assert found is not None
    return found


@pytest.mark.parametrize("file", TESTS, ids=lambda file: file.stem)
async def test_every_cell_is_as_the_matrix_says(plane: Plane, pgtap: str, file: Path) -> None:
    await tap.load(plane.db, pgtap)

    result = await tap.run(plane.db, file)

    assert result.failed == []
    assert result.passed > 1000


async def test_a_table_without_a_row_in_the_matrix_fails(plane: Plane, pgtap: str) -> None:
    await tap.load(plane.db, pgtap)
    await plane.db.execute("create table ops.planted (id integer primary key)")

    result = await tap.run(plane.db, tap.ROOT / "supabase" / "tests" / "people.sql")

    assert len(result.failed) == 1
    assert "every table and view has a row in the matrix" in result.failed[0]


async def test_a_policy_that_lets_strangers_in_fails(plane: Plane, pgtap: str) -> None:
    await tap.load(plane.db, pgtap)
    await plane.db.execute("create policy planted on ops.signals for select to authenticated using (true)")

    result = await tap.run(plane.db, tap.ROOT / "supabase" / "tests" / "people.sql")

    assert any(
        "select ops.signals: viewer, project asks about sibling_organization" in failed for failed in result.failed
    )
    assert all("signals" in failed for failed in result.failed)


def test_statements_end_where_they_end() -> None:
    script = "select ';'; -- a ; here\nselect $$ ; $$, $a$ $$ ; $a$; /* ; */ select \"a;b\""

    assert [statement.strip() for statement in tap.statements(script)] == [
        "select ';'",
        "-- a ; here\nselect $$ ; $$, $a$ $$ ; $a$",
        '/* ; */ select "a;b"',
    ]
