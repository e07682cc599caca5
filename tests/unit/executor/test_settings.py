"""The executor's settings."""

from __future__ import annotations

import pytest

from lakehouse_executor.settings import ExecutorSettings
from opscore.domain.errors import InvalidSetting

BASE = {"database_url": "postgresql://u:p@127.0.0.1/x", "warehouse": "file:///srv/lake"}


def test_two_executors_never_share_a_name() -> None:
    names = {ExecutorSettings.load(**BASE).executor_name for _ in range(50)}

    assert len(names) == 50


def test_capabilities_are_a_sorted_set() -> None:
    settings = ExecutorSettings.load(**BASE, executor_capabilities=" b, a ,b,, ")

    assert settings.capabilities == ("a", "b")


def test_a_setting_out_of_range_is_named_with_an_example(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKEHOUSE_EXECUTOR_SLOTS", "0")

    with pytest.raises(InvalidSetting) as refused:
        ExecutorSettings.load(**BASE)

    assert refused.value.message.startswith("LAKEHOUSE_EXECUTOR_SLOTS is not usable")
    assert "Example: 4" in refused.value.message
