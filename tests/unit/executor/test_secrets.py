"""Secrets are named in specs and resolved where the work is done."""

from __future__ import annotations

from pathlib import Path

import pytest

from lakehouse_executor.secrets import resolve_secret
from opscore.domain.errors import InvalidSetting


def test_a_variable_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAMPLE_SECRET", "s3cret")

    assert resolve_secret("env:SAMPLE_SECRET") == "s3cret"


def test_a_file_is_read_without_its_last_newline(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s3cret\n")

    assert resolve_secret(f"file:{tmp_path}/secret") == "s3cret"


@pytest.mark.parametrize("reference", ["env:NOT_SET_ANYWHERE", "file:/not/there", "s3cret", "env:", "file:"])
def test_what_cannot_be_resolved_is_named(reference: str) -> None:
    with pytest.raises(InvalidSetting) as refused:
        resolve_secret(reference)

    assert "Example: env:" in refused.value.message


def test_a_secret_written_where_a_reference_belongs_is_not_repeated() -> None:
    with pytest.raises(InvalidSetting) as refused:
        resolve_secret("postgresql://odoo:hunter2@db/x")

    assert "hunter2" not in refused.value.message
