"""What the environment tells the stack."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from lakehouse.embedded.settings import DEFAULT_PORT, StackSettings
from opscore.domain.errors import InvalidSetting


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        yield holder.getsockname()[1]


def test_the_defaults_lie_below_the_home(tmp_path: Path) -> None:
    settings = StackSettings.load({"LAKEHOUSE_HOME": str(tmp_path / "a home")})

    assert settings.home == tmp_path / "a home"
    assert settings.warehouse == (tmp_path / "a home" / "warehouse").as_uri()
    assert settings.port is None
    assert settings.database_url is None


@pytest.mark.parametrize("text", ["eighty", "-1", "65536", "80.5", "²"])
def test_a_port_that_is_none_is_refused_by_name(text: str) -> None:
    with pytest.raises(InvalidSetting, match=r"LAKEHOUSE_PORT is not usable.*Example: 8377"):
        StackSettings.load({"LAKEHOUSE_PORT": text})


def test_a_database_url_that_is_none_is_refused_without_showing_it() -> None:
    with pytest.raises(InvalidSetting, match="LAKEHOUSE_DATABASE_URL") as refused:
        StackSettings.load({"LAKEHOUSE_DATABASE_URL": "mysql://user:geheim@host/db"})

    assert "geheim" not in str(refused.value)


def test_a_port_that_was_asked_for_and_is_taken_is_refused(taken: int) -> None:
    settings = StackSettings.load({"LAKEHOUSE_PORT": "1"}, port=taken)

    with pytest.raises(InvalidSetting, match=f"--port is not usable: port {taken} is taken"):
        settings.choose_port()


def test_the_usual_port_gives_way_when_it_is_taken(taken: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lakehouse.embedded.settings.DEFAULT_PORT", taken)

    port, remark = StackSettings.load({}).choose_port()

    assert port != taken
    assert remark == f"Port {taken} is taken: the control room listens on {port} instead."


def test_port_zero_means_any() -> None:
    port, remark = StackSettings.load({"LAKEHOUSE_PORT": "0"}).choose_port()

    assert port not in {0, DEFAULT_PORT}
    assert remark is None
