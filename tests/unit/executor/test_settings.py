"""The executor's settings."""

from __future__ import annotations

import pytest

from lakehouse_executor.settings import ExecutorSettings
from opscore.domain.errors import InvalidSetting

BASE = {"database_url": "postgresql://u:p@127.0.0.1/x", "warehouse": "file:///srv/lake"}


def test_two_executors_never_share_a_name() -> None:
    names = {ExecutorSettings.load(**BASE).executor_name for _ in range(50)}

    assert len(names) == 50


def test_an_executor_offers_its_kind_its_engines_its_size_and_the_smaller_ones() -> None:
    settings = ExecutorSettings.load(**BASE, executor_kind="edge", executor_engines="duckdb, trino")

    assert settings.capabilities == ("edge", "engine:duckdb", "engine:trino", "size:medium", "size:small")


def test_further_capabilities_are_a_sorted_set_without_blanks() -> None:
    settings = ExecutorSettings.load(**BASE, executor_size="small", executor_capabilities=" gpu, a ,gpu,, ")

    assert settings.capabilities == ("a", "container", "engine:duckdb", "gpu", "size:small")


def test_an_executor_whose_capabilities_name_its_kind_has_no_other() -> None:
    settings = ExecutorSettings.load(**BASE, executor_capabilities="engine:duckdb,edge")

    assert "container" not in settings.capabilities


def test_a_setting_out_of_range_is_named_with_an_example(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKEHOUSE_EXECUTOR_SLOTS", "0")

    with pytest.raises(InvalidSetting) as refused:
        ExecutorSettings.load(**BASE)

    assert refused.value.message.startswith("LAKEHOUSE_EXECUTOR_SLOTS is not usable")
    assert "Example: 4" in refused.value.message
