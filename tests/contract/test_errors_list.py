"""contracts/errors.yaml is the one list: it says what the Python tree and the SQL functions say."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from opscore.domain import errors

ROOT = Path(__file__).parents[2]
RAISED_BY_SQL_ALONE = {"RUN_QUARANTINED"}


@pytest.fixture(scope="module")
def listed() -> dict[str, dict[str, Any]]:
    rows = YAML(typ="safe", pure=True).load((ROOT / "contracts" / "errors.yaml").read_text())["errors"]
    assert len({row["code"] for row in rows}) == len(rows), "a code stands twice"
    return {row["code"]: row for row in rows}


def kinds(root: type[errors.OpsError]) -> Iterator[type[errors.OpsError]]:
    for kind in root.__subclasses__():
        if kind.__module__ == errors.__name__:
            yield kind
            yield from kinds(kind)


def own_codes() -> dict[str, type[errors.OpsError]]:
    return {kind.code: kind for kind in kinds(errors.OpsError) if "code" in vars(kind)}


def migrations() -> str:
    return "\n".join(file.read_text() for file in sorted((ROOT / "supabase" / "migrations").glob("*.sql")))


def test_every_class_of_the_tree_is_listed_and_nothing_else(listed: dict[str, dict[str, Any]]) -> None:
    assert set(listed) - RAISED_BY_SQL_ALONE == set(own_codes())


def test_classes_and_hints_are_those_of_the_code(listed: dict[str, dict[str, Any]]) -> None:
    for code, kind in own_codes().items():
        assert (listed[code]["class"], listed[code]["hint"]) == (kind.__name__, kind.default_hint), code


def test_the_tree_drawn_at_the_top_of_the_module_names_every_code() -> None:
    drawn = dict(re.findall(r"[├└]── (\w+)\s+([A-Z_]{6,})", errors.__doc__ or ""))

    assert drawn == {kind.__name__: code for code, kind in own_codes().items()}


def test_refusals_of_sql_functions_are_listed_with_their_status(listed: dict[str, dict[str, Any]]) -> None:
    refusals = set(re.findall(r"ops\.refuse\('([A-Z_]+)', (\d+)", migrations()))

    assert refusals
    for code, status in refusals:
        assert listed[code]["http"] // 100 == int(status) // 100, (
            f"{code}: {status} is more exact than the list at most"
        )


def test_errors_that_sql_writes_onto_runs_are_listed(listed: dict[str, dict[str, Any]]) -> None:
    text = migrations()
    written = set(re.findall(r"""'code', '([A-Z_]+)'""", text)) | set(re.findall(r'"code": "([A-Z_]+)"', text))

    assert written >= RAISED_BY_SQL_ALONE
    assert written <= set(listed)


def test_states_carry_the_http_status(listed: dict[str, dict[str, Any]]) -> None:
    for code, row in listed.items():
        assert row["sqlstate"] == (None if code in RAISED_BY_SQL_ALONE else f"PT{row['http']}"), code
