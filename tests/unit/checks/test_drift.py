from __future__ import annotations

from typing import Any, cast

import pytest

from lakehouse_executor.checks.drift import drift, holds
from lakehouse_executor.checks.scope import Scope
from opscore.domain.table import Column, TableVersion
from opscore.domain.validation import Drift as DriftRule

RULE = DriftRule(check="drift", dataset="silver.p")


def version(**types: str) -> TableVersion:
    columns = tuple(Column(at, name, kind) for at, (name, kind) in enumerate(types.items(), start=1))
    return TableVersion("silver.p", "", 1, columns, (), 0, 0)


def scope(now: TableVersion, base: TableVersion | None) -> Scope:
    return Scope(engine=cast("Any", None), table=now, tables={}, parameters={}, base=base)


@pytest.mark.parametrize(
    ("before", "now", "held"),
    [
        ("int", "int", True),
        ("int", "long", True),
        ("long", "int", False),
        ("float", "double", True),
        ("decimal(9, 2)", "decimal(38, 2)", True),
        ("decimal(38, 2)", "decimal(9, 2)", False),
        ("decimal(38, 2)", "decimal(38, 10)", False),
        ("string", "date", False),
    ],
)
def test_a_type_holds_what_it_or_a_narrower_one_held(before: str, now: str, *, held: bool) -> None:
    assert holds(now, before) is held


def test_a_column_of_another_type_fails_and_is_named() -> None:
    found = drift(RULE, scope(version(id="long", day="string", extra="int"), version(id="int", day="date")))

    assert not found.passed
    assert found.message == "1 column of silver.p changed type (day: date became string)"


def test_a_new_table_has_not_drifted() -> None:
    assert drift(RULE, scope(version(id="int"), None)).passed
