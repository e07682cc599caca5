from __future__ import annotations

import json

import pytest

from opscore.domain.errors import LakeUnavailable, OpsError, QueryFailed, StorageFull
from opscore.engines.duckdb_faults import explain


def fault(kind: str, text: str, position: int | None = None) -> Exception:
    facts = {"exception_message": text} | ({"position": str(position)} if position is not None else {})
    return OSError(f"{kind} Error: {json.dumps(facts)}")


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (fault("Binder", "no\ncolumn", 8), QueryFailed, "Binder Error: no column (line 1, column 9)"),
        (fault("Catalog", "no table"), QueryFailed, "Catalog Error: no table"),
        (
            fault("IO", "No files found"),
            LakeUnavailable,
            "The lake at the tables' files does not answer: No files found.",
        ),
        (fault("IO", "write: No space left on device"), StorageFull, "intermediate results"),
        (fault("Out of Memory", "failed to offload data block; max_temp_directory_size"), StorageFull, "intermediate"),
        (fault("Out of Memory", "could not allocate block"), QueryFailed, "needs more memory than it may use"),
        (ValueError("odd"), QueryFailed, "odd"),
    ],
)
def test_faults_become_errors_of_ours(error: Exception, kind: type[OpsError], message: str) -> None:
    explained = explain(error, "select a, b")

    assert type(explained) is kind
    assert message in explained.message


def test_positions_are_bytes_and_are_told_as_line_and_column() -> None:
    sql = "select 'ü',\n  foo"

    explained = explain(
        fault("Binder", "no foo", len("explain ") + len("select 'ü',\n  ".encode())), sql, prefix="explain "
    )

    assert (explained.facts["line"], explained.facts["column"]) == (2, 3)


def test_a_position_in_what_was_put_around_is_not_told() -> None:
    explained = explain(fault("Parser", "odd", 3), "select 1", prefix="explain ")

    assert explained.facts == {}
