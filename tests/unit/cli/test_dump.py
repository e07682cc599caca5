"""A dump is data: what it may do on this machine is decided here."""

from __future__ import annotations

from pathlib import Path

import pytest

from lakehouse.demo.dump import database_of, harmless
from lakehouse.demo.pipelines import MARTS, NAMES, spec_files
from lakehouse.demo.source import erp_name
from opscore.domain.errors import NotFound


def passed(*lines: bytes) -> list[bytes]:
    return list(harmless(iter(lines)))


def test_a_dump_is_read_restricted_under_a_key_it_cannot_know() -> None:
    first, second = passed(b"select 1;\n"), passed(b"select 1;\n")

    key = first[0].split()[1]
    assert first == [b"\\restrict " + key + b"\n", b"select 1;\n", b"\n\\unrestrict " + key + b"\n"]
    assert key != second[0].split()[1]


def test_a_dump_cannot_lift_the_restriction() -> None:
    lines = passed(b"\\restrict abc\n", b"\\unrestrict abc\n", b"select 1;\n")

    assert lines[1:-1] == [b"select 1;\n"]


def test_rows_that_look_like_commands_stay_rows() -> None:
    rows = (b"COPY public.a (b) FROM stdin;\n", b"\\restrict is a word\n", b"\\.\n", b"\\restrict abc\n")

    assert passed(*rows)[1:-1] == list(rows[:3])


def test_a_dump_is_named_after_its_content(tmp_path: Path) -> None:
    one, same, other = (tmp_path / name for name in ("a.gz", "b.gz", "c.gz"))
    one.write_bytes(b"x")
    same.write_bytes(b"x")
    other.write_bytes(b"y")

    assert database_of(one) == database_of(same) != database_of(other)


def test_a_dump_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="cannot be read"):
        database_of(tmp_path / "none.sql.gz")


def test_each_scale_has_a_database_of_its_own() -> None:
    assert [erp_name(scale) for scale in (1, 1.0, 10, 0.5)] == [
        "odoo_demo",
        "odoo_demo",
        "odoo_demo_10",
        "odoo_demo_0_5",
    ]


def test_the_three_reference_pipelines_are_at_hand() -> None:
    assert [file.stem for file in spec_files()] == list(NAMES)
    assert all(f"table: {mart}" in spec_files()[2].read_text() for mart in MARTS)
