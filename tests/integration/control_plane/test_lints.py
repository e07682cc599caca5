"""What Supabase's advisors look for, and what they miss: nothing in our schemas, and every planted fault is found."""

from __future__ import annotations

from pathlib import Path

import asyncpg
import pytest

from support import tap
from support.plane import Plane

FOLDER = tap.ROOT / "supabase" / "lints"
LINTS = sorted(FOLDER.glob("0*.sql"))


def allowed() -> set[tuple[str, str]]:
    lines = (FOLDER / "allowed.txt").read_text(encoding="utf-8").splitlines()
    rows = [line.split(" ", 2) for line in lines if line and not line.startswith("#")]
    assert all(len(row) == 3 for row in rows), "each line has a lint, an object and a reason"
    return {(row[0], row[1]) for row in rows}


async def findings(plane: Plane, lint: Path) -> list[tuple[str, str]]:
    rows = await plane.db.fetch(lint.read_text(encoding="utf-8"))
    return [(row["object"], row["detail"]) for row in rows]


@pytest.fixture
async def looking(plane: Plane) -> Plane:
    await plane.db.execute("set pgrst.db_schemas = 'api'")
    await plane.db.execute((FOLDER / "common.sql").read_text(encoding="utf-8"))
    return plane


@pytest.mark.parametrize("lint", LINTS, ids=lambda lint: lint.stem)
async def test_our_schemas_have_no_finding(looking: Plane, lint: Path) -> None:
    found = await findings(looking, lint)

    known = allowed()
    assert [f for f in found if not {(lint.stem, f[0]), (lint.stem, "*")} & known] == []


@pytest.mark.parametrize("lint", LINTS, ids=lambda lint: lint.stem)
async def test_a_planted_fault_is_found(looking: Plane, lint: Path) -> None:
    before = await findings(looking, lint)
    planted = (FOLDER / "planted" / lint.name).read_text(encoding="utf-8")

    async with looking.db.transaction():
        await looking.db.execute(planted)
        try:
            after = await findings(looking, lint)
        except asyncpg.FeatureNotSupportedError:
            pytest.skip("this Postgres is built without libxml, which that lint needs; Debian's packages have it")

    assert set(after) - set(before)


def test_only_information_can_be_allowed() -> None:
    for name, _ in allowed():
        assert (FOLDER / f"{name}.sql").read_text(encoding="utf-8").startswith("-- INFO: ")


def test_every_lint_has_a_level_and_a_planted_fault() -> None:
    assert [lint.name for lint in LINTS] == [planted.name for planted in sorted((FOLDER / "planted").glob("*.sql"))]
    for lint in LINTS:
        assert lint.read_text(encoding="utf-8").startswith(("-- INFO: ", "-- WARN: ", "-- ERROR: ")), lint.name
